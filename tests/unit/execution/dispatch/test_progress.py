"""How the runner's messages add up to progress."""

from services.execution.dispatch.progress import ProgressTracker

CLASSES = {"1": "EmptyImage", "2": "KSampler", "3": "VAEDecode", "4": "SaveImage"}


def test_nothing_is_done_before_the_first_message() -> None:
    snapshot = ProgressTracker(CLASSES).snapshot()
    assert (snapshot.value, snapshot.nodes_done, snapshot.nodes_total) == (0.0, 0, 4)


def test_cached_nodes_count_as_done() -> None:
    tracker = ProgressTracker(CLASSES)
    tracker.cached(["1", "2"])
    assert tracker.snapshot().value == 0.5


def test_steps_of_the_running_node_count_for_a_part_of_it() -> None:
    tracker = ProgressTracker(CLASSES)
    tracker.executing("2")
    tracker.step("2", 5, 20)
    snapshot = tracker.snapshot()
    assert (snapshot.value, snapshot.step, snapshot.steps) == (0.25 / 4, 5, 20)
    assert (snapshot.current_node, snapshot.current_class) == ("2", "KSampler")


def test_on_old_servers_the_next_node_says_that_the_last_one_is_done() -> None:
    tracker = ProgressTracker(CLASSES)
    tracker.executing("1")
    tracker.executing("2")
    assert tracker.snapshot().nodes_done == 1


def test_where_all_states_are_told_a_second_running_node_ends_nothing() -> None:
    tracker = ProgressTracker(CLASSES)
    tracker.state("1", 0, 1, finished=False)
    tracker.executing("1")
    tracker.executing("2")
    assert tracker.snapshot().nodes_done == 0
    tracker.state("1", 1, 1, finished=True)
    assert tracker.snapshot().nodes_done == 1


def test_a_node_that_starts_over_moves_nothing_back() -> None:
    tracker = ProgressTracker(CLASSES)
    tracker.step("2", 18, 20)
    before = tracker.snapshot().value
    tracker.step("2", 1, 20)
    assert tracker.snapshot().value == before


def test_nodes_of_an_expansion_are_not_counted() -> None:
    tracker = ProgressTracker(CLASSES)
    tracker.state("2.0.1", 1, 1, finished=True)
    tracker.executed("2.0.2")
    assert tracker.snapshot().nodes_done == 0


def test_no_message_can_lead_past_the_end() -> None:
    tracker = ProgressTracker(CLASSES)
    tracker.cached(list(CLASSES))
    tracker.step("2", 40, 20)
    assert tracker.snapshot().value == 1.0


def test_a_success_is_complete_even_where_nodes_were_skipped() -> None:
    complete = ProgressTracker(CLASSES).complete()
    assert (complete.value, complete.nodes_done) == (1.0, 4)


def test_steps_without_a_total_are_ignored() -> None:
    tracker = ProgressTracker(CLASSES)
    tracker.step("2", 3, 0)
    assert tracker.snapshot().steps is None
