"""Server-sent events: frames out of events, with heartbeats while nothing happens."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import orjson

HEADERS = {
    "content-type": "text/event-stream",
    "cache-control": "no-store",
    "x-accel-buffering": "no",  # nginx would hold the frames back
}
# One line and no blank one: some readers take a blank line for the end of an event even when there was none.
HEARTBEAT = b": still here\n"


@dataclass(frozen=True, slots=True)
class Event:
    """One frame. `event_id` is set for durable events: a client resumes after it with `Last-Event-ID`."""

    name: str
    data: dict[str, Any]
    event_id: int | None = None

    def encode(self) -> bytes:
        """The frame as it goes over the wire."""
        head = f"id: {self.event_id}\n" if self.event_id is not None else ""
        return f"{head}event: {self.name}\ndata: ".encode() + orjson.dumps(self.data) + b"\n\n"


async def frames(events: AsyncIterator[Event], heartbeat: float) -> AsyncGenerator[bytes, None]:
    """Encode events as they come; after `heartbeat` seconds of silence send a comment.

    Proxies close connections that stay silent, and a failed write is how a lost client is noticed.
    """
    pending: asyncio.Future[Event] | None = None
    try:
        while True:
            pending = pending or asyncio.ensure_future(anext(events))
            done, _ = await asyncio.wait({pending}, timeout=heartbeat)
            if not done:
                yield HEARTBEAT
                continue
            try:
                event = pending.result()
            except StopAsyncIteration:
                return
            pending = None
            yield event.encode()
    finally:
        await _stop(pending)


async def _stop(pending: asyncio.Future[Event] | None) -> None:
    if pending is not None and not pending.done():
        pending.cancel()
        with suppress(asyncio.CancelledError, StopAsyncIteration):
            await pending
