"""The event stream of one websocket connection. A hint, never the truth: the end of a prompt is in its history."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import orjson
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from libs.clock import Clock
from libs.comfy.attribution import Attribution
from libs.comfy.mailbox import Mailbox
from libs.comfy.messages import Event, parse_frame
from libs.outbound import Unreachable

# Understood only as the first frame; servers before 0.3.44 ignore it.
_HELLO = orjson.dumps({"type": "feature_flags", "data": {"supports_preview_metadata": True}}).decode()


class EventStream:
    """Iterate it to get events; iteration ends when the connection does."""

    def __init__(self, client_id: str, mailbox: Mailbox, clock: Clock) -> None:
        """`client_id` is what prompts must be submitted with to be heard of here."""
        self.client_id = client_id
        self._mailbox = mailbox
        self._clock = clock
        self._heard_at = clock.monotonic()
        self._attribution = Attribution()
        self.close_reason: str | None = None
        """Why the connection ended; None while it is open."""

    @property
    def quiet_seconds(self) -> float:
        """Time since the last frame. A quiet socket is a reason to ask history, not an answer (traps 1 and 2)."""
        return self._clock.monotonic() - self._heard_at

    async def __aiter__(self) -> AsyncIterator[Event]:
        """Yield events. Of those that arrive faster than they are taken, only the last on each subject."""
        while (event := await self._mailbox.take()) is not None:
            yield event

    async def read(self, connection: ClientConnection) -> None:
        """Read frames without pause until the connection ends."""
        try:
            async for frame in connection:
                self._heard_at = self._clock.monotonic()
                self._mailbox.put(self._attribution.apply(parse_frame(frame)), len(frame))
            self.close_reason = "closed by the server"
        except ConnectionClosed as closed:
            self.close_reason = str(closed)
        finally:
            self._mailbox.close()


@asynccontextmanager
async def reading(connection: ClientConnection, client_id: str, clock: Clock) -> AsyncIterator[EventStream]:
    """Shake hands and read in the background until the end of the block."""
    try:
        await connection.send(_HELLO)
    except ConnectionClosed:
        raise Unreachable("the websocket closed at once", maybe_sent=True) from None
    stream = EventStream(client_id, Mailbox(), clock)
    reader = asyncio.create_task(stream.read(connection), name="comfy-events")
    try:
        yield stream
    finally:
        reader.cancel()
        await asyncio.wait([reader])
        if not reader.cancelled():
            reader.result()
