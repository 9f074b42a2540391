"""Health that means it: the checks a service names are run again and again, and the answers published."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import structlog
from grpc_health.v1 import health_pb2
from grpc_health.v1.health import aio

from libs.clock import Clock

log = structlog.get_logger(__name__)

Check = Callable[[], Awaitable[None]]
_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class Health:
    """The grpc.health.v1 answers of a service.

    `required` checks decide the overall state (service name ""); each check, required or not, is also visible under
    its own name. A check raises when what it looks at is not well.
    """

    def __init__(
        self, required: Mapping[str, Check], informative: Mapping[str, Check], clock: Clock, *, interval: float = 2
    ) -> None:
        """`interval` in seconds between two rounds; a check that takes longer has failed."""
        self.servicer = aio.HealthServicer()
        self.ready = False
        self._required = required
        self._checks = {**required, **informative}
        self._clock = clock
        self._interval = interval

    async def watch(self) -> None:
        """Check for ever; a background loop."""
        while True:
            await self.check()
            await self._clock.sleep(self._interval)

    async def check(self) -> None:
        """One round of all checks."""
        names = list(self._checks)
        well = dict(zip(names, await asyncio.gather(*map(self._passes, names)), strict=True))
        for name, passed in well.items():
            await self.servicer.set(name, _SERVING if passed else _NOT_SERVING)
        await self._publish(all(well[name] for name in self._required))

    async def drain(self) -> None:
        """Say NOT_SERVING from now on."""
        self.ready = False
        await self.servicer.enter_graceful_shutdown()

    async def _passes(self, name: str) -> bool:
        try:
            await asyncio.wait_for(self._checks[name](), self._interval)
        except Exception as error:  # noqa: BLE001 - whatever a check raises means that it failed
            log.warning("health_check_failed", check=name, error=type(error).__name__)
            return False
        return True

    async def _publish(self, ready: bool) -> None:
        if ready != self.ready:
            log.info("health_changed", ready=ready)
        self.ready = ready
        await self.servicer.set("", _SERVING if ready else _NOT_SERVING)
