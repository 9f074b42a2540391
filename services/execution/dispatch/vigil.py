"""Waiting for the end of a prompt. Messages are reasons to ask; the answer comes from the runner's history alone."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from libs.clock import Clock
from libs.comfy import Absent, Finished, HistoryEntry, Running, Whereabouts
from services.execution.dispatch.cancel import CancelWish
from services.execution.dispatch.contact import Contact, Unreachable
from services.execution.dispatch.outcome import CANCELED, NOT_STOPPED, Outcome, runner_fault
from services.execution.dispatch.over import AttemptOver
from services.execution.dispatch.settings import DispatchSettings

_FIRST_LOOK = 0.25
_LOOK_AFTER_HINT = 0.02
_GROWTH = 1.5


class Vigil:
    """Looks for a prompt's end: at once when the socket hints at it, else in growing intervals.

    So a deaf socket, a stalled broadcast or a lost message cost time, never the result.
    """

    def __init__(
        self,
        prompt_id: str,
        contact: Contact,
        cancel: CancelWish,
        hint: asyncio.Event,
        seen_running: Callable[[], None],
        clock: Clock,
        settings: DispatchSettings,
    ) -> None:
        self._prompt_id = prompt_id
        self._contact = contact
        self._cancel = cancel
        self._hint = hint
        self._seen_running = seen_running
        self._longest = settings.history_poll_seconds
        self._interval = min(_FIRST_LOOK, self._longest)
        self._clock = clock
        self._cancel_seconds = settings.cancel_seconds
        self._cancel_since = 0.0
        self._cancel_sent = False

    async def end(self) -> HistoryEntry:
        """The history entry. Raises AttemptOver when the prompt is gone without one, or the runner is lost."""
        while True:
            await self._pause()
            found = await self._contact.patiently(self._look)
            if isinstance(found, Finished):
                return found.entry
            if isinstance(found, Absent):
                raise AttemptOver(self._vanished())
            if isinstance(found, Running):
                self._seen_running()
            await self._press_cancel()

    async def _look(self) -> Whereabouts:
        return await self._contact.look(self._prompt_id)

    async def _pause(self) -> None:
        if not self._hint.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(self._interval):
                    await self._hint.wait()
        hinted = self._hint.is_set()
        self._hint.clear()
        # A hint may come a moment before the entry it hints at.
        self._interval = _LOOK_AFTER_HINT if hinted else min(self._interval * _GROWTH, self._longest)

    async def _press_cancel(self) -> None:
        if not self._cancel.wanted:
            return
        with suppress(Unreachable):
            await self._contact.cancel(self._prompt_id)
            self._cancel_sent = True
        now = self._clock.monotonic()
        self._cancel_since = self._cancel_since or now
        if now - self._cancel_since >= self._cancel_seconds:
            raise AttemptOver(NOT_STOPPED)

    def _vanished(self) -> Outcome:
        # A prompt that waited leaves no trace when it is cancelled.
        if self._cancel_sent:
            return CANCELED
        return runner_fault("the runner no longer knows the prompt: it was restarted or its queue was cleared")
