"""The words of execution: states of jobs and attempts, what a job asks for, and which runner can give it."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Self
from uuid import UUID


class JobState(StrEnum):
    """Where a job is in its life; the diagram stands at `JobState` in job.proto."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELING = "canceling"
    CANCELED = "canceled"
    EXPIRED = "expired"

    @property
    def terminal(self) -> bool:
        """Whether the state never changes again."""
        return self in _TERMINAL


_TERMINAL = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELED, JobState.EXPIRED})


class AttemptState(StrEnum):
    """How far one try of a job on one runner got."""

    CLAIMED = "claimed"
    STAGED = "staged"
    SUBMITTED = "submitted"
    RUNNING = "running"
    ENDED = "ended"


class FailureClass(StrEnum):
    """Why an attempt or a job failed; the class decides what happens next."""

    INVALID = "invalid"
    NODE_ERROR = "node_error"
    OUT_OF_MEMORY = "out_of_memory"
    RUNNER_FAULT = "runner_fault"
    TIMEOUT = "timeout"
    CANCELED = "canceled"
    EXPIRED = "expired"


class OutputKind(StrEnum):
    """What kind of thing a result is."""

    IMAGE = "image"
    VIDEO = "video"
    AUDIO = "audio"
    TEXT = "text"
    FILE = "file"
    LATENT = "latent"


class RunnerType(StrEnum):
    """Who may use a runner."""

    OWN = "own"
    PRO = "pro"
    PLUS = "plus"


_MANAGED_TYPES_OF_TIER: Mapping[str, frozenset[RunnerType]] = {
    "pro": frozenset({RunnerType.PRO}),
    "plus": frozenset({RunnerType.PRO, RunnerType.PLUS}),
    "enterprise": frozenset({RunnerType.PRO, RunnerType.PLUS}),
}


@dataclass(frozen=True, slots=True)
class Requirements:
    """What a caller asks of a runner."""

    tags: tuple[str, ...] = ()
    runner_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Selector:
    """Everything that decides which runners may take a job; jobs that ask for the same share one.

    Tags and node classes are kept sorted and without duplicates, so that equal wishes have equal digests.
    """

    account_id: UUID
    tier: str
    tags: tuple[str, ...]
    runner_id: UUID | None
    node_classes: tuple[str, ...]

    @classmethod
    def of(cls, account_id: UUID, tier: str, wants: Requirements, node_classes: frozenset[str]) -> Self:
        """The selector of a job."""
        tags = tuple(sorted(set(wants.tags)))
        return cls(account_id, tier, tags, wants.runner_id, tuple(sorted(node_classes)))

    def encode(self) -> bytes:
        """A canonical text form; `decode` reads it back."""
        pinned = str(self.runner_id) if self.runner_id else None
        parts = [str(self.account_id), self.tier, self.tags, pinned, self.node_classes]
        return json.dumps(parts, ensure_ascii=False, separators=(",", ":")).encode()

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read what `encode` wrote."""
        account, tier, tags, pinned, classes = json.loads(data)
        return cls(UUID(account), tier, tuple(tags), UUID(pinned) if pinned else None, tuple(classes))

    def digest(self) -> bytes:
        """32 bytes that equal selectors share."""
        return hashlib.sha256(self.encode()).digest()


@dataclass(frozen=True, slots=True)
class RunnerView:
    """What execution knows of a runner. `node_classes` is None until its catalogue was read."""

    runner_id: UUID
    account_id: UUID | None
    runner_type: str
    tags: frozenset[str]
    active: bool
    online: bool
    node_classes: frozenset[str] | None


def is_candidate(selector: Selector, runner: RunnerView) -> bool:
    """Whether the account may use the runner at all: its own, or a managed one that its tier includes."""
    if runner.runner_type == RunnerType.OWN:
        return runner.account_id == selector.account_id
    return runner.runner_type in _MANAGED_TYPES_OF_TIER.get(selector.tier, frozenset())


def takes_tags(selector: Selector, runner: RunnerView) -> bool:
    """A runner without tags takes everything; any other must carry all that are asked for."""
    return not runner.tags or runner.tags.issuperset(selector.tags)


def is_wanted(selector: Selector, runner: RunnerView) -> bool:
    """Whether the pinned runner, the tags, the owner and the active flag all agree."""
    pinned = selector.runner_id in (None, runner.runner_id)
    return runner.active and pinned and is_candidate(selector, runner) and takes_tags(selector, runner)


def knows_nodes(selector: Selector, runner: RunnerView) -> bool:
    """Whether the runner has every node class; a runner whose catalogue is unknown is given the chance."""
    return runner.node_classes is None or runner.node_classes.issuperset(selector.node_classes)


def selector_matches(selector: Selector, runner: RunnerView) -> bool:
    """Whether the runner may take jobs of the selector. Reachability is not part of the answer."""
    return is_wanted(selector, runner) and knows_nodes(selector, runner)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of a job on one runner. The number is the fencing token of its claim."""

    number: int
    runner_id: UUID
    prompt_id: UUID
    state: AttemptState
    create_time: datetime
    submit_time: datetime | None
    start_time: datetime | None
    end_time: datetime | None
    failure_class: FailureClass | None
    message: str


@dataclass(frozen=True, slots=True)
class Job:
    """One execution of a workflow.

    `progress` and `error` are encoded messages (Progress, JobError): what is stored is what is sent.
    """

    job_id: UUID
    account_id: UUID
    state: JobState
    priority: int
    labels: Mapping[str, str]
    create_time: datetime
    queue_time: datetime
    start_time: datetime | None
    end_time: datetime | None
    expire_time: datetime
    node_count: int
    progress: bytes | None
    error: bytes | None
    attempt_count: int
    attempt_open: bool
    last_sequence: int
    selector_id: int
    selector: Selector

    @property
    def waits(self) -> bool:
        """Whether it waits for a runner to take it."""
        return self.state is JobState.QUEUED and not self.attempt_open


@dataclass(frozen=True, slots=True)
class Asset:
    """A record that an account owns over bytes that may be shared. `hash` is the raw blake3 digest."""

    asset_id: UUID
    account_id: UUID
    hash: bytes
    size_bytes: int
    content_type: str
    file_path: str
    tags: tuple[str, ...]
    create_time: datetime
    expire_time: datetime | None
    job_id: UUID | None
    node_id: str | None


@dataclass(frozen=True, slots=True)
class Output:
    """A result of a job, already in the object store."""

    asset_id: UUID
    node_id: str
    name: str
    kind: OutputKind
    content_type: str
    size_bytes: int
    hash: bytes
    attempt: int


@dataclass(frozen=True, slots=True)
class QueueView:
    """What a waiting job's owner may know about its turn. `position` is None once a runner has taken it."""

    position: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class JobView:
    """A job as its owner sees it."""

    job: Job
    queue: QueueView
    attempts: Sequence[Attempt] = ()
    outputs: Sequence[Output] = ()


@dataclass(frozen=True, slots=True)
class ListFilter:
    """Which jobs of an account a list shows; empty means no restriction."""

    states: Sequence[JobState] = ()
    labels: Mapping[str, str] = field(default_factory=dict)


class DuplicatePolicy(StrEnum):
    """What an idempotency key that was used before leads to."""

    REPLAY = "replay"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class Submission:
    """A workflow that somebody wants to run, not yet checked."""

    account_id: UUID
    tier: str
    workflow: bytes = field(repr=False)
    wants: Requirements
    request_id: str
    duplicates: DuplicatePolicy
    extra_data: Mapping[str, str] = field(repr=False)
    priority: int
    labels: Mapping[str, str]

    def digest(self) -> bytes:
        """32 bytes that only equal submissions share. extra_data holds credentials and does not count."""
        pinned = str(self.wants.runner_id) if self.wants.runner_id else None
        asks = [sorted(self.wants.tags), pinned, self.priority, sorted(self.labels.items())]
        return hashlib.sha256(json.dumps(asks).encode() + b"\0" + self.workflow).digest()


@dataclass(frozen=True, slots=True)
class AssetWish:
    """What a caller wants a new asset record to say. `keep` is None for the platform's default."""

    content_type: str
    file_path: str
    tags: tuple[str, ...]
    keep: timedelta | None
    request_id: str | None

    def of_type(self, content_type: str) -> "AssetWish":
        """The same wish for bytes whose media type is known."""
        return replace(self, content_type=content_type)
