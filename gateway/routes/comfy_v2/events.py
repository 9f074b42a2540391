"""`/api/v2/jobs/{id}/events`: a job's life as server-sent events."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from comfyfleet.execution.v1.event_pb2 import JobEvent
from comfyfleet.execution.v1.execution_service_pb2 import GetJobRequest, WatchJobRequest, WatchJobResponse
from comfyfleet.execution.v1.job_pb2 import Job
from gateway import sse
from gateway.auth import Session
from gateway.routes.comfy_v2.base import ComfyV2Routes, field_error, resource_id
from gateway.routes.comfy_v2.bodies import STATUS, TERMINAL, Bodies, preview, progress
from libs.errors import Exhausted, Unavailable
from libs.rpc.client import stream


@dataclass(frozen=True, slots=True)
class Events(ComfyV2Routes):
    """The live view; `GET /jobs/{id}` stays the truth."""

    open_streams: Counter[str] = field(default_factory=Counter)

    async def stream(self, request: Request) -> Response:
        """GET /jobs/{id}/events.

        An addition to the standard: durable events carry an `id`, and `Last-Event-ID` resumes behind it.
        """
        session = await self.sessions.of(request)
        job_id = resource_id(request, "JOB_NOT_FOUND")
        query = WatchJobRequest(job_id=job_id, previews=True, after_sequence=last_event_id(request))
        # Unknown and foreign jobs are refused while there is still a status line to say it in.
        await self.backends.execution.GetJob(GetJobRequest(job_id=job_id), metadata=session.metadata)
        if self.open_streams[session.account_id] >= self.limits.streams_per_account:
            raise Exhausted("TOO_MANY_STREAMS", "too many event streams are open", retry_after=2)
        return StreamingResponse(self._body(request, session, query), headers=sse.HEADERS)

    async def _body(self, request: Request, session: Session, query: WatchJobRequest) -> AsyncIterator[bytes]:
        self.open_streams[session.account_id] += 1
        try:
            frames = sse.frames(self._events(request, session, query), self.limits.heartbeat_seconds)
            async with aclosing(frames) as source:
                async for frame in source:
                    yield frame
        finally:
            self.open_streams[session.account_id] -= 1

    async def _events(self, request: Request, session: Session, query: WatchJobRequest) -> AsyncIterator[sse.Event]:
        words = self.bodies(request, session)
        try:
            async with stream(self.backends.execution.WatchJob(query, metadata=session.metadata)) as updates:
                async for update in updates:
                    for event in events_of(update, words, query):
                        yield event
        except Unavailable:
            # The service goes away: ending the stream makes every client connect again and resume.
            return


def last_event_id(request: Request) -> int | None:
    """Where to resume: the Last-Event-ID header."""
    value = request.headers.get("last-event-id", "")
    if not value:
        return None
    if not (value.isascii() and value.isdigit() and len(value) <= 18):
        raise field_error("Last-Event-ID", "must be the id of an event of this stream")
    return int(value)


def events_of(update: WatchJobResponse, words: Bodies, query: WatchJobRequest) -> list[sse.Event]:
    """The frames for one update of the service."""
    match update.WhichOneof("update"):
        case "job":
            return snapshot(update.job, query)
        case "event":
            return durable(update.event, words, query.job_id)
        case "progress":
            return [sse.Event("progress", progress(update.progress))]
        case "preview":
            return [sse.Event("preview", preview(update.preview))]
        case "queue":
            position = update.queue.queue_position if update.queue.HasField("queue_position") else None
            waiting = update.queue.waiting_reason or None
            return [sse.Event("status", {"status": "queued", "queue_position": position, "waiting_reason": waiting})]
        case _:
            return []


def snapshot(job: Job, query: WatchJobRequest) -> list[sse.Event]:
    """What a client gets on connecting: the state and, once there is any, the progress."""
    position = job.queue_position if job.HasField("queue_position") else None
    state = {
        "status": STATUS[job.state],
        "queue_position": position,
        "waiting_reason": job.waiting_reason or None,
    }
    latest = [sse.Event("progress", progress(job.progress))] if job.HasField("progress") else []
    return latest if _replay_ends_it(job, query) else [sse.Event("status", state), *latest]


def _replay_ends_it(job: Job, query: WatchJobRequest) -> bool:
    """Clients stop at a terminal status, so while events are still to be replayed it must come last."""
    resumed = query.HasField("after_sequence") and query.after_sequence < job.last_sequence
    return resumed and STATUS[job.state] in TERMINAL


def durable(event: JobEvent, words: Bodies, job_id: str) -> list[sse.Event]:
    """Frames for events that are kept; attempts have no word in the standard and are skipped."""
    match event.WhichOneof("event"):
        case "status":
            return [sse.Event("status", {"status": STATUS[event.status.state], "queue_position": None}, event.sequence)]
        case "output":
            return [sse.Event("output", words.output(event.output, job_id), event.sequence)]
        case "log":
            return [sse.Event("log", {"level": event.log.level, "message": event.log.message}, event.sequence)]
        case _:
            return []
