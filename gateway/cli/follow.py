"""A job followed to its end: its event stream, and the job itself whenever the stream breaks."""

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Protocol

from gateway.cli.client import Body, Event
from gateway.cli.errors import CommandFailed, Refused, Unreachable

TERMINAL = frozenset({"succeeded", "failed", "canceled", "expired"})
_PAUSES = (0.2, 0.5, 1.0, 2.0, 4.0)  # seconds between two looks; the last one repeats
_PATIENCE = 20  # looks in a row without an answer, a bit more than a minute
_RETRIED = {408, 429}


class JobSource(Protocol):
    """Where news of a job comes from."""

    def events(self, job_id: str, after: str) -> Iterator[Event]:
        """The events behind the id `after`, until the stream ends."""
        ...

    def job(self, job_id: str) -> Body:
        """The job as it is now."""
        ...


@dataclass(slots=True)
class Follower:
    """Yields what happens to a job, as (name, data) of the events; `pause` waits for some seconds."""

    fleet: JobSource
    job_id: str
    pause: Callable[[float], None]
    _last_id: str = field(default="", init=False)
    _misses: int = field(default=0, init=False)

    def updates(self) -> Iterator[tuple[str, Body]]:
        """Until the job is over. A stream that breaks is resumed; where streams do not pass, the job is polled.

        Unreachable when the fleet stays away.
        """
        with closing(self._news()) as news:
            for name, data in news:
                yield name, data
                if name == "status" and data.get("status") in TERMINAL:
                    return

    def _news(self) -> Generator[tuple[str, Body], None, None]:
        quiet = 0
        while True:
            heard = False
            for update in self._stream():
                heard = True
                yield update
            yield from self._look()
            quiet = 0 if heard else quiet + 1
            self.pause(_PAUSES[min(quiet, len(_PAUSES) - 1)])

    def _stream(self) -> Iterator[tuple[str, Body]]:
        try:
            for name, data, event_id in self.fleet.events(self.job_id, self._last_id):
                self._last_id, self._misses = event_id, 0
                yield name, data
        except (Refused, Unreachable):
            # Whether the job can be seen at all is for the look to say.
            return

    def _look(self) -> Iterator[tuple[str, Body]]:
        try:
            job = self.fleet.job(self.job_id)
        except (Refused, Unreachable) as error:
            self._miss(error)
            return
        self._misses = 0
        if job.get("progress"):
            yield "progress", job["progress"]
        yield "status", job

    def _miss(self, error: CommandFailed) -> None:
        self._misses += 1
        if isinstance(error, Refused) and error.status not in _RETRIED:
            raise error
        if self._misses >= _PATIENCE:
            error.details = [f"the job goes on; follow it with: comfyfleet job {self.job_id} --watch"]
            raise error
