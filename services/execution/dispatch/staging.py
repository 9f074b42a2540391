"""Bringing a job's inputs to the runner, and the graph that reads them there."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from uuid import UUID

from libs.blobs import BlobStore
from libs.clock import Clock
from libs.errors import NotFound
from services.execution.dispatch.claim import Claim
from services.execution.dispatch.contact import Contact, Rejected
from services.execution.dispatch.outcome import SECRETS_LOST, Outcome
from services.execution.dispatch.over import AttemptOver
from services.execution.dispatch.patience import patiently
from services.execution.dispatch.references import referenced, replaced, staged_name
from services.execution.domain import FailureClass
from services.execution.store.dispatch import ClaimStore, InputAsset

Graph = Mapping[str, Any]
FindSecrets = Callable[[UUID], Awaitable[Mapping[str, str] | None]]


class Staging:
    """Uploads what the graph refers to, and finds what was never stored.

    Equal bytes have equal names, so a second upload changes nothing.
    """

    def __init__(self, claims: ClaimStore, blobs: BlobStore, clock: Clock, find_secrets: FindSecrets) -> None:
        self._claims = claims
        self._blobs = blobs
        self._clock = clock
        self._find_secrets = find_secrets

    async def stage(self, claim: Claim, graph: Graph, contact: Contact) -> tuple[Graph, bool]:
        """The graph with file names in place of references, and whether anything was uploaded.

        Raises AttemptOver when an input cannot be brought there.
        """

        wanted = referenced(graph)
        if not wanted:
            return graph, False
        assets = await patiently(self._clock, lambda: self._claims.input_assets(claim.job_id))
        if missing := wanted - set(assets):
            raise AttemptOver(_input_lost(next(iter(missing))))
        names = {asset_id: await self._upload(assets[asset_id], contact) for asset_id in wanted}
        return replaced(graph, names), True

    async def secrets(self, claim: Claim) -> Mapping[str, str]:
        """The job's extra_data, which is stored nowhere. Raises AttemptOver when it is lost."""
        if not claim.needs_extra_data:
            return {}
        found = await self._find_secrets(claim.job_id)
        if found is None:
            raise AttemptOver(SECRETS_LOST)
        return found

    async def _upload(self, asset: InputAsset, contact: Contact) -> str:
        name = staged_name(asset.hash.hex(), asset.file_path)
        try:
            return await patiently(
                self._clock,
                lambda: contact.patiently(lambda: contact.upload(name, self._blobs.open(asset.hash))),
            )
        except NotFound as error:
            raise AttemptOver(_input_lost(asset.asset_id)) from error
        except Rejected as error:
            raise AttemptOver(_input_refused(asset, error)) from error


def _input_lost(asset_id: UUID) -> Outcome:
    return Outcome(FailureClass.INVALID, "input_lost", f"the bytes of asset {asset_id} are no longer stored")


def _input_refused(asset: InputAsset, error: Rejected) -> Outcome:
    message = f"the runner refused the upload of asset {asset.asset_id}: {error}"
    return Outcome(FailureClass.INVALID, "input_refused", message, elsewhere=True)
