"""The composition root: the one place that knows every part of execution."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

import grpc.aio
from google.protobuf.descriptor import ServiceDescriptor

from comfyfleet.execution.v1 import asset_service_pb2, execution_service_pb2
from comfyfleet.execution.v1.asset_service_pb2_grpc import add_AssetServiceServicer_to_server
from comfyfleet.execution.v1.execution_service_pb2_grpc import add_ExecutionServiceServicer_to_server
from libs.blobs import BlobStore
from libs.bus import Bus, LocalBus, NatsBus
from libs.clock import Clock, SystemClock
from libs.errors import Unavailable
from libs.identity import IdentityKey, Principal
from libs.observe.endpoint import Ready, endpoint
from libs.observe.metrics import Metrics
from libs.outbound import AddressPolicy, Outbound
from libs.rpc.client import open_channel
from libs.rpc.health import Check, Health
from libs.rpc.server import Draining, ServerOptions, serving
from libs.rpc.tls import TlsFiles
from libs.runtime import App
from libs.sql import Database, migrate
from services.execution.asset_server import AssetServer
from services.execution.dispatch.build import Dispatch, build_dispatch
from services.execution.extra_data import ExtraData
from services.execution.graph import GraphLimits
from services.execution.live import Live
from services.execution.ports import Fleet
from services.execution.server import ExecutionServer
from services.execution.settings import ExecutionSettings
from services.execution.sweep import Sweep, SweepRules
from services.execution.usecases_assets import ReadAssets, WriteAssets
from services.execution.usecases_jobs import CancelJob, ReadJobs
from services.execution.usecases_submit import SubmitJob, SubmitLimits
from services.execution.watch import Pace, WatchJobs

SCHEMA = "execution"
MIGRATIONS = "services.execution.store.migrations"


def build(
    settings: ExecutionSettings,
    *,
    clock: Clock | None = None,
    bus: Bus | None = None,
    fleet: Fleet | None = None,
) -> "Execution":
    """The service, not started. With a `fleet` given it takes jobs and never dispatches them."""
    return Execution(settings, clock or SystemClock(), bus, fleet)


@dataclass(frozen=True, slots=True)
class Core:
    """What both halves of the service stand on."""

    settings: ExecutionSettings
    clock: Clock
    database: Database
    bus: Bus
    blobs: BlobStore
    live: Live
    extra_data: ExtraData
    key: IdentityKey
    metrics: Metrics
    tls: TlsFiles | None


class Execution(App):
    """The running service; `address` is that of its gRPC server."""

    def __init__(self, settings: ExecutionSettings, clock: Clock, bus: Bus | None, fleet: Fleet | None) -> None:
        super().__init__("execution", self._compose, drain_seconds=settings.drain_seconds)
        self.address = ""
        self._settings = settings
        self._clock = clock
        self._bus = bus
        self._fleet = fleet

    async def _compose(self, _: App) -> None:
        core = await self._core()
        fleet = self._fleet or await self._dispatch(core)
        draining = Draining()
        health = _health(core, given_bus=bool(self._bus or _nats_url(self._settings)))
        await health.check()
        self.loop("health", health.watch)
        self.loop("sweep", _sweep(core, fleet).run)
        await self.enter(endpoint(self._settings.metrics_listen, core.metrics, _readiness(health)))
        self.address = await self.enter(_serving(core, fleet, draining, health))
        self.on_drain(draining.begin)
        self.on_drain(health.drain)

    async def _core(self) -> Core:
        settings = self._settings
        database = await self.enter(
            Database.connect(settings.database_url.get_secret_value(), SCHEMA, max_size=settings.database_connections)
        )
        await migrate(database, MIGRATIONS)
        bus = await self.enter(_bus(settings, self._bus))
        live = Live(bus, preview_bytes=settings.preview_cache_bytes)
        extra_data = ExtraData(
            bus, self._clock, max_jobs=settings.extra_data_jobs, keep_seconds=settings.queue_deadline
        )
        await live.start()
        await extra_data.start()
        live.subscribe_ended(extra_data.forget)
        return Core(
            settings=settings,
            clock=self._clock,
            database=database,
            bus=bus,
            blobs=BlobStore.open_url(settings.blob_store_url),
            live=live,
            extra_data=extra_data,
            key=IdentityKey(settings.identity_key.get_secret_value(), self._clock),
            metrics=Metrics(),
            tls=TlsFiles.of(settings.tls_certificate, settings.tls_key, settings.tls_ca),
        )

    async def _dispatch(self, core: Core) -> Fleet:
        dispatch = await self.enter(dispatching(core))
        for name, loop in dispatch.loops().items():
            self.loop(name, loop)
        self.on_drain(dispatch.drain)
        return dispatch.fleet


@asynccontextmanager
async def dispatching(core: Core) -> AsyncIterator[Dispatch]:
    """Everything that brings jobs to runners, not started."""
    settings, key = core.settings, core.key
    outbound = Outbound(AddressPolicy(allow_private=settings.allow_private_endpoints))
    registry = open_channel(
        settings.registry_address, sign=lambda: key.sign(Principal.service("execution")), tls=core.tls
    )
    try:
        async with registry as channel:
            yield build_dispatch(
                settings,
                database=core.database,
                live=core.live,
                blobs=core.blobs,
                extra_data=core.extra_data,
                registry=channel,
                clock=core.clock,
                outbound=outbound,
            )
    finally:
        await outbound.aclose()


def _nats_url(settings: ExecutionSettings) -> str:
    return settings.nats_url.get_secret_value()


@asynccontextmanager
async def _bus(settings: ExecutionSettings, given: Bus | None) -> AsyncIterator[Bus]:
    if given is not None:
        yield given
    elif url := _nats_url(settings):
        async with NatsBus.connect(url, "execution") as bus:
            yield bus
    else:
        alone = LocalBus()
        alone.connected = False  # other replicas are not heard: look at the tables more often
        yield alone


def _health(core: Core, *, given_bus: bool) -> Health:
    async def nats() -> None:
        if not core.bus.connected:
            raise Unavailable("SERVICE_UNAVAILABLE", "NATS is not connected")

    informative: dict[str, Check] = {"blobs": core.blobs.check}
    if given_bus:
        informative["nats"] = nats
    return Health({"database": core.database.check}, informative, core.clock)


def _readiness(health: Health) -> Ready:
    async def ready() -> bool:
        return health.ready

    return ready


def _sweep(core: Core, fleet: Fleet) -> Sweep:
    settings = core.settings
    rules = SweepRules(
        interval=settings.sweep_seconds,
        queue_deadline=timedelta(seconds=settings.queue_deadline),
        orphan_grace=timedelta(seconds=settings.orphan_grace),
    )
    waiting = core.metrics.gauge("waiting_jobs", "jobs of all accounts that wait for a runner")
    return Sweep(core.database, core.blobs, core.live, fleet, core.clock, rules, waiting)


def _serving(core: Core, fleet: Fleet, draining: Draining, health: Health) -> AbstractAsyncContextManager[str]:
    jobs, assets = _job_server(core, fleet, draining), _asset_server(core)

    def register(server: grpc.aio.Server) -> Sequence[ServiceDescriptor]:
        add_ExecutionServiceServicer_to_server(jobs, server)
        add_AssetServiceServicer_to_server(assets, server)
        return [
            execution_service_pb2.DESCRIPTOR.services_by_name["ExecutionService"],
            asset_service_pb2.DESCRIPTOR.services_by_name["AssetService"],
        ]

    settings = core.settings
    options = ServerOptions(
        listen=settings.listen,
        tls=core.tls,
        max_message_bytes=settings.max_message_bytes,
        drain_seconds=settings.drain_seconds,
    )
    return serving(options, register, core.key, health, core.metrics)


def _job_server(core: Core, fleet: Fleet, draining: Draining) -> ExecutionServer:
    reading = ReadJobs(core.database, fleet)
    return ExecutionServer(
        SubmitJob(core.database, fleet, core.live, core.extra_data, _limits(core.settings)),
        reading,
        CancelJob(core.database, core.live),
        WatchJobs(core.database, reading, core.live, core.clock, _pace(core.settings), draining),
    )


def _asset_server(core: Core) -> AssetServer:
    seconds = core.settings.asset_retention
    retention = timedelta(seconds=seconds) if seconds else None
    writing = WriteAssets(core.database, core.blobs, retention)
    return AssetServer(writing, ReadAssets(core.database, core.blobs), core.settings.upload_max_bytes)


def _limits(settings: ExecutionSettings) -> SubmitLimits:
    return SubmitLimits(
        graph=GraphLimits(settings.workflow_max_bytes, settings.workflow_max_nodes, settings.workflow_max_depth),
        open_jobs=settings.open_jobs_per_account,
        retention=timedelta(seconds=settings.job_retention),
    )


def _pace(settings: ExecutionSettings) -> Pace:
    return Pace(
        progress=settings.watch_progress_seconds,
        queue=settings.watch_queue_seconds,
        table=settings.watch_table_seconds,
        table_without_bus=settings.watch_table_seconds_without_nats,
    )
