"""What a command ends with when it cannot go on, and the exit codes that scripts rely on."""

from collections.abc import Sequence
from enum import IntEnum
from typing import Any


class ExitCode(IntEnum):
    """What the exit code of a command says."""

    SUCCEEDED = 0
    FAILED = 1
    USAGE = 2
    CANCELED = 3
    EXPIRED = 4
    UNREACHABLE = 5
    INTERRUPTED = 130


OF_STATUS = {
    "succeeded": ExitCode.SUCCEEDED,
    "failed": ExitCode.FAILED,
    "canceled": ExitCode.CANCELED,
    "expired": ExitCode.EXPIRED,
}


class CommandFailed(Exception):
    """Ends the command; `main` prints the message and the details on stderr."""

    def __init__(self, message: str, code: ExitCode = ExitCode.FAILED, details: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.details = details


class Refused(CommandFailed):
    """The fleet answered with an error. `status` is HTTP's, `word` the error's code."""

    def __init__(self, status: int, word: str, message: str, details: Sequence[str] = ()) -> None:
        super().__init__(f"{message} ({word})" if word else message, ExitCode.FAILED, details)
        self.status = status
        self.word = word


class Unreachable(CommandFailed):
    """Nobody answers, or only with a gateway's error."""

    def __init__(self, where: str, why: str) -> None:
        super().__init__(f"cannot reach the fleet at {where}: {why}", ExitCode.UNREACHABLE)


def refusal(status: int, body: Any) -> Refused:
    """The error in the answer's body: Comfy API v2's envelope or the runner API's flat one."""
    content = body if isinstance(body, dict) else {}
    error = content.get("error")
    if isinstance(error, dict):
        message = str(error.get("message", ""))
        return Refused(status, str(error.get("code", "")), message, explain(error.get("details") or {}))
    return Refused(status, f"HTTP {status}", str(content.get("message", "the request was refused")))


def explain(details: dict[str, Any]) -> list[str]:
    """The details of an error, one line each: fields, errors per node, anything else by name."""
    lines = [f"{name}: {text}" for name, text in (details.get("fields") or {}).items()]
    for node_id, found in (details.get("node_errors") or {}).items():
        lines += _node_lines(node_id, found)
    lines += [f"{name}: {value}" for name, value in details.items() if name not in {"fields", "node_errors"}]
    return lines


def _node_lines(node_id: str, found: Any) -> list[str]:
    faults = found if isinstance(found, list) else [found]
    return [f"node {node_id}: {_fault(fault)}" for fault in faults]


def _fault(fault: Any) -> str:
    if not isinstance(fault, dict):
        return str(fault)
    return ": ".join(str(fault[name]) for name in ("field", "reason") if fault.get(name))
