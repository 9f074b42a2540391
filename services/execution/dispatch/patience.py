"""Waiting for what comes back by itself."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from libs.clock import Clock
from libs.errors import Unavailable

T = TypeVar("T")
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 1.0
_log = structlog.get_logger(__name__)


async def patiently(clock: Clock, action: Callable[[], Awaitable[T]]) -> T:
    """Do it again until the service behind it is back. For as long as it takes: callers are cancelled instead."""
    pause = _FIRST_PAUSE
    while True:
        try:
            return await action()
        except Unavailable as error:
            _log.warning("waiting_for_service", reason=error.reason)
        await clock.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE)
