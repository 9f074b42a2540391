"""How far a prompt is, from what its runner says. Pure, and never backwards within an attempt."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A complete picture of an attempt's progress; `value` runs from 0 to 1."""

    value: float = 0.0
    nodes_done: int = 0
    nodes_total: int = 0
    current_node: str = ""
    current_class: str = ""
    step: int | None = None
    steps: int | None = None


class ProgressTracker:
    """Adds up the runner's messages. Every node counts the same; a running one counts by its steps.

    Servers that report the state of every node (`states`) are believed; for older ones a node is done when the
    next one starts.
    """

    def __init__(self, classes: Mapping[str, str]) -> None:
        self._classes = classes
        self._done: set[str] = set()
        self._steps: dict[str, tuple[float, float]] = {}
        self._current = ""
        self._knows_states = False
        self._value = 0.0

    def cached(self, nodes: Collection[str]) -> None:
        """The runner has these results already."""
        self._finish(nodes)

    def executing(self, node: str | None) -> None:
        """The runner turned to another node, or to none."""
        if self._current and self._current != node and not self._knows_states:
            self._finish([self._current])
        self._current = node or ""

    def step(self, node: str | None, value: float, steps: float) -> None:
        """The node is this far."""
        at = node or self._current
        if at and steps > 0:
            self._steps[at] = (value, steps)
            self._current = at

    def executed(self, node: str) -> None:
        """The node gave its result."""
        self._finish([node])

    def state(self, node: str, value: float, steps: float, *, finished: bool) -> None:
        """What a server that reports all nodes says of one."""
        self._knows_states = True
        if finished:
            self._finish([node])
        elif steps > 0:
            self._steps[node] = (value, steps)

    def snapshot(self) -> Snapshot:
        """The state now."""
        self._value = max(self._value, self._fraction())
        step, steps = self._steps.get(self._current, (None, None))
        return Snapshot(
            value=self._value,
            nodes_done=len(self._done),
            nodes_total=len(self._classes),
            current_node=self._current,
            current_class=self._classes.get(self._current, ""),
            step=None if step is None else int(step),
            steps=None if steps is None else int(steps),
        )

    def complete(self) -> Snapshot:
        """The state after a success."""
        total = len(self._classes)
        return Snapshot(value=1.0, nodes_done=total, nodes_total=total)

    def _finish(self, nodes: Collection[str]) -> None:
        # Nodes of a run-time expansion are part of the node that expands, not of the graph.
        self._done.update(node for node in nodes if node in self._classes)
        for node in nodes:
            self._steps.pop(node, None)

    def _fraction(self) -> float:
        if not self._classes:
            return 0.0
        running = sum(
            min(value / steps, 1.0)
            for node, (value, steps) in self._steps.items()
            if node in self._classes and node not in self._done
        )
        return min((len(self._done) + running) / len(self._classes), 1.0)
