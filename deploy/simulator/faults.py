"""Trouble on demand. Every fault can be switched on and off while the runner runs."""

import asyncio
from dataclasses import dataclass, field, fields
from typing import Any


@dataclass(slots=True)
class Faults:
    """What goes wrong right now. Times in seconds, counts in prompts."""

    deaf_socket: bool = False
    """Websockets are open and get nothing after the first status."""
    lost_history: bool = False
    """Finished prompts leave no history."""
    slow_http: float = 0.0
    """Every HTTP answer takes this much longer."""
    error_500_but_queued: int = 0
    """So many prompts are queued and answered with 500."""
    lose_reply: int = 0
    """So many prompts are queued and the connection is cut before the answer."""
    out_of_memory: int = 0
    """So many prompts fail for want of memory."""
    hang: bool = False
    """Prompts start and never get anywhere; not even an interrupt helps."""
    stalled_broadcast: bool = False
    """Websocket messages are held back until this is switched off, as when another client stops reading."""
    html_answers: bool = False
    """Every answer is a web page with status 200."""
    released: asyncio.Event = field(default_factory=asyncio.Event)

    def change(self, wanted: dict[str, Any]) -> None:
        """Set faults by name. ValueError for an unknown one or a value of another type."""
        kinds = {item.name: type(getattr(self, item.name)) for item in fields(self) if item.name != "released"}
        for name, value in wanted.items():
            kind = kinds.get(name)
            if kind is None or not isinstance(value, (int, float) if kind is float else kind):
                raise ValueError(f"unknown fault or wrong type: {name}")
            setattr(self, name, value)
        self.released.set()
        self.released = asyncio.Event()

    def take(self, name: str) -> bool:
        """Use up one of a counted fault."""
        left: int = getattr(self, name)
        if left > 0:
            setattr(self, name, left - 1)
        return left > 0

    async def until_released(self, name: str) -> None:
        """Wait while a fault is on."""
        while getattr(self, name):
            await self.released.wait()

    def told(self) -> dict[str, Any]:
        """All of them, for reading."""
        return {item.name: getattr(self, item.name) for item in fields(self) if item.name != "released"}
