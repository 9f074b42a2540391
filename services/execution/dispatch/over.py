"""The early end of an attempt, from whatever step finds it."""

from services.execution.dispatch.outcome import Outcome


class AttemptOver(Exception):
    """The attempt cannot go on; the outcome says why."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.message)
        self.outcome = outcome
