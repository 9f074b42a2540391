"""Between wire messages and the words of the domain. Nothing is decided here but what text is acceptable."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from uuid import UUID

from google.protobuf.timestamp_pb2 import Timestamp

from comfyfleet.execution.v1 import (
    asset_pb2,
    asset_service_pb2,
    event_pb2,
    execution_service_pb2,
    job_pb2,
)
from libs.errors import Forbidden, InvalidArgument
from libs.identity import Principal
from libs.paging import decode_page_token, encode_page_token
from services.execution.domain import (
    Asset,
    AssetWish,
    Attempt,
    DuplicatePolicy,
    FailureClass,
    Job,
    JobState,
    JobView,
    ListFilter,
    Output,
    QueueView,
    Requirements,
    Submission,
)

MAX_PAGE_SIZE = 1000
HASH_PREFIX = "blake3:"


def account_of(principal: Principal) -> UUID:
    """The account that acts. Raises Forbidden for operators and services, who have none."""
    if not principal.account_id:
        raise Forbidden("NOT_ALLOWED", "this needs the identity of an account")
    return UUID(principal.account_id)


def creating_account(principal: Principal) -> UUID:
    """The account that acts, if it may create things. Raises Forbidden: ACCOUNT_DELETED."""
    if principal.deleted:
        raise Forbidden("ACCOUNT_DELETED", "the account is marked for deletion")
    return account_of(principal)


def text(field: str, value: str) -> str:
    """Text that the database can hold. Raises InvalidArgument for a NUL."""
    if "\0" in value:
        raise InvalidArgument("INVALID_FIELD", f"{field} holds a NUL", fields={field: "must not hold NUL"})
    return value


def identifier(field: str, value: str) -> UUID | None:
    """A UUID, or None for an empty field."""
    if not value:
        return None
    try:
        return UUID(value)
    except ValueError:
        message = f"{field} is not a UUID"
        raise InvalidArgument("INVALID_FIELD", message, fields={field: "must be a UUID"}) from None


def uuid(value: str) -> UUID:
    """A UUID whose form was validated."""
    return UUID(value)


def tags(field: str, values: Iterable[str]) -> tuple[str, ...]:
    """Trimmed, without empty ones and repetitions, in the order given."""
    cleaned = (text(field, value).strip() for value in values)
    return tuple(dict.fromkeys(tag for tag in cleaned if tag))


def labels(values: Mapping[str, str]) -> dict[str, str]:
    """Labels that the database can hold."""
    return {text("labels", key): text("labels", value) for key, value in values.items()}


def submission(request: execution_service_pb2.SubmitJobRequest, principal: Principal) -> Submission:
    """What SubmitJob asks for."""
    refuse = request.duplicate_policy == execution_service_pb2.DUPLICATE_POLICY_REFUSE
    return Submission(
        account_id=creating_account(principal),
        tier=principal.tier,
        workflow=request.workflow,
        wants=requirements(request.requirements),
        request_id=text("request_id", request.request_id),
        duplicates=DuplicatePolicy.REFUSE if refuse else DuplicatePolicy.REPLAY,
        extra_data=dict(request.extra_data),
        priority=request.priority,
        labels=labels(request.labels),
    )


def requirements(message: job_pb2.Requirements) -> Requirements:
    """What a job asks of a runner."""
    pinned = identifier("requirements.runner_id", message.runner_id)
    return Requirements(tags("requirements.tags", message.tags), pinned)


def list_filter(request: execution_service_pb2.ListJobsRequest) -> ListFilter:
    """Which jobs ListJobs shows."""
    return ListFilter([job_state(state) for state in request.states], labels(request.labels))


def asset_wish(
    message: asset_service_pb2.UploadMetadata | asset_service_pb2.CreateAssetFromHashRequest,
    content_type: str = "",
) -> AssetWish:
    """What a caller wants a new record to say."""
    keep = message.expires_in.ToTimedelta() if message.HasField("expires_in") else None
    return AssetWish(
        content_type=text("content_type", content_type),
        file_path=text("file_path", message.file_path),
        tags=tags("tags", message.tags),
        keep=keep,
        request_id=text("request_id", message.request_id) or None,
    )


def digest(value: str) -> bytes:
    """The raw bytes of `blake3:<hex>`, whose form was validated."""
    return bytes.fromhex(value.removeprefix(HASH_PREFIX))


def hash_text(raw: bytes) -> str:
    """`blake3:<hex>`."""
    return HASH_PREFIX + raw.hex()


def job_state(message: "job_pb2.JobState.ValueType") -> JobState:
    """The domain's word for a state."""
    return JobState(job_pb2.JobState.Name(message).removeprefix("JOB_STATE_").lower())


def state_number(state: JobState) -> "job_pb2.JobState.ValueType":
    """The wire's number for a state."""
    return job_pb2.JobState.Value(f"JOB_STATE_{state.name}")


def failure_number(failure: FailureClass | None) -> "job_pb2.FailureClass.ValueType":
    """The wire's number for a class of failure."""
    name = failure.name if failure else "UNSPECIFIED"
    return job_pb2.FailureClass.Value(f"FAILURE_CLASS_{name}")


def status_event(state: JobState, error: job_pb2.JobError | None = None) -> event_pb2.JobEvent:
    """The event that says a job's state changed."""
    return event_pb2.JobEvent(status=event_pb2.StatusEvent(state=state_number(state), error=error))


def expired(reason: str) -> job_pb2.JobError:
    """Why a job that nobody took ended."""
    return job_pb2.JobError(
        failure_class=failure_number(FailureClass.EXPIRED),
        code="queue_deadline_exceeded",
        message=reason or "no runner took the job in time",
    )


def job_view(view: JobView) -> job_pb2.Job:
    """A job with everything its owner may know."""
    message = job(view.job, view.queue)
    message.attempts.extend(attempt(one) for one in view.attempts)
    message.outputs.extend(output(one) for one in view.outputs)
    return message


def job(stored: Job, queue: QueueView) -> job_pb2.Job:
    """A job without attempts and outputs."""
    message = job_pb2.Job(
        job_id=str(stored.job_id),
        account_id=str(stored.account_id),
        state=state_number(stored.state),
        create_time=timestamp(stored.create_time),
        start_time=timestamp(stored.start_time),
        end_time=timestamp(stored.end_time),
        expire_time=timestamp(stored.expire_time),
        queue_position=queue.position,
        waiting_reason=queue.reason,
        requirements=_requirements_message(stored),
        priority=stored.priority,
        last_sequence=stored.last_sequence,
        labels=stored.labels,
    )
    if stored.progress is not None:
        message.progress.MergeFromString(stored.progress)
    if stored.error is not None:
        message.error.MergeFromString(stored.error)
    return message


def attempt(stored: Attempt) -> job_pb2.Attempt:
    """One try."""
    return job_pb2.Attempt(
        number=stored.number,
        runner_id=str(stored.runner_id),
        prompt_id=str(stored.prompt_id),
        state=job_pb2.AttemptState.Value(f"ATTEMPT_STATE_{stored.state.name}"),
        create_time=timestamp(stored.create_time),
        submit_time=timestamp(stored.submit_time),
        start_time=timestamp(stored.start_time),
        end_time=timestamp(stored.end_time),
        failure_class=failure_number(stored.failure_class),
        message=stored.message,
    )


def output(stored: Output) -> job_pb2.Output:
    """One result."""
    return job_pb2.Output(
        asset_id=str(stored.asset_id),
        node_id=stored.node_id,
        name=stored.name,
        kind=job_pb2.OutputKind.Value(f"OUTPUT_KIND_{stored.kind.name}"),
        content_type=stored.content_type,
        size_bytes=stored.size_bytes,
        hash=hash_text(stored.hash),
        attempt=stored.attempt,
    )


def asset(stored: Asset) -> asset_pb2.Asset:
    """A record of bytes."""
    return asset_pb2.Asset(
        asset_id=str(stored.asset_id),
        hash=hash_text(stored.hash),
        size_bytes=stored.size_bytes,
        content_type=stored.content_type,
        file_path=stored.file_path,
        tags=stored.tags,
        create_time=timestamp(stored.create_time),
        expire_time=timestamp(stored.expire_time),
        job_id=str(stored.job_id) if stored.job_id else "",
        node_id=stored.node_id or "",
    )


def queue_update(queue: QueueView) -> execution_service_pb2.QueueUpdate:
    """What a waiting job's watcher learns."""
    return execution_service_pb2.QueueUpdate(queue_position=queue.position, waiting_reason=queue.reason)


def watch_update(
    update: JobView | QueueView | event_pb2.JobEvent | job_pb2.Progress | event_pb2.Preview,
) -> execution_service_pb2.WatchJobResponse:
    """One message of WatchJob."""
    match update:
        case JobView():
            return execution_service_pb2.WatchJobResponse(job=job_view(update))
        case QueueView():
            return execution_service_pb2.WatchJobResponse(queue=queue_update(update))
        case job_pb2.Progress():
            return execution_service_pb2.WatchJobResponse(progress=update)
        case event_pb2.Preview():
            return execution_service_pb2.WatchJobResponse(preview=update)
        case _:
            return execution_service_pb2.WatchJobResponse(event=update)


def timestamp(time: datetime | None) -> Timestamp | None:
    """The wire's form of a time; None stays absent."""
    if time is None:
        return None
    message = Timestamp()
    message.FromDatetime(time)
    return message


def page_token(time: datetime, row_id: UUID) -> str:
    """Where the next page starts: behind this row."""
    return encode_page_token([(time - _EPOCH) // _MICROSECOND, row_id.hex])


def page_start(token: str) -> tuple[datetime, UUID] | None:
    """The row behind which a page starts; None for the first. Raises InvalidArgument: PAGE_TOKEN_INVALID."""
    position = decode_page_token(token)
    if position is None:
        return None
    try:
        micros, row_id = position
        return _EPOCH + micros * _MICROSECOND, UUID(row_id)
    except (ValueError, TypeError, AttributeError, OverflowError):
        raise InvalidArgument("PAGE_TOKEN_INVALID", "the page token is not one of ours") from None


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def _requirements_message(stored: Job) -> job_pb2.Requirements:
    pinned = stored.selector.runner_id
    return job_pb2.Requirements(tags=stored.selector.tags, runner_id=str(pinned) if pinned else "")
