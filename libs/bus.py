"""Messages between processes that may be lost: wake-ups, progress, previews. Never the truth."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Protocol

import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

log = structlog.get_logger(__name__)

Handler = Callable[[bytes], Awaitable[None]]
_PENDING_MESSAGES = 65_536
_PENDING_BYTES = 64 << 20


class Bus(Protocol):
    """What a process is given to talk to its peers."""

    @property
    def connected(self) -> bool:
        """Whether messages can pass right now."""
        ...

    async def publish(self, subject: str, data: bytes) -> None:
        """Send to every subscriber. Never raises: while the bus is down the message is dropped."""
        ...

    async def subscribe(self, subject: str, handler: Handler) -> None:
        """Call the handler for every message, in order, from now until the process ends."""
        ...


class LocalBus:
    """Within one process: for tests, and for a service that runs alone."""

    def __init__(self) -> None:
        self.connected = True
        self._handlers: dict[str, list[Handler]] = defaultdict(list)

    async def publish(self, subject: str, data: bytes) -> None:
        """Deliver at once; what a handler raises is logged, as on a real bus."""
        for handler in self._handlers[subject] if self.connected else ():
            await _deliver(handler, subject, data)

    async def subscribe(self, subject: str, handler: Handler) -> None:
        """Add a handler."""
        self._handlers[subject].append(handler)


class NatsBus:
    """NATS core. Reconnects for ever; subscriptions survive."""

    def __init__(self, client: Client, connecting: asyncio.Task[None]) -> None:
        self._client = client
        self._connecting = connecting
        self._subscribing: list[asyncio.Task[None]] = []

    @classmethod
    @asynccontextmanager
    async def connect(cls, url: str, name: str) -> AsyncIterator["NatsBus"]:
        """Connect, or go on trying in the background: a missing NATS stops nobody. Closed on leaving."""
        client = Client()
        connecting = asyncio.create_task(_connect(client, url, name))
        # A live server answers within milliseconds; waiting a little spares the first messages.
        await asyncio.wait({connecting}, timeout=2)
        bus = cls(client, connecting)
        try:
            yield bus
        finally:
            await bus.close()

    async def close(self) -> None:
        """Stop connecting and subscribing, close the connection."""
        for task in (self._connecting, *self._subscribing):
            task.cancel()
        if not self._client.is_closed:
            await self._client.close()

    @property
    def connected(self) -> bool:
        """Whether messages can pass right now."""
        return bool(self._client.is_connected)

    async def publish(self, subject: str, data: bytes) -> None:
        """Send, or drop while there is no connection."""
        if not self.connected:
            return
        try:
            await self._client.publish(subject, data)
        except (NatsError, OSError) as error:
            log.debug("bus_message_dropped", subject=subject, error=type(error).__name__)

    async def subscribe(self, subject: str, handler: Handler) -> None:
        """Subscribe now, or as soon as there is a connection."""
        subscribing = asyncio.create_task(self._subscribe(subject, handler))
        self._subscribing.append(subscribing)
        if self._connecting.done():
            await subscribing

    async def _subscribe(self, subject: str, handler: Handler) -> None:
        async def came(message: Msg) -> None:
            await _deliver(handler, subject, message.data)

        await self._connecting
        await self._client.subscribe(
            subject, cb=came, pending_msgs_limit=_PENDING_MESSAGES, pending_bytes_limit=_PENDING_BYTES
        )


async def _connect(client: Client, url: str, name: str) -> None:
    while True:
        try:
            await client.connect(
                url,
                name=name,
                max_reconnect_attempts=-1,
                reconnect_time_wait=1,
                connect_timeout=2,
                error_cb=_failed,
                disconnected_cb=_disconnected,
                reconnected_cb=_reconnected,
            )
        except (NatsError, OSError) as error:
            log.warning("bus_unreachable", error=type(error).__name__)
            await asyncio.sleep(1)
        else:
            return


async def _deliver(handler: Handler, subject: str, data: bytes) -> None:
    try:
        await handler(data)
    except Exception:
        # One bad message must not end the subscription.
        log.exception("bus_handler_failed", subject=subject)


async def _failed(error: Exception) -> None:
    log.warning("bus_error", error=type(error).__name__)


async def _disconnected() -> None:
    log.warning("bus_disconnected")


async def _reconnected() -> None:
    log.info("bus_reconnected")
