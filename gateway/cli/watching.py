"""One job watched by a person: shown until it ends, and asked about when the person presses Ctrl-C."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import typer

from gateway.cli.client import Body
from gateway.cli.errors import CommandFailed, ExitCode
from gateway.cli.follow import Follower, JobSource
from gateway.cli.progress import JobProgress
from gateway.cli.screen import Screen

Ask = Callable[[str], bool]


class Jobs(JobSource, Protocol):
    """Where jobs are watched and canceled."""

    def cancel(self, job_id: str) -> Body:
        """End a job."""
        ...


@dataclass(frozen=True, slots=True)
class Watch:
    """`ask` puts a yes-or-no question; None where nobody could answer. `pause` waits for some seconds."""

    fleet: Jobs
    screen: Screen
    pause: Callable[[float], None]
    ask: Ask | None

    def until_over(self, job_id: str) -> Body:
        """The job at its end. CommandFailed (interrupted) when the person leaves while it goes on."""
        follower, seen = Follower(self.fleet, job_id, self.pause), JobProgress()
        try:
            self._follow(follower, seen)
        except KeyboardInterrupt:
            self._cancel_or_leave(job_id)
            self._follow_cancel(follower, seen)
        return self.fleet.job(job_id)

    def _follow(self, follower: Follower, seen: JobProgress) -> None:
        with self.screen.drawing():
            for name, data in follower.updates():
                seen.apply(name, data)
                self.screen.show(seen)

    def _cancel_or_leave(self, job_id: str) -> None:
        if self.ask is None or not self.ask("Cancel the job?"):
            raise _left(job_id, "goes on")
        self.fleet.cancel(job_id)
        self.screen.say("canceling; Ctrl-C once more leaves at once")

    def _follow_cancel(self, follower: Follower, seen: JobProgress) -> None:
        try:
            self._follow(follower, seen)
        except KeyboardInterrupt:
            raise _left(follower.job_id, "is being canceled") from None


def asker() -> Ask | None:
    """A question on the terminal, answered with no by default; None where there is no terminal."""
    return _ask if sys.stdin.isatty() and sys.stderr.isatty() else None


def _ask(question: str) -> bool:
    try:
        return typer.confirm(question, default=False, err=True)
    except typer.Abort:
        return False


def _left(job_id: str, state: str) -> CommandFailed:
    advice = [f"follow it with: comfyfleet job {job_id} --watch", f"end it with: comfyfleet cancel {job_id}"]
    return CommandFailed(f"left; the job {job_id} {state}", ExitCode.INTERRUPTED, advice)
