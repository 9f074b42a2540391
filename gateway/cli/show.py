"""What commands print: JSON for programs, tables and plain lines for people, errors on stderr."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import typer

from gateway.cli.errors import CommandFailed, ExitCode

_PIPE_WIDTH = 1_000  # characters


def as_json(value: Any) -> None:
    """One JSON value on stdout."""
    typer.echo(json.dumps(value, indent=1, ensure_ascii=False))


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], empty: str) -> None:
    """A table on stdout; where there are no rows, a sentence on stderr that says what to do."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    # In a pipe a row is a line, however long it is.
    console = Console() if sys.stdout.isatty() else Console(width=_PIPE_WIDTH)
    made = Table(box=None, pad_edge=False, header_style="bold")
    for number, column in enumerate(columns):
        made.add_column(column, no_wrap=number == 0, overflow="fold")
    for row in rows:
        made.add_row(*(escape(_cell(cell)) for cell in row))
    if made.row_count:
        console.print(made, soft_wrap=not sys.stdout.isatty())
    else:
        note(empty)


def facts(values: Mapping[str, object]) -> None:
    """Names and values, one a line; empty ones are left out."""
    shown = {name: value for name, value in values.items() if value not in (None, "", [], {})}
    width = max(map(len, shown), default=0)
    for name, value in shown.items():
        typer.echo(f"{name:<{width}}  {_cell(value)}")


def note(text: str) -> None:
    """A sentence for a person, on stderr."""
    typer.echo(text, err=True)


def failure(error: CommandFailed) -> None:
    """Why a command could not go on, and the details, on stderr. Leaving on purpose is no error."""
    if error.code is ExitCode.INTERRUPTED:
        note(error.message)
    else:
        typer.secho(f"error: {error.message}", err=True, fg=typer.colors.RED)
    for line in error.details:
        note(f"  {line}")


def time(text: str | None) -> str:
    """A time of the API without fractions: 2026-01-31 12:00:00Z."""
    return f"{text[:19].replace('T', ' ')}Z" if text else ""


def _cell(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)
