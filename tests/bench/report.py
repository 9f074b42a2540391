"""Tables as Markdown, with a note about the machine."""

import os
import platform
from dataclasses import dataclass, field
from datetime import UTC, datetime

import psutil


@dataclass(slots=True)
class Table:
    """One table with its title."""

    title: str
    head: list[str]
    rows: list[tuple[str, ...]] = field(default_factory=list)
    note: str = ""

    def add(self, *cells: str) -> None:
        """One row."""
        self.rows.append(cells)

    def markdown(self) -> str:
        """As it stands in docs/benchmarks.md."""
        lines = [f"## {self.title}", ""]
        lines += [_row(self.head), _row(["---"] * len(self.head)), *(_row(row) for row in self.rows), ""]
        return "\n".join([*lines, *([self.note, ""] if self.note else [])])


def _row(cells: "list[str] | tuple[str, ...]") -> str:
    return "| " + " | ".join(cells) + " |"


def machine() -> str:
    """What the figures were measured on."""
    memory = round(psutil.virtual_memory().total / 2**30)
    when = datetime.now(UTC).strftime("%Y-%m-%d")
    return f"{when}, {os.cpu_count()} cores, {memory} GB, {platform.system()}, Python {platform.python_version()}"
