"""One runner's driver: as long as this replica holds the lease, it brings one job after the other to its end."""

from uuid import UUID

import structlog

from libs.errors import Unavailable
from services.execution.dispatch.attempt import AttemptDriver, Surroundings
from services.execution.dispatch.backlog import Backlog
from services.execution.dispatch.claim import Claim, Fenced
from services.execution.dispatch.claims import Claims
from services.execution.dispatch.contact import Contact, Contacts, Unreachable
from services.execution.dispatch.fleet import Runner
from services.execution.dispatch.outcome import Outcome
from services.execution.dispatch.patience import patiently
from services.execution.dispatch.reconcile import end_stale_prompts
from services.execution.domain import FailureClass

_REST = 5.0
_PAUSE = 1.0
_log = structlog.get_logger(__name__)


class RunnerDriver:
    """Adopts what was left open on the runner, then claims. It keeps one connection as long as the address holds."""

    def __init__(
        self, runner_id: UUID, around: Surroundings, claims: Claims, backlog: Backlog, contacts: Contacts
    ) -> None:
        self._runner_id = runner_id
        self._around = around
        self._claims = claims
        self._backlog = backlog
        self._contacts = contacts
        self._adopting = True
        self._trusted = False
        self.idle = True

    async def run(self) -> None:
        """Until cancelled, or until the runner was removed."""
        while True:
            runner = self._around.fleet.runner(self._runner_id)
            if runner is None:
                await self._around.clock.sleep(_PAUSE)
                continue
            async with self._contacts.open(runner) as contact:
                self._trusted = False
                while self._lives_at(runner):
                    await self._turn(contact)

    def _lives_at(self, runner: Runner) -> bool:
        now = self._around.fleet.runner(self._runner_id)
        return now is not None and now.address == runner.address

    async def _turn(self, contact: Contact) -> None:
        """One job, or one rest. Whatever goes wrong here, the next turn starts by adopting what is open."""
        seen = self._backlog.version
        try:
            claim = await self._next(contact)
            if claim is None:
                await self._backlog.rest(self._runner_id, seen, _REST)
                return
            self._after(await self._drive(claim, contact))
        except Fenced:
            _log.warning("attempt_fenced", runner_id=str(self._runner_id))
            self._adopting = True
        except (Unreachable, Unavailable):
            self._trusted = False
            await self._around.clock.sleep(_PAUSE)
        except Exception:  # noqa: BLE001 - one runner, or one job, must not take all others down with it
            _log.exception("runner_driver_failed", runner_id=str(self._runner_id))
            self._trusted, self._adopting = False, True
            await self._around.clock.sleep(_PAUSE)

    async def _next(self, contact: Contact) -> Claim | None:
        around = self._around
        if self._adopting:
            found = await patiently(around.clock, lambda: around.claims.adopt(self._runner_id))
            self._adopting = found is not None
            if found:
                return found
        view = around.fleet.view(self._runner_id)
        if view is None or not view.active:
            return None
        if not await self._is_ready(contact):
            await around.clock.sleep(_PAUSE)
            return None
        try:
            return await self._claims.take(view)
        except Unavailable:
            # Nobody knows whether the claim was committed.
            self._adopting = True
            return None

    async def _is_ready(self, contact: Contact) -> bool:
        """Nothing is claimed for a runner that does not answer, or that still works for attempts long over."""
        if not (self._trusted and contact.connected):
            self._trusted = not await end_stale_prompts(contact, self._around.claims)
        return self._trusted

    async def _drive(self, claim: Claim, contact: Contact) -> Outcome:
        self.idle = False
        try:
            with structlog.contextvars.bound_contextvars(job_id=str(claim.job_id)):
                return await AttemptDriver(claim, contact, self._around).drive()
        finally:
            self.idle = True

    def _after(self, outcome: Outcome) -> None:
        self._adopting = False
        self._trusted = outcome.failure not in (FailureClass.RUNNER_FAULT, FailureClass.CANCELED)
