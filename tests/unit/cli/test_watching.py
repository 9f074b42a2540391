"""Ctrl-C while a job is watched."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from gateway.cli.client import Event
from gateway.cli.errors import CommandFailed, ExitCode
from gateway.cli.screen import Silent
from gateway.cli.watching import Watch


@dataclass
class Interrupted:
    """A fleet during whose streams Ctrl-C is pressed so many times."""

    presses: int
    canceled: list[str] = field(default_factory=list)

    def events(self, job_id: str, after: str) -> Iterator[Event]:
        if self.presses:
            self.presses -= 1
            raise KeyboardInterrupt
        yield "status", {"status": "canceled"}, "1"

    def job(self, job_id: str) -> dict[str, Any]:
        return {"id": job_id, "status": "canceled"}

    def cancel(self, job_id: str) -> dict[str, Any]:
        self.canceled.append(job_id)
        return self.job(job_id)


def watch(fleet: Interrupted, ask: Callable[[str], bool] | None) -> dict[str, Any]:
    return Watch(fleet, Silent(), lambda _: None, ask).until_over("j")


def test_yes_cancels_and_goes_on_to_the_end() -> None:
    fleet = Interrupted(1)
    assert watch(fleet, lambda _: True)["status"] == "canceled"
    assert fleet.canceled == ["j"]


@pytest.mark.parametrize("ask", [None, lambda _: False])
def test_no_or_nobody_leaves_it_running(ask: Callable[[str], bool] | None) -> None:
    fleet = Interrupted(1)
    with pytest.raises(CommandFailed, match="goes on") as left:
        watch(fleet, ask)
    assert left.value.code is ExitCode.INTERRUPTED
    assert "comfyfleet job j --watch" in left.value.details[0]
    assert fleet.canceled == []


def test_a_second_time_leaves_at_once() -> None:
    fleet = Interrupted(2)
    with pytest.raises(CommandFailed, match="is being canceled"):
        watch(fleet, lambda _: True)
    assert fleet.canceled == ["j"]
