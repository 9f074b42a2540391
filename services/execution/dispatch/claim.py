"""A claim: the right to drive one attempt of a job on one runner, until it ends or another replica takes over."""

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from services.execution.domain import AttemptState, JobState, Selector


class Fenced(Exception):
    """The attempt is over or belongs to another replica: whoever sees this stops at once."""


@dataclass(frozen=True, slots=True)
class Claim:
    """One open attempt with what is needed to bring it to its end. The number is the fencing token.

    `adopted`: somebody drove it before, so that the runner may have the prompt whatever the state says.
    """

    job_id: UUID
    account_id: UUID
    number: int
    runner_id: UUID
    prompt_id: UUID
    runner_prompt_id: str | None
    state: AttemptState
    job_state: JobState
    create_time: datetime
    needs_extra_data: bool
    node_count: int
    job_expire_time: datetime
    selector: Selector
    adopted: bool
    workflow: bytes = field(repr=False)

    @property
    def submitted(self) -> bool:
        """Whether the runner is known to have taken the prompt."""
        return self.state in (AttemptState.SUBMITTED, AttemptState.RUNNING)
