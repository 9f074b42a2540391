"""The composition root of runner_registry: settings in, a running service out."""

from collections.abc import Sequence
from contextlib import aclosing

import grpc.aio
from google.protobuf.descriptor import ServiceDescriptor

from comfyfleet.runner_registry.v1 import runner_registry_service_pb2 as pb
from comfyfleet.runner_registry.v1.runner_registry_service_pb2_grpc import (
    add_RunnerRegistryServiceServicer_to_server,
)
from libs.bus import Bus, LocalBus, NatsBus
from libs.clock import Clock, SystemClock
from libs.errors import Unavailable
from libs.identity import IdentityKey
from libs.observe.endpoint import Ready, endpoint
from libs.observe.metrics import Metrics
from libs.outbound import AddressPolicy, Limits, Outbound
from libs.rpc.health import Check, Health
from libs.rpc.server import Draining, Register, ServerOptions, serving
from libs.rpc.tls import TlsFiles
from libs.runtime import App
from libs.sql import Database, migrate
from services.runner_registry.accounts import Accounts
from services.runner_registry.clients.comfy import ComfyPeers
from services.runner_registry.domain import ProbeRules
from services.runner_registry.probing import Probing
from services.runner_registry.runners import Runners
from services.runner_registry.sealing import Seal
from services.runner_registry.server import PUBLIC_METHODS, RunnerRegistryServer
from services.runner_registry.settings import RegistrySettings
from services.runner_registry.store import MIGRATIONS
from services.runner_registry.watching import Bell, Watching

NAME = "runner_registry"


class Registry(App):
    """The running service; `address` is that of its gRPC server."""

    def __init__(self, settings: RegistrySettings, clock: Clock) -> None:
        super().__init__(NAME, self._compose, drain_seconds=settings.drain_seconds)
        self.address = ""
        self._settings = settings
        self._clock = clock

    async def _compose(self, _: App) -> None:
        settings = self._settings
        database = await self.enter(
            Database.connect(
                settings.database_url.get_secret_value(), "registry", max_size=settings.database_connections
            )
        )
        await migrate(database, MIGRATIONS)
        bus = await self._bus()
        bell, draining = Bell(bus), Draining()
        await bell.start()
        seal = Seal(settings.encryption_key.get_secret_value())
        runners = Runners(database, seal, settings.runner_limits, bell.ring)
        key = IdentityKey(settings.identity_key.get_secret_value(), self._clock)
        servicer = RunnerRegistryServer(
            Accounts(database, settings.admin_key.get_secret_value()),
            runners,
            Watching(runners, bell, draining),
            key,
            self._clock,
            settings.access_token_seconds,
        )
        health = Health({"database": database.check}, {"nats": _reachable(bus)}, self._clock)
        await health.check()
        metrics = Metrics()
        await self.enter(endpoint(settings.metrics_listen, metrics, _ready(health)))
        self.address = await self.enter(serving(self._options(), _register(servicer), key, health, metrics))
        self.loop("health", health.watch)
        self.loop("probing", (await self._probing(database, seal, bell)).run)
        self.on_drain(draining.begin)
        self.on_drain(health.drain)

    async def _bus(self) -> Bus:
        url = self._settings.nats_url.get_secret_value()
        return await self.enter(NatsBus.connect(url, NAME)) if url else LocalBus()

    async def _probing(self, database: Database, seal: Seal, bell: Bell) -> Probing:
        settings = self._settings
        timeout = settings.probe_timeout_seconds
        policy = AddressPolicy(allow_private=settings.allow_private_endpoints)
        outbound = Outbound(policy, Limits(connect=timeout, idle=timeout, total=timeout))
        await self.enter(aclosing(outbound))
        rules = ProbeRules(
            settings.probe_interval_seconds,
            settings.probe_offline_after,
            settings.probe_offline_after_busy,
            settings.probe_offline_interval_seconds,
        )
        return Probing(
            database,
            seal,
            ComfyPeers(outbound, self._clock),
            rules,
            bell.ring,
            self._clock,
            timeout=timeout,
            concurrency=settings.probe_concurrency,
        )

    def _options(self) -> ServerOptions:
        settings = self._settings
        return ServerOptions(
            settings.listen,
            PUBLIC_METHODS,
            TlsFiles.of(settings.tls_certificate, settings.tls_key, settings.tls_ca),
            settings.max_message_bytes,
            settings.drain_seconds,
        )


def build(settings: RegistrySettings, *, clock: Clock | None = None) -> Registry:
    """The service, not started."""
    return Registry(settings, clock or SystemClock())


def _register(servicer: RunnerRegistryServer) -> Register:
    def register(server: grpc.aio.Server) -> Sequence[ServiceDescriptor]:
        add_RunnerRegistryServiceServicer_to_server(servicer, server)
        return [pb.DESCRIPTOR.services_by_name["RunnerRegistryService"]]

    return register


def _ready(health: Health) -> Ready:
    async def ready() -> bool:
        return health.ready

    return ready


def _reachable(bus: Bus) -> Check:
    async def check() -> None:
        if not bus.connected:
            raise Unavailable("SERVICE_UNAVAILABLE", "NATS does not answer")

    return check
