"""Somebody else's prompt on the same runner."""

from dataclasses import dataclass

import httpx

from tests.integration.execution.dispatch.world import slow_picture


@dataclass(frozen=True, slots=True)
class ForeignPrompt:
    """A prompt that did not come through us."""

    endpoint: str
    prompt_id: str

    async def running(self) -> bool:
        """Whether the runner executes it."""
        async with httpx.AsyncClient(base_url=self.endpoint) as client:
            queue = (await client.get("/queue")).json()
        return [item[1] for item in queue["queue_running"]] == [self.prompt_id]


async def foreign_prompt(endpoint: str, seconds: float = 10) -> ForeignPrompt:
    """Send one that takes its time."""
    async with httpx.AsyncClient(base_url=endpoint) as client:
        body = {"prompt": slow_picture(seconds, seed=99), "client_id": "somebody"}
        answer = (await client.post("/prompt", json=body)).json()
    return ForeignPrompt(endpoint, answer["prompt_id"])
