"""Live news of jobs between replicas, and the wake-ups of dispatch.

Everything here may be lost without harm: the truth is in the database. What this replica says reaches its own
watchers directly, so a replica without a bus still serves its own jobs live.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from typing import TypeVar
from uuid import UUID, uuid4

import structlog
from google.protobuf.message import DecodeError

from comfyfleet.execution.v1 import job_pb2
from comfyfleet.execution.v1.event_pb2 import JobEvent, LiveUpdate, Preview
from libs.bus import Bus
from libs.watch import Hub, Subscription
from services.execution.domain import Selector

LIVE = "comfyfleet.execution.live"
QUEUED = "comfyfleet.execution.queued"
CANCEL = "comfyfleet.execution.cancel"

_ORIGIN_BYTES = 16
_TERMINAL = frozenset(
    {
        job_pb2.JOB_STATE_SUCCEEDED,
        job_pb2.JOB_STATE_FAILED,
        job_pb2.JOB_STATE_CANCELED,
        job_pb2.JOB_STATE_EXPIRED,
    }
)
log = structlog.get_logger(__name__)

SelectorHandler = Callable[[Selector], Awaitable[None]]
JobHandler = Callable[[UUID], Awaitable[None]]
_T = TypeVar("_T")


def is_end(event: JobEvent) -> bool:
    """Whether the event is the last of its job."""
    return event.HasField("status") and event.status.state in _TERMINAL


class PreviewCache:
    """The last preview of running jobs, at most so many bytes; the longest untouched goes first."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._previews: OrderedDict[str, Preview] = OrderedDict()

    def put(self, job_id: str, preview: Preview) -> None:
        """Replace the job's preview."""
        self.drop(job_id)
        self._previews[job_id] = preview
        self._bytes += len(preview.data)
        while self._bytes > self._max_bytes:
            self.drop(next(iter(self._previews)))

    def get(self, job_id: str) -> Preview | None:
        """The job's last preview, if it is still here."""
        return self._previews.get(job_id)

    def drop(self, job_id: str) -> None:
        """Forget the job's preview."""
        old = self._previews.pop(job_id, None)
        if old is not None:
            self._bytes -= len(old.data)


class Live:
    """One subscription per subject and replica, and an in-process hub behind it."""

    def __init__(self, bus: Bus, *, preview_bytes: int = 64 << 20) -> None:
        self._bus = bus
        self._origin = uuid4().bytes
        self._hub: Hub[str, LiveUpdate] = Hub()
        self._previews = PreviewCache(preview_bytes)
        self._on_queued: list[SelectorHandler] = []
        self._on_canceled: list[JobHandler] = []
        self._on_ended: list[JobHandler] = []

    async def start(self) -> None:
        """Listen to the other replicas."""
        await self._bus.subscribe(LIVE, self._live_came)
        await self._bus.subscribe(QUEUED, self._queued_came)
        await self._bus.subscribe(CANCEL, self._cancel_came)

    @property
    def connected(self) -> bool:
        """Whether news of other replicas can arrive."""
        return self._bus.connected

    async def publish(self, update: LiveUpdate) -> None:
        """Tell every watcher of the job, here and on the other replicas. Call it after the commit."""
        await self._spread(update)
        await self._bus.publish(LIVE, self._origin + update.SerializeToString())

    async def wake_dispatch(self, selector: Selector) -> None:
        """Tell every replica that a job of this selector waits."""
        await self._run(self._on_queued, selector)
        await self._bus.publish(QUEUED, self._origin + selector.encode())

    async def job_canceled(self, job_id: UUID) -> None:
        """Tell the replica that drives the job to end it."""
        await self._run(self._on_canceled, job_id)
        await self._bus.publish(CANCEL, self._origin + job_id.bytes)

    def subscribe_queued(self, handler: SelectorHandler) -> None:
        """Call the handler for every wake-up; it must be quick."""
        self._on_queued.append(handler)

    def subscribe_canceled(self, handler: JobHandler) -> None:
        """Call the handler for every cancelled job; it must be quick."""
        self._on_canceled.append(handler)

    def subscribe_ended(self, handler: JobHandler) -> None:
        """Call the handler for every job that reached a terminal state; it must be quick."""
        self._on_ended.append(handler)

    def preview(self, job_id: UUID) -> Preview | None:
        """The last preview of a running job, if this replica still has it."""
        return self._previews.get(str(job_id))

    def follow(self, job_id: UUID) -> AbstractContextManager[Subscription[LiveUpdate]]:
        """Everything that is published about a job from now on; a full subscription drops the oldest.

        A preview comes without its picture, which `preview` has: mailboxes of slow readers stay small.
        """
        return self._hub.subscribe(str(job_id))

    async def _live_came(self, data: bytes) -> None:
        payload = self._foreign(data)
        if payload is None:
            return
        try:
            update = LiveUpdate.FromString(payload)
        except DecodeError:
            log.warning("live_update_unreadable", size=len(data))
            return
        await self._spread(update)

    async def _queued_came(self, data: bytes) -> None:
        if (payload := self._foreign(data)) is not None:
            await self._run(self._on_queued, Selector.decode(payload))

    async def _cancel_came(self, data: bytes) -> None:
        if (payload := self._foreign(data)) is not None:
            await self._run(self._on_canceled, UUID(bytes=payload))

    def _foreign(self, data: bytes) -> bytes | None:
        """The payload, unless this replica sent it and so knows it already."""
        return None if data[:_ORIGIN_BYTES] == self._origin else data[_ORIGIN_BYTES:]

    async def _spread(self, update: LiveUpdate) -> None:
        if update.HasField("preview"):
            self._previews.put(update.job_id, update.preview)
            self._hub.publish(update.job_id, LiveUpdate(job_id=update.job_id, preview=Preview()))
        else:
            self._hub.publish(update.job_id, update)
        if is_end(update.event):
            self._previews.drop(update.job_id)
            await self._run(self._on_ended, UUID(update.job_id))

    @staticmethod
    async def _run(handlers: Sequence[Callable[[_T], Awaitable[None]]], value: _T) -> None:
        for handler in handlers:
            try:
                await handler(value)
            except Exception:
                # What was committed stays right, whoever fails to hear of it.
                log.exception("live_handler_failed")
