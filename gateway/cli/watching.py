"""One job watched by a person: shown until it ends, and asked about when the person presses Ctrl-C."""

import sys
from collections.abc import Callable
from dataclasses import dataclass

import typer

from gateway.cli.client import Body, Fleet
from gateway.cli.errors import CommandFailed, ExitCode
from gateway.cli.follow import Follower
from gateway.cli.progress import JobProgress
from gateway.cli.screen import Screen

Ask = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Watch:
    """`ask` puts a yes-or-no question; None where nobody could answer. `pause` waits for some seconds."""

    fleet: Fleet
    screen: Screen
    pause: Callable[[float], None]
    ask: Ask | None

    def until_over(self, job_id: str) -> Body:
        """The job at its end. CommandFailed (interrupted) when the person leaves while it goes on."""
        follower, seen = Follower(self.fleet, job_id, self.pause), JobProgress()
        try:
            self._follow(follower, seen)
        except KeyboardInterrupt:
            self._interrupted(job_id)
            self._follow(follower, seen)
        return self.fleet.job(job_id)

    def _follow(self, follower: Follower, seen: JobProgress) -> None:
        with self.screen.drawing():
            for name, data in follower.updates():
                seen.apply(name, data)
                self.screen.show(seen)

    def _interrupted(self, job_id: str) -> None:
        if self.ask is None or not self.ask("Cancel the job?"):
            advice = [f"follow it with: comfyfleet job {job_id} --watch", f"end it with: comfyfleet cancel {job_id}"]
            raise CommandFailed(f"left; the job {job_id} goes on", ExitCode.INTERRUPTED, advice)
        self.fleet.cancel(job_id)
        self.screen.say("canceling; Ctrl-C once more leaves at once")


def asker() -> Ask | None:
    """A question on the terminal, answered with no by default; None where there is no terminal."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return None
    return lambda question: typer.confirm(question, default=False, err=True)
