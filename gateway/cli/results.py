"""The end of a job: its outputs saved, its error told, its exit code."""

from collections.abc import Sequence
from pathlib import Path

import typer

from gateway.cli import outputs, show
from gateway.cli.client import Body, Fleet
from gateway.cli.errors import OF_STATUS, CommandFailed, ExitCode
from gateway.cli.screen import Screen

_TRACEBACK_LINES = 15


def save_outputs(fleet: Fleet, job: Body, folder: Path, screen: Screen) -> list[str]:
    """Download everything the job made; returns the paths of the files."""
    saved = []
    with screen.drawing():
        for output in job["outputs"]:
            took = screen.start(f"saving {output['name']}", int(output["size_bytes"]))
            saved.append(str(outputs.save(folder, output["name"], fleet.content(output["id"], took))))
    return saved


def tell(job: Body, saved: Sequence[str], *, as_json: bool) -> None:
    """The result on stdout: one path a line, or the job as JSON with `saved`. Errors go to stderr."""
    if as_json:
        show.as_json({**job, "saved": list(saved)})
        return
    for path in saved:
        typer.echo(path)
    if error := job.get("error"):
        show.failure(failure_of(error))
    elif job["status"] != "succeeded":
        show.note(f"the job was {job['status']}: {job['id']}")


def failure_of(error: Body) -> CommandFailed:
    """Why and where a job failed: node, exception, the end of the traceback."""
    node = " ".join(filter(None, [error.get("node_id"), f"({error['class_type']})" if error.get("class_type") else ""]))
    named = {"node": node, "exception": error.get("exception_type"), "kind": error.get("failure_class")}
    lines = [f"{name}: {value}" for name, value in named.items() if value]
    lines += _text(error.get("traceback")).rstrip().splitlines()[-_TRACEBACK_LINES:]
    return CommandFailed(f"{error['message']} ({error['code']})", details=lines)


def exit_code(job: Body) -> ExitCode:
    """What the command's exit code says of a job that is over; one that goes on is no failure."""
    return OF_STATUS.get(str(job["status"]), ExitCode.SUCCEEDED)


def _text(traceback: object) -> str:
    return "\n".join(map(str, traceback)) if isinstance(traceback, list) else str(traceback or "")
