"""`comfyfleet jobs`, `job` and `cancel`."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.local.commands import HomeOption
from deploy.local.home import DEFAULT
from gateway.cli.options import JsonOption, TokenOption, UrlOption

if TYPE_CHECKING:
    from gateway.cli.client import Body, Fleet

JobArgument = Annotated[str, typer.Argument(metavar="ID", help="Id of the job, as `jobs` shows it.")]


def jobs(
    status: Annotated[
        str, typer.Option(metavar="S", help="queued, running, succeeded, failed, canceling, canceled, expired.")
    ] = "",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many, newest first.")] = 20,
    as_json: JsonOption = False,
    home: HomeOption = DEFAULT,
    url: UrlOption = "",
    token: TokenOption = "",
) -> None:
    """List your jobs, newest first.

    Example: comfyfleet jobs --status queued,running
    """
    from gateway.cli import show

    listed = _fleet(home, url, token).jobs(status, limit)
    if as_json:
        show.as_json({"jobs": list(listed)})
        return
    rows = [(job["id"], job["status"], show.time(job["create_time"]), show.time(job["update_time"])) for job in listed]
    show.table(("id", "status", "submitted", "changed"), rows, "no jobs; run one with: comfyfleet run WORKFLOW.json")


def job(
    job_id: JobArgument,
    watch: Annotated[bool, typer.Option("--watch", help="Follow it to its end, as `run` does.")] = False,
    as_json: JsonOption = False,
    workflow: Annotated[bool, typer.Option("--workflow", help="Print the workflow it runs, and nothing else.")] = False,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Save its outputs there.")] = None,
    home: HomeOption = DEFAULT,
    url: UrlOption = "",
    token: TokenOption = "",
) -> None:
    """Show one job: state, waiting reason, progress, outputs, error.

    With --watch the exit code tells the result, as for `run`.

    Example: comfyfleet job 6f1c… --watch --out ./out
    """
    from gateway.cli import show
    from gateway.cli.results import exit_code, save_outputs
    from gateway.cli.screen import screen

    fleet = _fleet(home, url, token)
    if workflow:
        show.as_json(fleet.workflow(job_id))
        return
    body = _watched(fleet, job_id, as_json=as_json) if watch else fleet.job(job_id)
    saved = save_outputs(fleet, body, out, screen(silent=as_json)) if out else []
    _print(body, saved, as_json=as_json)
    raise typer.Exit(exit_code(body) if watch else 0)


def cancel(
    job_id: JobArgument,
    as_json: JsonOption = False,
    home: HomeOption = DEFAULT,
    url: UrlOption = "",
    token: TokenOption = "",
) -> None:
    """Cancel a job, wherever it is. One that is over stays as it is.

    Example: comfyfleet cancel 6f1c…
    """
    from gateway.cli import show

    body = _fleet(home, url, token).cancel(job_id)
    if as_json:
        show.as_json(body)
    else:
        typer.echo(body["status"])


def _fleet(home: Path, url: str, token: str) -> "Fleet":
    from gateway.cli.client import Fleet
    from gateway.cli.credentials import connection

    return Fleet(connection(home, url, token))


def _watched(fleet: "Fleet", job_id: str, *, as_json: bool) -> "Body":
    import time

    from gateway.cli.screen import screen
    from gateway.cli.watching import Watch, asker

    return Watch(fleet, screen(silent=as_json), time.sleep, asker()).until_over(job_id)


def _print(body: "Body", saved: list[str], *, as_json: bool) -> None:
    from gateway.cli import show
    from gateway.cli.results import failure_of

    if as_json:
        show.as_json({**body, "saved": saved})
        return
    show.facts(dict(_facts(body)))
    for path in saved:
        typer.echo(path)
    if error := body.get("error"):
        show.failure(failure_of(error))


def _facts(body: "Body") -> Iterator[tuple[str, object]]:
    from gateway.cli.progress import JobProgress
    from gateway.cli.show import time

    seen = JobProgress()
    seen.apply("status", body)
    seen.apply("progress", body.get("progress") or {})
    yield "id", body["id"]
    yield "state", seen.line
    yield "submitted", time(body["created_at"])
    yield "started", time(body["started_at"])
    yield "ended", time(body["completed_at"])
    for number, output in enumerate(body["outputs"], 1):
        yield f"output {number}", f"{output['name']} ({output['type']}, {output['size_bytes']} bytes)"
