"""`comfyfleet runners` and `comfyfleet runner add|show|enable|disable|remove`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deploy.local.commands import HomeOption
from deploy.local.home import DEFAULT
from gateway.cli.options import HeadersOption, JsonOption, TagsOption, TokenOption, UrlOption

if TYPE_CHECKING:
    from gateway.cli.client import Body, Fleet

app = typer.Typer(no_args_is_help=True, help="Register ComfyUI servers and look after them.")
RunnerArgument = Annotated[str, typer.Argument(metavar="ID", help="Id of the runner, as `runners` shows it.")]


def runners(
    as_json: JsonOption = False, home: HomeOption = DEFAULT, url: UrlOption = "", token: TokenOption = ""
) -> None:
    """List your runners. Their health is shown for a fleet that runs in HOME.

    Example: comfyfleet runners
    """
    from gateway.cli import show

    listed = _with_health(list(_fleet(home, url, token).runners()), home, url, token)
    if as_json:
        show.as_json({"runners": listed})
        return
    columns = ["id", "name", "status", "health", "endpoint", "tags"]
    rows = [[_cell(runner, column) for column in columns] for runner in listed]
    show.table(columns, rows, "no runners; add one with: comfyfleet runner add --name studio --endpoint URL")


@app.command()
def add(
    name: Annotated[str, typer.Option(help="What you call it.")],
    endpoint: Annotated[str, typer.Option(metavar="URL", help="Address of the ComfyUI server.")],
    tags: TagsOption = None,
    headers: HeadersOption = None,
    as_json: JsonOption = False,
    home: HomeOption = DEFAULT,
    url: UrlOption = "",
    token: TokenOption = "",
) -> None:
    """Register a ComfyUI server. Jobs with tags go where all their tags are, or where there are none.

    Example: comfyfleet runner add --name studio --endpoint http://127.0.0.1:8188 --tag gpu
    """
    from gateway.cli.headers import parse

    body = {"name": name, "endpoint": endpoint, "tags": tags or [], "headers": parse(headers or [])}
    _print(_fleet(home, url, token).add_runner(body), as_json=as_json)


@app.command("show")
def show_one(
    runner_id: RunnerArgument,
    as_json: JsonOption = False,
    home: HomeOption = DEFAULT,
    url: UrlOption = "",
    token: TokenOption = "",
) -> None:
    """Show one runner.

    Example: comfyfleet runner show 6f1c…
    """
    found = _with_health([_fleet(home, url, token).runner(runner_id)], home, url, token)
    _print(found[0], as_json=as_json)


@app.command()
def enable(runner_id: RunnerArgument, home: HomeOption = DEFAULT, url: UrlOption = "", token: TokenOption = "") -> None:
    """Give a runner new work again.

    Example: comfyfleet runner enable 6f1c…
    """
    _change(_fleet(home, url, token), runner_id, "active")


@app.command()
def disable(
    runner_id: RunnerArgument, home: HomeOption = DEFAULT, url: UrlOption = "", token: TokenOption = ""
) -> None:
    """Give a runner no new work; what it has goes on.

    Example: comfyfleet runner disable 6f1c…
    """
    _change(_fleet(home, url, token), runner_id, "disabled")


@app.command()
def remove(runner_id: RunnerArgument, home: HomeOption = DEFAULT, url: UrlOption = "", token: TokenOption = "") -> None:
    """Remove a runner from the fleet. What already runs there is followed to its end.

    Example: comfyfleet runner remove 6f1c…
    """
    _fleet(home, url, token).remove_runner(runner_id)
    typer.echo(f"removed {runner_id}")


def _fleet(home: Path, url: str, token: str) -> "Fleet":
    from gateway.cli.client import Fleet
    from gateway.cli.credentials import connection

    return Fleet(connection(home, url, token))


def _with_health(listed: Sequence["Body"], home: Path, url: str, token: str) -> list["Body"]:
    """Health is an internal matter of the fleet: only a local one can be asked."""
    from gateway.cli.credentials import local_registry

    target = local_registry(home, url, token)
    if target is None or not listed:
        return list(listed)
    from gateway.cli.health import health_of

    known = health_of(target)
    return [{**runner, "health": known[runner["id"]]} if runner["id"] in known else runner for runner in listed]


def _change(fleet: "Fleet", runner_id: str, status: str) -> None:
    typer.echo(f"{fleet.change_runner(runner_id, {'status': status})['name']}: {status}")


def _cell(runner: "Body", column: str) -> Any:
    value = runner.get(column)
    return (value or {}).get("state", "") if column == "health" else value


def _print(runner: "Body", *, as_json: bool) -> None:
    from gateway.cli import show

    if as_json:
        show.as_json(runner)
        return
    health = {f"health {name}": value for name, value in (runner.get("health") or {}).items()}
    plain = {name: _cell(runner, name) for name in ("id", "name", "status", "endpoint", "tags")}
    times = {"created": show.time(runner["created_at"]), "updated": show.time(runner["updated_at"])}
    # Values of headers are often secrets: a terminal shows only their names.
    show.facts(plain | {"headers": ", ".join(runner.get("headers") or {})} | times | health)
