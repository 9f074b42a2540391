"""`comfyfleet run`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.local.commands import HomeOption
from deploy.local.home import DEFAULT
from gateway.cli.options import JsonOption, OutOption, TagsOption, TokenOption, UrlOption

if TYPE_CHECKING:
    from gateway.cli.client import Body, Fleet, Requirements
    from gateway.cli.screen import Screen


def run(  # noqa: PLR0913, PLR0917  # one parameter an option
    workflow: Annotated[Path, typer.Argument(help="Workflow in API format: Workflow > Export (API) in ComfyUI.")],
    inputs: Annotated[
        list[str] | None,
        typer.Option("--input", metavar="NODE.FIELD=VALUE", help="Set an input; =@FILE uploads a file. Repeatable."),
    ] = None,
    out: OutOption = Path("out"),
    tags: TagsOption = None,
    runner: Annotated[str, typer.Option(metavar="ID", help="Run on this runner and no other.")] = "",
    as_json: JsonOption = False,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Print the job's id and leave.")] = False,
    home: HomeOption = DEFAULT,
    url: UrlOption = "",
    token: TokenOption = "",
) -> None:
    """Run a workflow on the fleet, watch it, and save what it makes.

    Nothing is overwritten: a second picture.png is saved as picture-1.png. Ctrl-C asks whether to cancel the job.

    Exit code: 0 succeeded, 1 failed, 2 wrong usage, 3 canceled, 4 expired in the queue, 5 cannot reach the fleet,
    130 left with Ctrl-C while the job goes on.

    Example: comfyfleet run portrait.json --input 10.image=@me.jpg --input 3.steps=30 --tag gpu --out ./pictures
    """
    from gateway.cli.client import Fleet, Requirements
    from gateway.cli.credentials import connection
    from gateway.cli.screen import screen

    fleet = Fleet(connection(home, url, token))
    shown = screen(silent=as_json)
    job = _submit(fleet, workflow, inputs or [], Requirements(tags or [], runner), shown)
    if no_wait:
        _print_accepted(job, as_json=as_json)
    else:
        _finish(fleet, job, out, shown, as_json=as_json)


def _submit(fleet: "Fleet", path: Path, texts: list[str], wants: "Requirements", shown: "Screen") -> "Body":
    from gateway.cli.inputs import apply, check, parse, read_workflow
    from gateway.cli.uploads import references

    workflow, inputs = read_workflow(path), [parse(text) for text in texts]
    check(workflow, inputs)
    with shown.drawing():
        uploaded = references(fleet, [item.file for item in inputs if item.file is not None], shown)
        return fleet.submit(apply(workflow, inputs, uploaded), wants)


def _finish(fleet: "Fleet", accepted: "Body", out: Path, shown: "Screen", *, as_json: bool) -> None:
    import time

    from gateway.cli.results import exit_code, save_outputs, tell
    from gateway.cli.watching import Watch, asker

    shown.say(f"job {accepted['id']}")
    job = Watch(fleet, shown, time.sleep, asker()).until_over(accepted["id"])
    tell(job, save_outputs(fleet, job, out, shown), as_json=as_json)
    raise typer.Exit(exit_code(job))


def _print_accepted(job: "Body", *, as_json: bool) -> None:
    from gateway.cli import show

    if as_json:
        show.as_json({**job, "saved": []})
    else:
        typer.echo(job["id"])
        show.note(f"watch it with: comfyfleet job {job['id']} --watch")
