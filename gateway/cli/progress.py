"""What a person sees of a running job."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_REASONS = {
    "in_runner_queue": "a runner has taken it",
    "matching_runners_offline": "no matching runner answers",
    "all_busy": "every matching runner is busy",
}


@dataclass(slots=True)
class JobProgress:
    """The latest of everything that events told. Events may come twice and out of nowhere: each is complete."""

    status: str = "submitted"
    queue_position: int | None = None
    waiting_reason: str = ""
    outputs: dict[str, str] = field(default_factory=dict)
    latest: Mapping[str, Any] = field(default_factory=dict)

    def apply(self, name: str, data: Mapping[str, Any]) -> None:
        """Take one event; unknown ones are left alone."""
        match name:
            case "status":
                self.status = str(data.get("status", self.status))
                self.queue_position = data.get("queue_position")
                self.waiting_reason = data.get("waiting_reason") or ""
            case "progress":
                self.latest = data
            case "output":
                self.outputs[str(data.get("id"))] = str(data.get("name"))
            case _:
                pass

    @property
    def fraction(self) -> float | None:
        """How much is done, from 0 to 1; None while it waits."""
        if self.status in {"submitted", "queued"}:
            return None
        return 1.0 if self.status == "succeeded" else float(self.latest.get("value") or 0)

    @property
    def line(self) -> str:
        """State and what is going on, in one line."""
        return " · ".join(filter(None, [self.status, *(self._waiting() if self._waits else self._working())]))

    @property
    def milestone(self) -> str:
        """What is worth a line of its own where no bar can be drawn."""
        return " · ".join(filter(None, [self.status, *(self._waiting() if self._waits else ())]))

    @property
    def _waits(self) -> bool:
        return self.status == "queued"

    def _waiting(self) -> list[str]:
        position = f"position {self.queue_position}" if self.queue_position is not None else ""
        return [position, reason(self.waiting_reason)]

    def _working(self) -> list[str]:
        if self.status not in {"running", "canceling"}:
            return []
        return [self._node(), self._step(), self._nodes()]

    def _node(self) -> str:
        return str(self.latest.get("current_node_class") or self.latest.get("current_node") or "")

    def _step(self) -> str:
        step, steps = self.latest.get("step"), self.latest.get("steps")
        return f"step {step}/{steps}" if step is not None and steps else ""

    def _nodes(self) -> str:
        done, total = self.latest.get("nodes_done"), self.latest.get("nodes_total")
        return f"{done}/{total} nodes" if total else ""


def reason(text: str) -> str:
    """A waiting reason as a sentence: the API says `code: sentence`."""
    code, _, sentence = text.partition(": ")
    return sentence or _REASONS.get(code, code.replace("_", " "))
