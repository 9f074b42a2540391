"""The composition of dispatch: everything that brings waiting jobs to runners and their results back."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from uuid import UUID, uuid4

from grpc.aio import Channel

from libs.blobs import BlobStore
from libs.clock import Clock
from libs.comfy import ComfyClient
from libs.outbound import Outbound
from libs.sql import Database
from services.execution.clients.registry import RegistryFollower
from services.execution.dispatch.attempt import Surroundings
from services.execution.dispatch.backlog import Backlog
from services.execution.dispatch.cancel import Cancels
from services.execution.dispatch.catalogue import CatalogueReader
from services.execution.dispatch.claims import Claims
from services.execution.dispatch.contact import Contacts
from services.execution.dispatch.fleet import FleetState, Runner
from services.execution.dispatch.orphans import Orphans
from services.execution.dispatch.replica import Replica
from services.execution.dispatch.runner import RunnerDriver
from services.execution.dispatch.settings import DispatchSettings
from services.execution.extra_data import ExtraData
from services.execution.live import Live
from services.execution.store.catalogues import CatalogueStore
from services.execution.store.dispatch import ClaimStore
from services.execution.store.leases import LeaseStore

Loop = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Dispatch:
    """The running parts of dispatch, for the app to start and stop."""

    fleet: FleetState
    replica: Replica
    follower: RegistryFollower
    backlog: Backlog
    cancels: Cancels
    catalogues: CatalogueReader
    orphans: Orphans

    def loops(self) -> Mapping[str, Loop]:
        """Background loops by name; none of them ever returns."""
        return {
            "registry": self.follower.run,
            "replica": self.replica.run,
            "backlog": self.backlog.run,
            "cancels": self.cancels.run,
            "catalogues": self.catalogues.run,
            "orphans": self.orphans.run,
        }

    async def drain(self) -> None:
        """Claim nothing more and leave what runs on the runners for another replica or the next start."""
        await self.replica.drain()


def build_dispatch(
    settings: DispatchSettings,
    *,
    database: Database,
    live: Live,
    blobs: BlobStore,
    extra_data: ExtraData,
    registry: Channel,
    clock: Clock,
    outbound: Outbound,
) -> Dispatch:
    """Put the parts together; nothing runs before the app starts the loops."""
    replica_id = uuid4()
    fleet = FleetState()
    store = ClaimStore(database, replica_id, settings.lease_time)

    def make_client(runner: Runner) -> ComfyClient:
        return ComfyClient(runner.endpoint, runner.headers, outbound, clock)

    contacts = Contacts(make_client, clock, settings.runner_lost_seconds)
    backlog = Backlog(store, fleet, live, clock, settings)
    cancels = Cancels(store, live, clock, settings)

    around = Surroundings(replica_id, database, store, live, blobs, clock, settings, fleet, cancels, extra_data.get)
    claims = Claims(store, backlog)

    def make_driver(runner_id: UUID) -> RunnerDriver:
        return RunnerDriver(runner_id, around, claims, backlog, contacts)

    live.subscribe_queued(backlog.job_queued)
    live.subscribe_canceled(cancels.job_canceled)
    return Dispatch(
        fleet=fleet,
        replica=Replica(LeaseStore(database, replica_id, settings.lease_time), fleet, clock, settings, make_driver),
        follower=RegistryFollower(registry, fleet, clock),
        backlog=backlog,
        cancels=cancels,
        catalogues=CatalogueReader(CatalogueStore(database, replica_id), fleet, contacts, clock, settings),
        orphans=Orphans(around),
    )
