"""What the use cases need from the world around them."""

from collections.abc import Mapping, Sequence
from typing import Protocol
from uuid import UUID

from services.execution.domain import RunnerView, Selector


class Fleet(Protocol):
    """The current list of runners."""

    def runners(self) -> Sequence[RunnerView]:
        """Every runner that is not removed."""
        ...

    @property
    def synced(self) -> bool:
        """Whether the list was complete at least once; before that it decides nothing."""
        ...


class Wakeups(Protocol):
    """Tells every replica that there is something to do."""

    async def wake_dispatch(self, selector: Selector) -> None:
        """A job of this selector waits."""
        ...

    async def job_canceled(self, job_id: UUID) -> None:
        """The job is to end."""
        ...


class SecretKeeper(Protocol):
    """Keeps what must not be stored."""

    def put(self, job_id: UUID, extra_data: Mapping[str, str]) -> None:
        """Remember a job's extra_data in memory."""
        ...
