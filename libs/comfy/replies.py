"""What POST /prompt and POST /upload/image answer. Sections 2 and 6 of the contract."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from libs.comfy.errors import PromptRefused, SubmitUnclear, UploadRefused
from libs.comfy.reading import mapping, number, read_json, text
from libs.outbound import Answer, BadAnswer

# Statuses of proxies and gates in front of the server: it has not seen the prompt.
_TURNED_AWAY = frozenset({301, 302, 303, 307, 308, 401, 402, 403, 404, 405, 407, 411, 415, 421, 426, 429, 431, 451})


@dataclass(frozen=True, slots=True)
class Submitted:
    """Queued. `node_errors` is non-empty when some outputs were dropped as invalid and the rest will run."""

    prompt_id: str
    number: float
    node_errors: Mapping[str, Any]


def parse_submitted(answer: Answer) -> Submitted:
    """Read the reply. PromptRefused, BadAnswer (never reached the server) or SubmitUnclear."""
    said = _object(answer)
    prompt_id = text(said.get("prompt_id"))
    if answer.status == 200 and prompt_id:
        return Submitted(prompt_id, number(said.get("number")), mapping(said.get("node_errors")))
    if answer.status == 400 and "error" in said:
        raise PromptRefused(_error(said["error"]), mapping(said.get("node_errors")))
    if answer.status == 413:
        raise PromptRefused(_error("the graph is larger than the server takes", "too_large"), {})
    if answer.status in _TURNED_AWAY:
        raise BadAnswer(f"the runner answers {answer.status} to a prompt", status=answer.status)
    raise SubmitUnclear(f"the runner answers {answer.status} to a prompt", status=answer.status)


def parse_uploaded(answer: Answer) -> str:
    """Return the name under which a graph refers to the file. UploadRefused or BadAnswer."""
    if answer.status in (400, 413):
        raise UploadRefused(answer.status)
    said = _object(answer)
    name, subfolder = text(said.get("name")), text(said.get("subfolder"))
    if answer.status != 200 or not name:
        raise BadAnswer(f"the runner answers {answer.status} to an upload", status=answer.status)
    return f"{subfolder}/{name}" if subfolder else name


def _object(answer: Answer) -> Mapping[str, Any]:
    try:
        return mapping(read_json(answer.body))
    except ValueError:
        return {}


def _error(said: object, kind: str = "invalid_prompt") -> Mapping[str, Any]:
    # Servers of March 2024 say some refusals as bare text.
    if isinstance(said, dict):
        return said
    return {"type": kind, "message": str(said), "details": "", "extra_info": {}}
