"""What arrived and was not read yet: bounded, latest wins.

A client that stops reading its socket silences the whole server (trap 2 of the contract), so the reader never waits for
the consumer. Everything the server says is a state or a hint: only the last word on each subject is kept.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass

from libs.comfy.messages import (
    Error,
    Event,
    Executed,
    Executing,
    Interrupted,
    Preview,
    Success,
    Text,
    Unknown,
)


@dataclass(frozen=True, slots=True)
class _Kept:
    event: Event
    size: int


class Mailbox:
    """One producer that never waits, one consumer."""

    def __init__(self, max_events: int = 1000, max_bytes: int = 64 << 20) -> None:
        """Over a bound the oldest is dropped, ends of prompts last of all."""
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._kept: OrderedDict[Hashable, _Kept] = OrderedDict()
        self._bytes = 0
        self._closed = False
        self._changed = asyncio.Event()

    def put(self, event: Event, size: int) -> None:
        """Keep the event instead of an older one on the same subject; `size` is that of its frame in bytes."""
        subject = _subject(event)
        self._drop(subject)
        self._kept[subject] = _Kept(event, size)
        self._bytes += size
        while len(self._kept) > self._max_events or (self._bytes > self._max_bytes and len(self._kept) > 1):
            self._drop(self._least_wanted())
        self._changed.set()

    def close(self) -> None:
        """Nothing more will come."""
        self._closed = True
        self._changed.set()

    async def take(self) -> Event | None:
        """Wait for the oldest event; None when closed and empty."""
        while not self._kept:
            if self._closed:
                return None
            self._changed.clear()
            await self._changed.wait()
        _, kept = self._kept.popitem(last=False)
        self._bytes -= kept.size
        return kept.event

    def _drop(self, subject: Hashable) -> None:
        old = self._kept.pop(subject, None)
        self._bytes -= old.size if old else 0

    def _least_wanted(self) -> Hashable:
        droppable = (subject for subject, kept in self._kept.items() if not is_end(kept.event))
        return next(droppable, next(iter(self._kept)))


def is_end(event: Event) -> bool:
    """Whether the event is a reason to look into history."""
    return isinstance(event, Success | Error | Interrupted) or (isinstance(event, Executing) and event.node is None)


def _subject(event: Event) -> Hashable:
    kind = type(event)
    match event:
        case Preview(content_type="image/png"):
            # Nodes that send their results over the websocket do it in this form: each picture counts.
            return kind, id(event)
        case Executing(prompt_id=prompt_id, node=node):
            return kind, prompt_id, node is None
        case Executed(prompt_id=prompt_id, node=node) | Preview(prompt_id=prompt_id, node=node):
            return kind, prompt_id, node
        case Text(prompt_id=prompt_id, node=node):
            return kind, prompt_id, node
        case Unknown(type=name):
            return kind, name
        case _:
            return kind, getattr(event, "prompt_id", None)
