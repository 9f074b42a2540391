"""What is shown of a job, from its events."""

import io
from typing import Any

from rich.console import Console

from gateway.cli.progress import JobProgress, reason
from gateway.cli.screen import Bars, Lines

RUNNING = {
    "value": 0.25,
    "nodes_done": 1,
    "nodes_total": 3,
    "current_node": "3",
    "current_node_class": "KSampler",
    "step": 5,
    "steps": 20,
}


def test_a_waiting_job_tells_its_turn_and_why() -> None:
    job = JobProgress()
    job.apply("status", {"status": "queued", "queue_position": 2, "waiting_reason": "all_busy: every runner is busy"})
    assert job.line == "queued · position 2 · every runner is busy"
    assert job.fraction is None


def test_a_running_job_tells_node_step_and_fraction() -> None:
    job = JobProgress()
    job.apply("status", {"status": "running"})
    job.apply("progress", RUNNING)
    assert job.line == "running · KSampler · step 5/20 · 1/3 nodes"
    assert job.milestone == "running"
    assert job.fraction == 0.25


def test_a_job_that_goes_back_to_the_queue_waits_again() -> None:
    job = JobProgress()
    job.apply("status", {"status": "running"})
    job.apply("progress", RUNNING)
    job.apply("status", {"status": "queued", "queue_position": 0})
    assert job.line == "queued · position 0"
    assert job.fraction is None


def test_the_end() -> None:
    job = JobProgress()
    job.apply("progress", RUNNING)
    job.apply("output", {"id": "a", "name": "cat.png"})
    job.apply("output", {"id": "a", "name": "cat.png"})
    job.apply("something_new", {"x": 1})
    job.apply("status", {"status": "succeeded"})
    assert (job.line, job.fraction, job.outputs) == ("succeeded", 1.0, {"a": "cat.png"})


def test_a_reason_without_a_sentence_is_made_readable() -> None:
    assert reason("all_busy") == "every matching runner is busy"
    assert reason("something_new") == "something new"
    assert reason("") == ""


def test_a_pipe_gets_a_line_for_every_change() -> None:
    output = io.StringIO()
    lines, job = Lines(Console(file=output)), JobProgress()
    events: list[tuple[str, dict[str, Any]]] = [("status", {"status": "running"}), ("progress", RUNNING)]
    for name, data in events * 2:
        job.apply(name, data)
        lines.show(job)
    assert output.getvalue() == "running\n"


def test_a_terminal_gets_a_bar() -> None:
    output = io.StringIO()
    console = Console(file=output, force_terminal=True, color_system=None, width=100)
    bars, job = Bars(console), JobProgress()
    with bars.drawing():
        job.apply("status", {"status": "running"})
        job.apply("progress", {**RUNNING, "current_node_class": "[bold]Odd"})
        bars.show(job)
    assert "running · [bold]Odd · step 5/20" in output.getvalue()
    assert "25%" in output.getvalue()
