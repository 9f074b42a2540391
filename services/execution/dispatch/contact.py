"""The connection to one runner: HTTP calls in the words of dispatch, and one websocket that is always read."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID, uuid4

import structlog

from libs.clock import Clock
from libs.comfy import (
    Absent,
    ComfyClient,
    FileMissing,
    OutputFile,
    PromptRefused,
    Submitted,
    SubmitUnclear,
    UploadRefused,
    Whereabouts,
)
from libs.comfy.messages import Event
from libs.errors import InvalidArgument, ServiceError
from libs.outbound import BadAnswer, TooLarge
from libs.outbound import Unreachable as NoAnswer
from services.execution.dispatch.claim import Claim
from services.execution.dispatch.fleet import Runner
from services.execution.dispatch.outcome import runner_fault
from services.execution.dispatch.over import AttemptOver

T = TypeVar("T")
Hear = Callable[[Event], None]

_SUBFOLDER = "comfyfleet"
_CALL_SECONDS = 15.0
_SOCKET_SECONDS = 1.0
_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 3.0
_log = structlog.get_logger(__name__)


class Unreachable(Exception):
    """The runner gave no answer, or none that ComfyUI would give."""


class Rejected(Exception):
    """The runner answered, and the answer is no."""


class NotSent(Exception):
    """The runner has not seen the prompt."""


class Unclear(Exception):
    """The runner may have the prompt. `in_flight`: it may also get it a little later."""

    def __init__(self, *, in_flight: bool) -> None:
        super().__init__("the runner's answer to the prompt is unclear")
        self.in_flight = in_flight


class Refused(Exception):
    """The runner will never run this graph."""

    def __init__(self, error: Mapping[str, Any], node_errors: Mapping[str, Any]) -> None:
        super().__init__("the runner refused the graph")
        self.error = error
        self.node_errors = node_errors


@dataclass(frozen=True, slots=True)
class Taken:
    """The runner has the prompt under this id. `warnings`: what of the graph it left out."""

    prompt_id: str
    warnings: Sequence[str] = ()


class Contact:
    """All calls raise Unreachable when the runner does not answer."""

    def __init__(self, runner: Runner, client: ComfyClient, clock: Clock, lost_seconds: float) -> None:
        self.runner = runner
        self._client = client
        self._clock = clock
        self._lost_seconds = lost_seconds
        self._answered = clock.monotonic()
        self._client_id = ""
        self.connections = 0
        """How often the websocket was opened: each time the server may be another than before."""
        self._up = asyncio.Event()
        self._listening: asyncio.Task[None] | None = None
        self._hear: Hear | None = None

    @property
    def connected(self) -> bool:
        """Whether the websocket is open: the runner's process lives."""
        return self._up.is_set()

    async def patiently(self, action: Callable[[], Awaitable[T]]) -> T:
        """Do it again until the runner answers. AttemptOver when it has not for too long."""
        began, pause = self._clock.monotonic(), _FIRST_PAUSE
        while True:
            try:
                return await action()
            except Unreachable as error:
                silent = self._clock.monotonic() - max(began, self._answered)
                if silent >= self._lost_seconds:
                    raise AttemptOver(runner_fault(f"the runner did not answer for {silent:.0f} s")) from error
            await self._clock.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def find(self, claim: Claim) -> Taken | None:
        """The prompt of a claim, whatever id the runner gave it."""
        found = await self.look(str(claim.prompt_id))
        return None if isinstance(found, Absent) else Taken(found.prompt_id)

    async def look(self, prompt_id: str) -> Whereabouts:
        """Where a prompt is now."""
        return await self._call(self._client.find(prompt_id))

    async def send(self, claim: Claim, graph: Mapping[str, Any], secrets: Mapping[str, str]) -> Taken:
        """Queue the prompt. Raises NotSent, Unclear or Refused."""
        await self._wait_for_socket()
        client_id = self._client_id or uuid4().hex
        try:
            taken = await self._client.submit(graph, str(claim.prompt_id), client_id, secrets)
        except PromptRefused as refused:
            raise Refused(refused.error, refused.node_errors) from refused
        except SubmitUnclear as unclear:
            raise Unclear(in_flight=unclear.status == 0) from unclear
        except ServiceError as error:
            raise NotSent from error
        self.answered()
        return Taken(taken.prompt_id, _left_out(taken))

    async def cancel(self, prompt_id: str) -> None:
        """Ask the runner to stop a prompt, and no other."""
        await self._call(self._client.cancel(prompt_id))

    async def upload(self, name: str, data: AsyncIterator[bytes]) -> str:
        """Put an input on the runner; returns the name to use in a graph. Raises Rejected."""
        with _translated():
            stored = await self._client.upload_image(name, data, subfolder=_SUBFOLDER, overwrite=True)
        self.answered()
        return stored

    @asynccontextmanager
    async def view(self, file: OutputFile) -> AsyncIterator[AsyncIterator[bytes]]:
        """The bytes of a result. Raises Rejected when the runner does not have it."""
        with _translated():
            async with self._client.view(file) as download:
                self.answered()
                yield download.chunks()

    async def marked_prompts(self) -> Mapping[UUID, str]:
        """Our own prompts in the runner's queue: our id for each, and the runner's."""
        queue = await self._call(self._client.queue())
        ours: dict[UUID, str] = {}
        for item in (*queue.running, *queue.pending):
            with suppress(ValueError):
                ours[UUID(item.marker or "")] = item.prompt_id
        return ours

    async def node_classes(self) -> tuple[str, frozenset[str]]:
        """The server's version and what it can do."""
        version = await self._call(self._client.version())
        return version.text, await self._call(self._client.node_classes())

    @contextmanager
    def listen(self, hear: Hear) -> Iterator[None]:
        """Hand every message of the websocket to `hear`, which must be quick."""
        self._hear = hear
        try:
            yield
        finally:
            self._hear = None

    def distrust_socket(self) -> None:
        """It was silent when it should have spoken: connect anew."""
        _log.warning("websocket_deaf", runner_id=str(self.runner.runner_id))
        if self._listening:
            self._listening.cancel()

    def answered(self) -> None:
        """The runner lives."""
        self._answered = self._clock.monotonic()

    async def keep_listening(self) -> None:
        """Hold a websocket open until cancelled; each connection has a client id of its own."""
        pause = _FIRST_PAUSE
        while True:
            began = self._clock.monotonic()
            self._listening = asyncio.create_task(self._listen_once())
            try:
                await asyncio.wait([self._listening])
            finally:
                self._listening.cancel()
                self._up.clear()
            pause = _FIRST_PAUSE if self._clock.monotonic() - began > 5 else min(pause * 2, _LONGEST_PAUSE)
            await self._clock.sleep(pause)

    async def _listen_once(self) -> None:
        try:
            async with self._client.events() as stream:
                self._client_id = stream.client_id
                self.connections += 1
                self._up.set()
                async for event in stream:
                    self.answered()
                    if self._hear:
                        self._hear(event)
        except ServiceError as error:
            _log.info("websocket_closed", runner_id=str(self.runner.runner_id), reason=error.reason)

    async def _wait_for_socket(self) -> None:
        """Messages of a prompt go to the socket that was open when it was sent."""
        if not self._up.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(_SOCKET_SECONDS):
                    await self._up.wait()

    async def _call(self, call: Awaitable[T]) -> T:
        try:
            with _translated():
                async with asyncio.timeout(_CALL_SECONDS):
                    answer = await call
        except TimeoutError as error:
            raise Unreachable("no answer in time") from error
        except Rejected as error:
            raise Unreachable(str(error)) from error
        self.answered()
        return answer


class Contacts:
    """The open contacts of this replica, one for each runner that it drives."""

    def __init__(self, make_client: Callable[[Runner], ComfyClient], clock: Clock, lost_seconds: float) -> None:
        self._make_client = make_client
        self._clock = clock
        self._lost_seconds = lost_seconds
        self._open: dict[UUID, Contact] = {}

    def all(self) -> Sequence[Contact]:
        """Those that are open now."""
        return list(self._open.values())

    @asynccontextmanager
    async def open(self, runner: Runner) -> AsyncIterator[Contact]:
        """A contact whose websocket is read until the block ends."""
        contact = Contact(runner, self._make_client(runner), self._clock, self._lost_seconds)
        listening = asyncio.create_task(contact.keep_listening(), name=f"websocket {runner.runner_id}")
        self._open[runner.runner_id] = contact
        try:
            yield contact
        finally:
            del self._open[runner.runner_id]
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (FileMissing, UploadRefused, TooLarge) as error:
        raise Rejected(error.message) from error
    except (NoAnswer, BadAnswer, InvalidArgument) as error:
        # An address that is not allowed, or is none, is as good as a runner that does not answer.
        raise Unreachable(error.message) from error


def _left_out(taken: Submitted) -> Sequence[str]:
    return [
        f"the runner left out what depends on node {node_id} ({node.get('class_type', 'unknown class')}): "
        + "; ".join(str(error.get("message", "")) for error in node.get("errors") or ())
        for node_id, node in taken.node_errors.items()
        if isinstance(node, dict)
    ]
