"""Where a prompt is. Section 3 of the contract."""

from dataclasses import dataclass
from typing import Any

from libs.comfy.history import HistoryEntry, marker_of
from libs.comfy.reading import items, mapping, number


@dataclass(frozen=True, slots=True)
class Pending:
    """Queued; `position` 0 is next. `prompt_id` is the server's, which old servers choose themselves."""

    prompt_id: str
    position: int


@dataclass(frozen=True, slots=True)
class Running:
    """Being executed."""

    prompt_id: str


@dataclass(frozen=True, slots=True)
class Finished:
    """In history."""

    prompt_id: str
    entry: HistoryEntry


@dataclass(frozen=True, slots=True)
class Absent:
    """Neither queued nor in history: never arrived, removed while pending, or lost by a restart."""


Whereabouts = Pending | Running | Finished | Absent


@dataclass(frozen=True, slots=True)
class QueueItem:
    """One prompt of the queue, without its graph."""

    number: float
    prompt_id: str
    marker: str | None

    def is_for(self, wanted: str) -> bool:
        """Match the prompt id, or the one that the caller asked for."""
        return wanted in (self.prompt_id, self.marker)


@dataclass(frozen=True, slots=True)
class Queue:
    """What runs, and what waits in the order in which it will run."""

    running: tuple[QueueItem, ...]
    pending: tuple[QueueItem, ...]

    def find(self, wanted: str) -> Pending | Running | None:
        """Look for a prompt id or marker."""
        for item in self.running:
            if item.is_for(wanted):
                return Running(item.prompt_id)
        for position, item in enumerate(self.pending):
            if item.is_for(wanted):
                return Pending(item.prompt_id, position)
        return None

    def runs_only(self, wanted: str) -> bool:
        """Whether exactly this prompt runs and no other."""
        return len(self.running) == 1 and self.running[0].is_for(wanted)


def parse_queue(answer: object) -> Queue:
    """Read an answer of /queue. ValueError for anything else: "not in there" must never be a guess."""
    said = mapping(answer)
    # The server lists its heap; ties run in the order of their id text.
    pending = sorted(_items(said.get("queue_pending")), key=lambda item: (item.number, item.prompt_id))
    return Queue(running=tuple(_items(said.get("queue_running"))), pending=tuple(pending))


def _items(value: object) -> list[QueueItem]:
    if not isinstance(value, list):
        raise ValueError("no queue")  # noqa: TRY004
    return [_item(items(item)) for item in value]


def _item(item: list[Any]) -> QueueItem:
    if len(item) < 2 or not isinstance(item[1], str):
        raise ValueError("no queue item")
    return QueueItem(number(item[0]), item[1], marker_of(item[3]) if len(item) > 3 else None)
