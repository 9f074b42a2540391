"""Which runner may take which job, and what a waiting job says."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.errors import InvalidArgument
from services.execution import convert
from services.execution.domain import (
    Job,
    JobState,
    Requirements,
    RunnerView,
    Selector,
    selector_matches,
)
from services.execution.waiting import waiting_reason
from tests.support.execution import StandingFleet

ME, OTHER, PINNED = uuid4(), uuid4(), uuid4()


def wants(*tags: str, **more: Any) -> Selector:
    """What a job of mine asks for."""
    classes = frozenset(more.pop("classes", ()))
    return Selector.of(ME, more.pop("tier", "free"), Requirements(tags, more.pop("runner_id", None)), classes)


def runner(*tags: str, **more: Any) -> RunnerView:
    """A runner of mine."""
    values: dict[str, Any] = {
        "runner_id": uuid4(),
        "account_id": ME,
        "runner_type": "own",
        "active": True,
        "online": True,
        "node_classes": None,
    }
    return RunnerView(tags=frozenset(tags), **{**values, **more})


@pytest.mark.parametrize(
    ("selector", "candidate", "match"),
    [
        (wants(), runner(), True),
        (wants(), runner("a"), True),
        (wants("a"), runner(), True),
        (wants("a"), runner("a"), True),
        (wants("a"), runner("a", "b"), True),
        (wants("a", "b"), runner("b", "a"), True),
        (wants("a", "b"), runner("a", "b", "c"), True),
        (wants("a", "b"), runner("a"), False),
        (wants("a"), runner("b"), False),
        (wants("a"), runner("A"), False),
        (wants(), runner(active=False), False),
        (wants(), runner(online=False), True),
        (wants(), runner(account_id=OTHER), False),
        (wants(), runner(account_id=None, runner_type="pro"), False),
        (wants(tier="pro"), runner(account_id=None, runner_type="pro"), True),
        (wants(tier="pro"), runner(account_id=None, runner_type="plus"), False),
        (wants(tier="plus"), runner(account_id=None, runner_type="pro"), True),
        (wants(tier="plus"), runner(account_id=None, runner_type="plus"), True),
        (wants(tier="enterprise"), runner(account_id=None, runner_type="plus"), True),
        (wants(tier="enterprise"), runner(account_id=OTHER), False),
        (wants(tier="enterprise"), runner(account_id=None, runner_type="unheard of"), False),
        (wants(runner_id=PINNED), runner(), False),
        (wants(runner_id=PINNED), runner(runner_id=PINNED), True),
        (wants(runner_id=PINNED), runner(runner_id=PINNED, account_id=OTHER), False),
        (wants("a", runner_id=PINNED), runner("b", runner_id=PINNED), False),
        (wants(classes={"A"}), runner(node_classes=None), True),
        (wants(classes={"A"}), runner(node_classes=frozenset({"A", "B"})), True),
        (wants(classes={"A", "C"}), runner(node_classes=frozenset({"A", "B"})), False),
    ],
)
def test_the_table_of_matches(selector: Selector, candidate: RunnerView, match: bool) -> None:
    assert selector_matches(selector, candidate) is match


tag_lists = st.lists(st.text(max_size=4), max_size=4)
selectors = st.builds(
    Selector.of,
    st.uuids(),
    st.sampled_from(["free", "pro"]),
    st.builds(Requirements, tag_lists.map(tuple), st.none() | st.uuids()),
    st.frozensets(st.text(max_size=4), max_size=4),
)


@given(selectors)
def test_a_selector_survives_the_wire(selector: Selector) -> None:
    assert Selector.decode(selector.encode()) == selector


@given(selectors, selectors)
def test_digests_are_equal_only_for_equal_selectors(one: Selector, two: Selector) -> None:
    assert (one == two) is (one.digest() == two.digest())


@given(tag_lists, st.randoms())
def test_order_and_repetition_of_tags_do_not_matter(tags: list[str], random: Any) -> None:
    shuffled = [*tags, *tags]
    random.shuffle(shuffled)
    assert wants(*tags).digest() == wants(*shuffled).digest()


@pytest.mark.parametrize(
    ("selector", "runners", "reason"),
    [
        (wants(), [], "no_active_runner: the account has no active runner"),
        (wants(), [runner(account_id=OTHER), runner(active=False)], "no_active_runner: "),
        (wants("a"), [runner("b")], "no_matching_runner: no active runner carries all of: a"),
        (wants(runner_id=PINNED), [runner()], "no_matching_runner: the runner asked for"),
        (wants(), [runner(online=False)], "matching_runners_offline: "),
        (wants(classes={"A", "B"}), [runner(node_classes=frozenset("A"))], "node_classes_missing: "),
        (wants(), [runner()], "all_busy: "),
        (wants("a"), [runner("b"), runner("a", online=False), runner()], "all_busy: "),
    ],
)
def test_a_waiting_job_says_why(selector: Selector, runners: list[RunnerView], reason: str) -> None:
    assert waiting_reason(waiting(selector), StandingFleet(runners)).startswith(reason)


def test_nothing_is_said_without_a_list_of_runners_or_when_nothing_waits() -> None:
    job = waiting(wants())
    assert waiting_reason(job, StandingFleet([], synced=False)) == ""
    assert waiting_reason(replace(job, state=JobState.RUNNING), StandingFleet()) == ""
    assert waiting_reason(replace(job, attempt_open=True), StandingFleet()).startswith("in_runner_queue: ")


@given(st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(2200, 1, 1)), st.uuids())  # noqa: DTZ001
def test_a_page_token_leads_back_to_its_row(time: datetime, row_id: UUID) -> None:
    assert convert.page_start(convert.page_token(time.replace(tzinfo=UTC), row_id)) == (
        time.replace(tzinfo=UTC),
        row_id,
    )


@given(st.text(min_size=1))
def test_no_page_token_does_harm(token: str) -> None:
    try:
        convert.page_start(token)
    except InvalidArgument as refused:
        assert refused.reason == "PAGE_TOKEN_INVALID"


def waiting(selector: Selector) -> Job:
    """A job that waits."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return Job(
        job_id=uuid4(),
        account_id=ME,
        state=JobState.QUEUED,
        priority=0,
        labels={},
        create_time=now,
        queue_time=now,
        start_time=None,
        end_time=None,
        expire_time=now + timedelta(days=1),
        node_count=1,
        progress=None,
        error=None,
        attempt_count=0,
        attempt_open=False,
        last_sequence=1,
        selector_id=1,
        selector=selector,
    )
