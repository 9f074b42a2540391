"""Copying results from the runner to the object store, while the job still runs where that is possible."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import suppress
from uuid import uuid4

from libs.blobs import BlobInfo, BlobStore
from libs.clock import Clock
from libs.comfy import DataOutput, OutputFile
from libs.errors import ServiceError
from services.execution.dispatch import sources
from services.execution.dispatch.contact import Contact, Rejected, Unreachable
from services.execution.dispatch.journal import Journal
from services.execution.dispatch.outcome import runner_fault
from services.execution.dispatch.over import AttemptOver
from services.execution.dispatch.patience import patiently
from services.execution.dispatch.sources import Source
from services.execution.store.dispatch import NewOutput

_RETRIES = 3
_RETRY_PAUSE = 0.3
_GATHER_SECONDS = 0.05
_INLINE = 1 << 20

Key = tuple[str, str]


class OutputCollector:
    """Takes results as they are announced, and makes sure at the end that none is missing.

    Each result is copied once, however often it is announced. Bytes that are stored but not yet recorded wait a
    moment, so that those of a short job are recorded together with its end.
    """

    def __init__(
        self,
        contact: Contact,
        blobs: BlobStore,
        journal: Journal,
        clock: Clock,
        group: asyncio.TaskGroup,
        stored: frozenset[Key],
        copies: int,
    ) -> None:
        self._contact = contact
        self._blobs = blobs
        self._journal = journal
        self._clock = clock
        self._group = group
        self._stored = stored
        self._slots = asyncio.Semaphore(copies)
        self._copies: dict[Key, asyncio.Task[None]] = {}
        self._ready: list[NewOutput] = []
        self._closing = asyncio.Event()
        self._recording: asyncio.Task[None] | None = None
        self._failure: AttemptOver | None = None

    def announce(self, outputs: Iterable[OutputFile | DataOutput]) -> None:
        """The runner has these results."""
        for source in sources.of_outputs(outputs):
            self.take(source)

    def take(self, source: Source) -> None:
        """Copy one result, unless that is done or under way."""
        key = (source.node_id, source.key)
        if key not in self._copies and key not in self._stored:
            self._copies[key] = self._group.create_task(self._copy(source))

    async def complete(self, outputs: Iterable[OutputFile | DataOutput]) -> Sequence[NewOutput]:
        """Copy what history names and nobody announced; wait for all. Returns what is not recorded yet.

        Raises AttemptOver when the runner no longer gives a result away.
        """
        self.announce(outputs)
        if self._copies:
            await asyncio.wait(self._copies.values())
        if self._failure:
            raise self._failure
        return await self.unrecorded()

    async def unrecorded(self) -> Sequence[NewOutput]:
        """Stored results that are still to be recorded; from now on the caller has to."""
        self._closing.set()
        if self._recording:
            await asyncio.wait([self._recording])
        ready, self._ready = self._ready, []
        return sorted(ready, key=lambda output: (output.node_id, output.position))

    def abandon(self) -> None:
        """Nothing more is wanted."""
        for task in (*self._copies.values(), self._recording):
            if task:
                task.cancel()

    async def _copy(self, source: Source) -> None:
        try:
            async with self._slots:
                info = await self._store(source)
        except AttemptOver as over:
            self._failure = over
            return
        self._ready.append(_new_output(source, info))
        if self._recording is None or self._recording.done():
            self._recording = self._group.create_task(self._record_soon())

    async def _record_soon(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_GATHER_SECONDS):
                await self._closing.wait()
                return
        ready, self._ready = self._ready, []
        if ready:
            self._journal.outputs(ready)

    async def _store(self, source: Source) -> BlobInfo:
        if source.file is None:
            return await patiently(self._clock, lambda: self._blobs.put(source.data))
        return await self._fetch(source.file)

    async def _fetch(self, file: OutputFile) -> BlobInfo:
        for _ in range(_RETRIES):
            try:
                return await self._contact.patiently(lambda: self._copy_file(file))
            except Rejected:
                await self._clock.sleep(_RETRY_PAUSE)
        raise AttemptOver(runner_fault(f"the runner no longer has the result {file.filename}"))

    async def _copy_file(self, file: OutputFile) -> BlobInfo:
        return await patiently(self._clock, lambda: self._pass_on(file))

    async def _pass_on(self, file: OutputFile) -> BlobInfo:
        async with self._contact.view(file) as chunks:
            return await _put(self._blobs, chunks)


async def _put(blobs: BlobStore, chunks: AsyncIterator[bytes]) -> BlobInfo:
    """Small results in one write; large ones as a stream."""
    head = bytearray()
    async for chunk in chunks:
        head += chunk
        if len(head) > _INLINE:
            return await _put_large(blobs, bytes(head), chunks)
    return await blobs.put(bytes(head))


async def _put_large(blobs: BlobStore, head: bytes, chunks: AsyncIterator[bytes]) -> BlobInfo:
    # The store turns whatever the stream raises into its own error, so the runner's is kept apart.
    failures: list[Unreachable] = []

    async def whole() -> AsyncIterator[bytes]:
        yield head
        try:
            async for chunk in chunks:
                yield chunk
        except ServiceError as error:
            failures.append(Unreachable(error.message))
            raise

    try:
        return await blobs.put_stream(whole())
    except ServiceError:
        if failures:
            raise failures[0] from None
        raise


def _new_output(source: Source, info: BlobInfo) -> NewOutput:
    return NewOutput(
        asset_id=uuid4(),
        node_id=source.node_id,
        source=source.key,
        position=source.position,
        name=source.name,
        kind=source.kind,
        content_type=source.content_type,
        hash=info.hash,
        size_bytes=info.size,
    )
