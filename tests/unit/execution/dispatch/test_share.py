"""How replicas divide the runners, and when a job is tried again."""

from uuid import UUID, uuid4

import pytest

from services.execution.dispatch.outcome import CANCELED, SUCCESS, Outcome, runner_fault
from services.execution.dispatch.retry import final, has_others, tries_again
from services.execution.dispatch.share import fair_share, surplus
from services.execution.domain import FailureClass, RunnerView, Selector

REFUSED = Outcome(FailureClass.INVALID, "prompt_refused", elsewhere=True)
WRONG = Outcome(FailureClass.INVALID, "prompt_refused")


@pytest.mark.parametrize(("runners", "replicas", "share"), [(0, 1, 0), (1, 2, 1), (4, 2, 2), (5, 2, 3), (3, 0, 3)])
def test_fair_share(runners: int, replicas: int, share: int) -> None:
    assert fair_share(runners, replicas) == share


def test_only_idle_runners_are_given_away() -> None:
    idle = [uuid4()]
    assert surplus(idle, held=4, share=2) == idle
    assert surplus(idle, held=2, share=2) == []


@pytest.mark.parametrize(
    ("outcome", "number", "others", "again"),
    [
        (runner_fault("x"), 1, False, True),
        (runner_fault("x"), 3, True, False),
        (REFUSED, 1, True, True),
        (REFUSED, 1, False, False),
        (REFUSED, 3, True, False),
        (WRONG, 1, True, False),
        (CANCELED, 1, True, False),
        (SUCCESS, 1, True, False),
    ],
)
def test_tries_again(outcome: Outcome, number: int, others: bool, again: bool) -> None:
    assert tries_again(outcome, number, 3, others=others) is again


def test_a_runner_fault_at_the_end_reads_as_a_lost_runner() -> None:
    assert final(runner_fault("x"), 3).code == "runner_lost"
    assert final(WRONG, 1) is WRONG


def test_others_must_match_answer_and_not_have_refused() -> None:
    account, runner_id = uuid4(), uuid4()
    selector = Selector(account, "pro", (), None, ())
    assert has_others(selector, [view(account, runner_id)], without=set())
    assert not has_others(selector, [view(account, runner_id)], without={runner_id})
    assert not has_others(selector, [view(account, runner_id, online=False)], without=set())
    assert not has_others(selector, [view(uuid4(), runner_id)], without=set())


def view(account_id: UUID, runner_id: UUID, *, online: bool = True) -> RunnerView:
    return RunnerView(runner_id, account_id, "own", frozenset(), active=True, online=online, node_classes=None)
