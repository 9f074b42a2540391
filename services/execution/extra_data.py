"""extra_data of jobs: kept in the memory of the replica that took the job, never stored.

A replica that dispatches the job asks here: first its own memory, then all the others over the bus.
"""

import asyncio
import json
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID, uuid4

from libs.bus import Bus
from libs.clock import Clock

ASK = "comfyfleet.execution.extra_data"


@dataclass(frozen=True, slots=True)
class _Kept:
    data: Mapping[str, str] = field(repr=False)
    until: float


class ExtraData:
    """Bounded memory of extra_data; the oldest entries go first when it is full."""

    def __init__(self, bus: Bus, clock: Clock, *, max_jobs: int, keep_seconds: float) -> None:
        self._bus = bus
        self._clock = clock
        self._max_jobs = max_jobs
        self._keep_seconds = keep_seconds
        self._kept: OrderedDict[UUID, _Kept] = OrderedDict()
        self._inbox = f"{ASK}.{uuid4().hex}"
        self._waiting: dict[UUID, asyncio.Future[Mapping[str, str]]] = {}

    async def start(self) -> None:
        """Answer the other replicas."""
        await self._bus.subscribe(ASK, self._asked)
        await self._bus.subscribe(self._inbox, self._answered)

    def put(self, job_id: UUID, extra_data: Mapping[str, str]) -> None:
        """Remember a job's extra_data until the job ends or the time is over."""
        self._forget_old()
        self._kept[job_id] = _Kept(dict(extra_data), self._clock.monotonic() + self._keep_seconds)
        while len(self._kept) > self._max_jobs:
            self._kept.popitem(last=False)

    async def get(self, job_id: UUID, wait_seconds: float = 2.0) -> Mapping[str, str] | None:
        """The job's extra_data, from here or another replica; None when nobody has it any more."""
        self._forget_old()
        kept = self._kept.get(job_id)
        return kept.data if kept else await self._ask(job_id, wait_seconds)

    async def forget(self, job_id: UUID) -> None:
        """Drop what the job no longer needs."""
        self._kept.pop(job_id, None)

    async def _ask(self, job_id: UUID, wait_seconds: float) -> Mapping[str, str] | None:
        waiting = self._waiting.get(job_id)
        if waiting is None:
            waiting = self._waiting[job_id] = asyncio.get_running_loop().create_future()
        await self._bus.publish(ASK, json.dumps({"job_id": str(job_id), "reply": self._inbox}).encode())
        try:
            return await asyncio.wait_for(asyncio.shield(waiting), wait_seconds)
        except TimeoutError:
            return None
        finally:
            self._waiting.pop(job_id, None)

    async def _asked(self, data: bytes) -> None:
        question = json.loads(data)
        kept = self._kept.get(UUID(question["job_id"]))
        if kept is not None:
            answer = {"job_id": question["job_id"], "extra_data": dict(kept.data)}
            await self._bus.publish(question["reply"], json.dumps(answer).encode())

    async def _answered(self, data: bytes) -> None:
        answer = json.loads(data)
        waiting = self._waiting.get(UUID(answer["job_id"]))
        if waiting is not None and not waiting.done():
            waiting.set_result(answer["extra_data"])

    def _forget_old(self) -> None:
        now = self._clock.monotonic()
        while self._kept and next(iter(self._kept.values())).until <= now:
            self._kept.popitem(last=False)
