"""What the websocket's messages mean for one attempt."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress

from libs.comfy import messages
from libs.comfy.messages import Event
from services.execution.dispatch import sources
from services.execution.dispatch.outcome import runner_fault
from services.execution.dispatch.outputs import OutputCollector
from services.execution.dispatch.over import AttemptOver
from services.execution.dispatch.progress import ProgressTracker
from services.execution.dispatch.reporter import Reporter

_SENDS_FRAMES = "SaveImageWebsocket"
_FRAMES_LATE = 5.0
_MAX_EARLY = 500


class Listener:
    """Passes messages of this attempt's prompt on to those who care. Every one of them may be missing."""

    def __init__(
        self,
        prompt_id: str,
        classes: Mapping[str, str],
        tracker: ProgressTracker,
        reporter: Reporter,
        collector: OutputCollector,
        begin: Callable[[], None],
        look: Callable[[], None],
    ) -> None:
        self._ids = {prompt_id}
        self._senders = {node for node, name in classes.items() if name == _SENDS_FRAMES}
        self._tracker = tracker
        self._reporter = reporter
        self._collector = collector
        self._begin = begin
        self._look = look
        self._early: list[Event] = []
        self._frames: Counter[str] = Counter()
        self._over = asyncio.Event()
        self._submitted = False
        self._begun = False

    @property
    def heard(self) -> bool:
        """Whether the socket said anything about the prompt."""
        return self._begun or self._over.is_set()

    def submitted_as(self, prompt_id: str) -> None:
        """The runner's id for the prompt: old servers choose their own, and may have used it already."""
        self._ids.add(prompt_id)
        self._submitted = True
        early, self._early = self._early, []
        for event in early:
            self.hear(event)

    def hear(self, event: Event) -> None:
        """One message. Never waits."""
        prompt_id = getattr(event, "prompt_id", None)
        if prompt_id in self._ids or (prompt_id is None and self._is_of_running_node(event)):
            self._heed(event)
        elif prompt_id and not self._submitted and len(self._early) < _MAX_EARLY:
            self._early.append(event)

    def _is_of_running_node(self, event: Event) -> bool:
        """Very old servers do not say whose step it is; the socket is this prompt's alone."""
        return isinstance(event, messages.Progress) and self._begun and not self._over.is_set()

    async def all_frames(self) -> None:
        """Wait for pictures that come over the socket alone. Raises AttemptOver when some may be lost."""
        if not self._senders:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(_FRAMES_LATE):
                await self._over.wait()
        if not (self._begun and self._over.is_set()):
            raise AttemptOver(runner_fault("pictures that the runner sends over its websocket alone were lost"))

    def _heed(self, event: Event) -> None:  # noqa: C901 - one line for each kind of message
        match event:
            case messages.ExecutionStart():
                self._begun = True
                self._begin()
            case messages.Cached(nodes=nodes):
                self._tracker.cached(nodes)
            case messages.Executing(node=None):
                self._over.set()
                self._look()
            case messages.Executing(node=node):
                self._tracker.executing(node)
                self._begin()
            case messages.Progress(node=node, value=value, maximum=maximum):
                self._tracker.step(node, value, maximum)
            case messages.ProgressState(nodes=nodes):
                self._take_states(nodes)
            case messages.Executed(node=node, outputs=outputs):
                self._tracker.executed(node)
                self._collector.announce(outputs)
            case messages.Preview():
                self._take_picture(event)
                return
            case _:
                return
        self._reporter.moved()

    def _take_states(self, nodes: Mapping[str, messages.NodeProgress]) -> None:
        for node_id, node in nodes.items():
            self._tracker.state(node_id, node.value, node.maximum, finished=node.state == "finished")

    def _take_picture(self, picture: messages.Preview) -> None:
        node = picture.node or ""
        if node in self._senders:
            source = sources.of_frame(node, self._frames[node], picture.image, picture.content_type)
            self._frames[node] += 1
            self._collector.take(source)
        else:
            self._reporter.show(node, picture.content_type, picture.image)
