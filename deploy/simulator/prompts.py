"""Prompts: the queue, what runs, and the history. All in memory, all lost with the process."""

import asyncio
import heapq
import itertools
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

MAX_HISTORY = 10_000
SECRETS = ("auth_token_comfy_org", "api_key_comfy_org")


@dataclass(slots=True)
class Prompt:
    """One entry of the queue."""

    number: float
    prompt_id: str
    graph: Mapping[str, Any]
    extra_data: dict[str, Any]
    outputs: Sequence[str]
    order: int
    messages: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    results: dict[str, Any] = field(default_factory=dict)
    status: str = ""

    @property
    def client_id(self) -> str | None:
        """Whose messages these are."""
        client_id = self.extra_data.get("client_id")
        return client_id if isinstance(client_id, str) else None

    def item(self, *, hide: bool) -> list[Any]:
        """The entry as /queue and history show it."""
        extra = {name: value for name, value in self.extra_data.items() if not (hide and name in SECRETS)}
        return [self.number, self.prompt_id, self.graph, extra, list(self.outputs)]

    def __lt__(self, other: "Prompt") -> bool:
        """Lower numbers first; equal numbers by the text of the id, as real servers do it."""
        return (self.number, self.prompt_id, self.order) < (other.number, other.prompt_id, other.order)


class Prompts:
    """The state of one server. `changed` is called whenever the queue's length may have."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._pending: list[Prompt] = []
        self._order = itertools.count()
        self._counter = itertools.count()
        self._arrived = asyncio.Event()
        self.running: Prompt | None = None
        self.history: OrderedDict[str, dict[str, Any]] = OrderedDict()
        self.executions: dict[str, int] = {}

    @property
    def pending(self) -> Sequence[Prompt]:
        """In heap order, as /queue shows them."""
        return self._pending

    @property
    def remaining(self) -> int:
        """Pending and running."""
        return len(self._pending) + (self.running is not None)

    def next_number(self) -> int:
        """The counter, which refused prompts raise too."""
        return next(self._counter)

    def add(
        self,
        number: float,
        prompt_id: str,
        graph: Mapping[str, Any],
        extra_data: dict[str, Any],
        outputs: Sequence[str],
    ) -> None:
        """Queue a prompt."""
        heapq.heappush(self._pending, Prompt(number, prompt_id, graph, extra_data, outputs, next(self._order)))
        self._arrived.set()
        self._changed()

    async def next(self) -> Prompt:
        """The prompt whose turn it is; it counts as running from now on."""
        while not self._pending:
            self._arrived.clear()
            await self._arrived.wait()
        self.running = heapq.heappop(self._pending)
        self._changed()
        return self.running

    def finish(self, prompt: Prompt, entry: dict[str, Any] | None) -> None:
        """The running prompt is over; None leaves no trace."""
        self.running = None
        if entry is not None:
            self.history.pop(prompt.prompt_id, None)
            self.history[prompt.prompt_id] = entry
            while len(self.history) > MAX_HISTORY:
                self.history.popitem(last=False)
        self._changed()

    def remove(self, prompt_ids: Sequence[Any]) -> bool:
        """Remove pending prompts; whether there was one."""
        left = [prompt for prompt in self._pending if prompt.prompt_id not in prompt_ids]
        removed = len(left) != len(self._pending)
        self._pending[:] = left
        heapq.heapify(self._pending)
        if removed:
            self._changed()
        return removed

    def clear(self) -> None:
        """Remove everything that is pending."""
        self._pending.clear()
        self._changed()
