"""Recorded traffic of real servers."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_DATA = Path(__file__).parents[2] / "data"
CAPTURES = sorted(file for folder in ("captures", "comfy_messages") for file in (_DATA / folder).glob("*/*.jsonl"))


def rows(capture: Path, kind: str) -> Iterator[dict[str, Any]]:
    """The rows of one kind."""
    for line in capture.read_text("utf-8").splitlines():
        row = json.loads(line)
        if row["kind"] == kind:
            yield row


def answers(capture: Path, path: str) -> Iterator[Any]:
    """The JSON of every 200 to a GET below the path."""
    for row in rows(capture, "http"):
        request, response = row["request"], row.get("response") or {}
        if request["method"] == "GET" and request["path"].startswith(path) and response.get("status") == 200:
            yield response.get("json") or {}


def one(version: str, scenario: str) -> Path:
    """The capture of a scenario."""
    return next(file for file in CAPTURES if file.parent.name == version and file.name.startswith(scenario))
