"""Cancel one prompt and no other, on any version. Sections 3, 4 and 10 of the contract."""

from dataclasses import dataclass
from urllib.parse import quote

from libs.comfy.calls import Calls
from libs.comfy.queue import Queue, Running, parse_queue
from libs.comfy.reading import mapping, read_json
from libs.comfy.versions import ServerVersion
from libs.outbound import Answer, BadAnswer


@dataclass(frozen=True, slots=True)
class CancelResult:
    """What was done; what came of it is for `find` to say."""

    signalled: bool
    """The server was told to stop it. False: it neither waited nor ran by the end of the call."""
    may_have_hit_another: bool = False
    """The server cannot be told which prompt to stop; ours was the one that ran right before."""


async def cancel_job(calls: Calls, prompt_id: str) -> CancelResult | None:
    """Cancel race-free as servers from 0.25 can; None on older ones."""
    canceled = _canceled(await calls.post(f"/api/jobs/{quote(prompt_id, safe='')}/cancel", {}))
    return None if canceled is None else CancelResult(signalled=canceled)


async def cancel_by_steps(calls: Calls, version: ServerVersion, prompt_id: str) -> CancelResult:
    """Delete it from the queue; if it runs by then, interrupt it."""
    await calls.tell("/queue", {"delete": [prompt_id]})
    queue = await read_queue(calls)
    if not _may_interrupt(version, queue, prompt_id):
        return CancelResult(signalled=False)
    await calls.tell("/interrupt", {"prompt_id": prompt_id})
    return CancelResult(signalled=True, may_have_hit_another=not version.interrupts_by_id)


async def read_queue(calls: Calls) -> Queue:
    """Return what runs and waits. BadAnswer if the answer is not understood to its last item."""
    try:
        return parse_queue(await calls.get("/queue"))
    except ValueError:
        raise BadAnswer("the runner's answer to /queue is not ComfyUI's") from None


def _may_interrupt(version: ServerVersion, queue: Queue, prompt_id: str) -> bool:
    if version.interrupts_by_id:
        return isinstance(queue.find(prompt_id), Running)
    return queue.runs_only(prompt_id)


def _canceled(answer: Answer) -> bool | None:
    try:
        said = mapping(read_json(answer.body)).get("cancelled")
    except ValueError:
        return None
    return said if answer.status == 200 and isinstance(said, bool) else None
