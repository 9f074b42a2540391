"""`comfyfleet config`: every setting there is."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from typer.core import TyperCommand

from gateway.cli.options import JsonOption

if TYPE_CHECKING:
    from libs.settings import SettingRow

_OF_THE_COMMAND = {
    "COMFYFLEET_URL": "address of the fleet that commands speak to; else from HOME/credentials.env",
    "COMFYFLEET_TOKEN": "token of the account that commands act as; else from HOME/credentials.env",
    "COMFYFLEET_ACCOUNT": "account whose tokens the token commands show; else from HOME/credentials.env",
}


class ConfigCommand(TyperCommand):
    """A command whose help ends with all settings."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """The usual help, then the list."""
        super().format_help(ctx, formatter)
        _print(settings())


def config(as_json: JsonOption = False) -> None:
    """List the settings of all processes: environment variables, which `comfyfleet up` passes on.

    Example: comfyfleet config --json

    Example of a setting: COMFYFLEET_LOG_LEVEL=debug comfyfleet up
    """
    from dataclasses import asdict

    from gateway.cli import show

    if as_json:
        show.as_json({"settings": [asdict(row) for row in settings()]})
    else:
        _print(settings())


def settings() -> Sequence["SettingRow"]:
    """One row a variable: those of the command itself, then those of the processes."""
    # The gateway imports no service; only this list, which is for people, has to know them all.
    from deploy.local.settings_list import settings as of_the_processes
    from libs.settings import SettingRow

    own = [SettingRow(name, "str", "", text) for name, text in _OF_THE_COMMAND.items()]
    return [*own, *of_the_processes()]


def _print(rows: Sequence["SettingRow"]) -> None:
    from gateway.cli import show

    columns = ("variable", "type", "default", "meaning")
    show.table(columns, [(row.variable, row.type, row.default, row.description) for row in rows], "no settings")
