"""Bringing a prompt into a runner's queue exactly once, however unclear the runner's answers are."""

from collections.abc import Mapping
from typing import Any

import structlog

from libs.clock import Clock
from services.execution.dispatch.cancel import CancelWish
from services.execution.dispatch.claim import Claim
from services.execution.dispatch.contact import Contact, NotSent, Refused, Taken, Unclear
from services.execution.dispatch.journal import Journal
from services.execution.dispatch.outcome import CANCELED, of_refusal, runner_fault
from services.execution.dispatch.over import AttemptOver
from services.execution.dispatch.settings import DispatchSettings
from services.execution.dispatch.staging import Staging
from services.execution.domain import AttemptState

_SENDS = 3
_LOOK_AGAIN = 0.25
_log = structlog.get_logger(__name__)


class Submission:
    """Before a prompt is sent again, the runner's queue and history are searched for it."""

    def __init__(
        self,
        claim: Claim,
        graph: Mapping[str, Any],
        contact: Contact,
        journal: Journal,
        cancel: CancelWish,
        staging: Staging,
        clock: Clock,
        settings: DispatchSettings,
    ) -> None:
        self._claim = claim
        self._graph = graph
        self._contact = contact
        self._journal = journal
        self._cancel = cancel
        self._staging = staging
        self._clock = clock
        self._settle_seconds = settings.submit_settle_seconds

    async def ensure(self) -> str:
        """The id under which the runner has the prompt. Raises AttemptOver."""
        claim = self._claim
        if claim.submitted:
            return claim.runner_prompt_id or str(claim.prompt_id)
        if claim.adopted and (found := await self._search(self._settle_seconds)):
            return self._taken(found)
        self._stop_if_canceled()
        graph = await self._stage()
        secrets = await self._staging.secrets(self._claim)
        self._stop_if_canceled()
        return self._taken(await self._send(graph, secrets))

    async def _stage(self) -> Mapping[str, Any]:
        graph, uploaded = await self._staging.stage(self._claim, self._graph, self._contact)
        if uploaded and self._claim.state is AttemptState.CLAIMED:
            self._journal.staged()
        return graph

    async def _send(self, graph: Mapping[str, Any], secrets: Mapping[str, str]) -> Taken:
        may_be_there = self._claim.adopted
        for _ in range(_SENDS):
            try:
                return await self._contact.send(self._claim, graph, secrets)
            except Refused as refused:
                raise AttemptOver(of_refusal(refused.error, refused.node_errors)) from refused
            except NotSent as error:
                if not may_be_there:
                    raise AttemptOver(runner_fault("the runner could not be reached")) from error
                settle = 0.0
            except Unclear as unclear:
                may_be_there = True
                settle = self._settle_seconds if unclear.in_flight else 0.0
            _log.info("submission_unclear", job_id=str(self._claim.job_id), settle=settle)
            if found := await self._search(settle):
                return found
        raise AttemptOver(runner_fault("the runner did not take the prompt"))

    async def _search(self, seconds: float) -> Taken | None:
        """The prompt, if the runner has it or gets it within this time."""
        end = self._clock.monotonic() + seconds
        while True:
            found = await self._contact.patiently(lambda: self._contact.find(self._claim))
            if found or self._clock.monotonic() >= end:
                return found
            await self._clock.sleep(_LOOK_AGAIN)

    def _taken(self, taken: Taken) -> str:
        self._journal.submitted(taken.prompt_id, taken.warnings)
        return taken.prompt_id

    def _stop_if_canceled(self) -> None:
        if self._cancel.wanted:
            raise AttemptOver(CANCELED)
