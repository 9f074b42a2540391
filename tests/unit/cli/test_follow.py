"""A job followed over streams that break."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from gateway.cli.client import Event
from gateway.cli.errors import Refused, Unreachable
from gateway.cli.follow import Follower


@dataclass
class Script:
    """A fleet that plays prepared streams and answers; an exception among them is raised."""

    streams: list[list[Event | Exception]]
    jobs: list[dict[str, Any] | Exception]
    resumed_after: list[str] = field(default_factory=list)

    def events(self, job_id: str, after: str) -> Iterator[Event]:
        self.resumed_after.append(after)
        for item in self.streams.pop(0) if self.streams else []:
            if isinstance(item, Exception):
                raise item
            yield item

    def job(self, job_id: str) -> dict[str, Any]:
        answer = self.jobs.pop(0) if len(self.jobs) > 1 else self.jobs[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


AWAY = Unreachable("http://fleet", "refused")
RUNNING = {"status": "running", "progress": {"value": 0.5}}


def follow(script: Script) -> tuple[list[str], list[float]]:
    """The states that a follower told, and its pauses."""
    pauses: list[float] = []
    told = [data["status"] for name, data in Follower(script, "j", pauses.append).updates() if name == "status"]
    return told, pauses


def status(word: str, sequence: str = "") -> Event:
    return "status", {"status": word}, sequence


def test_a_stream_that_lasts() -> None:
    script = Script([[status("queued"), status("running", "2"), status("succeeded", "3"), status("never")]], [RUNNING])
    assert follow(script) == (["queued", "running", "succeeded"], [])


def test_a_broken_stream_is_resumed_behind_the_last_event() -> None:
    script = Script([[status("running", "7"), AWAY], [status("succeeded", "8")]], [RUNNING])
    told, pauses = follow(script)
    assert told == ["running", "running", "succeeded"]
    assert script.resumed_after == ["", "7"]
    assert len(pauses) == 1


def test_where_streams_do_not_pass_the_job_is_polled_ever_slower() -> None:
    script = Script([], [RUNNING, RUNNING, RUNNING, {"status": "failed"}])
    told, pauses = follow(script)
    assert told == ["running", "running", "running", "failed"]
    assert pauses == sorted(pauses)
    assert len(set(pauses)) == 3


def test_a_fleet_that_comes_back_in_time() -> None:
    script = Script([[AWAY]], [AWAY, AWAY, {"status": "succeeded"}])
    assert follow(script)[0] == ["succeeded"]


def test_a_fleet_that_stays_away_is_given_up_with_advice() -> None:
    with pytest.raises(Unreachable) as failed:
        follow(Script([], [Unreachable("http://fleet", "refused")]))
    assert "comfyfleet job j --watch" in failed.value.details[0]


def test_a_job_that_is_not_there_is_no_matter_of_patience() -> None:
    script = Script([], [Refused(404, "not_found", "not found")])
    with pytest.raises(Refused, match="not found"):
        follow(script)
    assert len(script.resumed_after) == 1
