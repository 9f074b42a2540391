"""What a ComfyUI server can refuse."""

from collections.abc import Mapping
from typing import Any

from libs.errors import FailedPrecondition, InvalidArgument, NotFound, Unavailable


class PromptRefused(InvalidArgument):
    """The server said no and queued nothing. Sending the same graph to it again is pointless."""

    def __init__(self, error: Mapping[str, Any], node_errors: Mapping[str, Any]) -> None:
        """`error` has type, message, details, extra_info; `node_errors` maps node ids to their errors (section 2)."""
        super().__init__("PROMPT_REFUSED", str(error.get("message") or "the server refused the graph"))
        self.error = error
        self.node_errors = node_errors


class SubmitUnclear(Unavailable):
    """Nobody knows whether the prompt was queued: a lost reply, or a 500, which is not a no.

    Ask `find` before sending the prompt again.
    """

    def __init__(self, what: str, *, status: int = 0) -> None:
        """`status` is the HTTP status, 0 when there was no answer."""
        super().__init__("RUNNER_UNREACHABLE", what)
        self.status = status


class UploadRefused(FailedPrecondition):
    """The server does not take this file: its name, or its size."""

    def __init__(self, status: int) -> None:
        """`status`: 400 for a path outside the directory, 413 for too many bytes."""
        reason, what = ("ASSET_TOO_LARGE", "is too large") if status == 413 else ("INVALID_FIELD", "has a bad name")
        super().__init__(reason, f"the runner refuses the file: it {what}")
        self.status = status


class FileMissing(NotFound):
    """The server has no such output file (any more)."""

    def __init__(self, filename: str) -> None:
        """`filename` as history named it."""
        super().__init__("ASSET_NOT_FOUND", f"the runner has no file {filename!r}")
