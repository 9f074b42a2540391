"""The runners as execution knows them: the registry's word joined with what each of them can do."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from services.execution.domain import RunnerView
from services.execution.store.catalogues import Catalogue


@dataclass(frozen=True, slots=True)
class Runner:
    """A registered ComfyUI server. `offline` only when probes say so: a new runner was not probed yet."""

    runner_id: UUID
    account_id: UUID | None
    runner_type: str
    endpoint: str
    tags: frozenset[str]
    active: bool
    online: bool
    offline: bool
    headers: Mapping[str, str] = field(repr=False)

    @property
    def address(self) -> tuple[str, Mapping[str, str]]:
        """What a connection to it depends on."""
        return self.endpoint, self.headers


class FleetState:
    """The latest state of every runner. Whoever follows the registry writes it; everybody reads it."""

    def __init__(self) -> None:
        self._runners: dict[UUID, Runner] = {}
        self._catalogues: dict[UUID, Catalogue] = {}
        self._views: dict[UUID, RunnerView] = {}
        self._synced = False
        self.changed = asyncio.Event()

    @property
    def synced(self) -> bool:
        """Whether the list was complete at least once."""
        return self._synced

    def runners(self) -> Sequence[RunnerView]:
        """Every runner that is not removed."""
        return list(self._views.values())

    def view(self, runner_id: UUID) -> RunnerView | None:
        """One runner, unless it was removed."""
        return self._views.get(runner_id)

    def runner(self, runner_id: UUID) -> Runner | None:
        """One runner with its address, unless it was removed."""
        return self._runners.get(runner_id)

    def known(self) -> frozenset[UUID]:
        """The ids of all runners."""
        return frozenset(self._runners)

    def put(self, runner: Runner) -> None:
        """A runner is new, or another than before."""
        self._runners[runner.runner_id] = runner
        self._join(runner.runner_id)

    def remove(self, runner_id: UUID) -> None:
        """A runner is gone."""
        self._runners.pop(runner_id, None)
        self._join(runner_id)

    def mark_synced(self, only: frozenset[UUID] | None = None) -> None:
        """The list is complete. `only`: what a full snapshot named; all others are gone."""
        for runner_id in self.known() - only if only is not None else ():
            self.remove(runner_id)
        self._synced = True
        self.changed.set()

    def learn(self, catalogue: Catalogue) -> None:
        """What a runner can do."""
        self._catalogues[catalogue.runner_id] = catalogue
        self._join(catalogue.runner_id)

    def _join(self, runner_id: UUID) -> None:
        runner = self._runners.get(runner_id)
        if runner is None:
            self._views.pop(runner_id, None)
        else:
            view = self._view(runner)
            # An equal view stays the same object: what was derived from it stays valid.
            if view != self._views.get(runner_id):
                self._views[runner_id] = view
        self.changed.set()

    def _view(self, runner: Runner) -> RunnerView:
        catalogue = self._catalogues.get(runner.runner_id)
        # Another endpoint is another server: what the old one could do says nothing.
        known = catalogue is not None and catalogue.endpoint == runner.endpoint
        return RunnerView(
            runner_id=runner.runner_id,
            account_id=runner.account_id,
            runner_type=runner.runner_type,
            tags=runner.tags,
            active=runner.active,
            online=runner.online,
            node_classes=catalogue.node_classes if catalogue and known else None,
        )
