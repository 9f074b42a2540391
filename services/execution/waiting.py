"""Why a job waits, in words that a person can act on."""

from services.execution.domain import (
    Job,
    JobState,
    RunnerView,
    Selector,
    is_candidate,
    is_wanted,
    knows_nodes,
)
from services.execution.ports import Fleet

_MAX_NAMES = 10


def waiting_reason(job: Job, fleet: Fleet) -> str:
    """`code: sentence` as Job.waiting_reason in job.proto defines it; empty when the job does not wait."""
    if job.state is not JobState.QUEUED:
        return ""
    if job.attempt_open:
        return "in_runner_queue: a runner has taken it and works on its queue"
    return _fleet_reason(job.selector, fleet)


def candidates(selector: Selector, fleet: Fleet) -> list[RunnerView]:
    """The active runners whose owner, tags and pin fit, whatever nodes they have."""
    return [runner for runner in fleet.runners() if is_wanted(selector, runner)]


def _fleet_reason(selector: Selector, fleet: Fleet) -> str:
    if not fleet.synced:
        return ""
    wanted = candidates(selector, fleet)
    if not wanted:
        return _nobody(selector, fleet)
    able = [runner for runner in wanted if knows_nodes(selector, runner)]
    if not able:
        return _nodes_missing(selector, wanted)
    if not any(runner.online for runner in able):
        return "matching_runners_offline: no matching runner answers"
    return "all_busy: every matching runner is busy"


def _nobody(selector: Selector, fleet: Fleet) -> str:
    if not any(runner.active and is_candidate(selector, runner) for runner in fleet.runners()):
        return "no_active_runner: the account has no active runner"
    if selector.runner_id is not None:
        return "no_matching_runner: the runner asked for is not active or lacks the tags"
    return f"no_matching_runner: no active runner carries all of: {_names(selector.tags)}"


def _nodes_missing(selector: Selector, wanted: list[RunnerView]) -> str:
    closest = min((_missing(selector, runner) for runner in wanted), key=len)
    return f"node_classes_missing: no matching runner has all nodes; the closest lacks: {_names(closest)}"


def _missing(selector: Selector, runner: RunnerView) -> tuple[str, ...]:
    known = runner.node_classes or frozenset()
    return tuple(name for name in selector.node_classes if name not in known)


def _names(names: tuple[str, ...]) -> str:
    return ", ".join(names[:_MAX_NAMES]) + (", …" if len(names) > _MAX_NAMES else "")
