"""A TCP proxy that breaks on demand, to put between a client and any server."""

import asyncio
import contextlib
from enum import Enum
from types import TracebackType
from typing import Self

_CHUNK = 64 << 10


class _Fault(Enum):
    NONE = "none"
    BLACK_HOLE = "black hole"
    REPLIES_LOST = "replies lost"


class FaultProxy:
    """Listens on a loopback port of its own and forwards to the target while healthy.

    `async with FaultProxy("127.0.0.1", 8188) as proxy: … proxy.port …`
    """

    def __init__(self, host: str, port: int) -> None:
        """Forward to this target."""
        self._target = (host, port)
        self._server: asyncio.Server | None = None
        self._pairs: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._fault = _Fault.NONE
        self._delay = 0.0
        self.host = "127.0.0.1"
        self.port = 0
        self.accepted = 0
        """Connections so far."""

    @property
    def address(self) -> str:
        """Where to connect instead of the target, as host:port."""
        return f"{self.host}:{self.port}"

    async def __aenter__(self) -> Self:
        """Listen."""
        await self._listen()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Cut everything and free the port."""
        await self.cut()

    def delay(self, seconds: float) -> None:
        """Hold every piece of every connection, both ways, for so long."""
        self._delay = seconds

    def black_hole(self) -> None:
        """Go on accepting and reading, and pass nothing on: silence, as behind a dead link."""
        self._fault = _Fault.BLACK_HOLE

    def lose_replies(self) -> None:
        """Pass requests on and swallow what the target says: it acts, and nobody hears of it."""
        self._fault = _Fault.REPLIES_LOST

    async def cut(self) -> None:
        """Reset every connection and refuse new ones."""
        if self._server:
            self._server.close()
            self._server = None
        await self.drop_connections()

    async def drop_connections(self) -> None:
        """Reset every connection; new ones are served."""
        for writer in self._writers:
            writer.transport.abort()
        for pair in self._pairs:
            pair.cancel()
        await asyncio.gather(*self._pairs, return_exceptions=True)

    async def heal(self) -> None:
        """Serve again, on the same port. What was swallowed stays lost: connections that missed some are reset."""
        if self._fault is not _Fault.NONE:
            await self.drop_connections()
        self._fault, self._delay = _Fault.NONE, 0.0
        if not self._server:
            await self._listen()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, self.host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        pair = asyncio.current_task()
        if pair:
            self._pairs.add(pair)
            pair.add_done_callback(self._pairs.discard)
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await self._join(reader, writer)
        writer.transport.abort()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        target_reader, target_writer = await asyncio.open_connection(*self._target)
        ends = {writer, target_writer}
        self._writers |= ends
        try:
            await asyncio.gather(
                self._pump(reader, target_writer, lost_when=frozenset({_Fault.BLACK_HOLE})),
                self._pump(target_reader, writer, lost_when=frozenset({_Fault.BLACK_HOLE, _Fault.REPLIES_LOST})),
            )
        finally:
            self._writers -= ends
            target_writer.transport.abort()

    async def _pump(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, lost_when: frozenset[_Fault]
    ) -> None:
        while piece := await source.read(_CHUNK):
            if self._delay:
                await asyncio.sleep(self._delay)
            if self._fault not in lost_when:
                sink.write(piece)
                await sink.drain()
        if sink.can_write_eof():
            sink.write_eof()
