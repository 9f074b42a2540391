"""Whether another attempt follows. Pure."""

from collections.abc import Collection, Iterable
from uuid import UUID

from services.execution.dispatch.outcome import Outcome, runner_lost
from services.execution.domain import FailureClass, RunnerView, Selector, selector_matches


def tries_again(outcome: Outcome, number: int, max_attempts: int, *, others: bool) -> bool:
    """Whether the job goes back to the queue. `others`: runners that match and did not refuse the job."""
    if number >= max_attempts:
        return False
    if outcome.failure is FailureClass.RUNNER_FAULT:
        return True
    return outcome.failure is FailureClass.INVALID and outcome.elsewhere and others


def final(outcome: Outcome, number: int) -> Outcome:
    """What the job's owner is told when no attempt follows."""
    return runner_lost(outcome, number) if outcome.failure is FailureClass.RUNNER_FAULT else outcome


def has_others(selector: Selector, runners: Iterable[RunnerView], without: Collection[UUID]) -> bool:
    """Whether a runner that answers could take the job, beside those excluded."""
    return any(
        runner.online and runner.runner_id not in without and selector_matches(selector, runner) for runner in runners
    )
