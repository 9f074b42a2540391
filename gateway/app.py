"""The composition root of the gateway: settings in, a running process out."""

from datetime import timedelta

import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from gateway import site
from gateway.auth import RegistrySessions
from gateway.backends import Backends
from gateway.links import LinkSigner
from gateway.routes.comfy_v2.base import ComfyV2Routes, Limits
from gateway.settings import GatewaySettings
from libs.clock import Clock, SystemClock
from libs.errors import ServiceError
from libs.identity import IdentityKey
from libs.observe.endpoint import endpoint
from libs.observe.metrics import Metrics
from libs.rpc.client import open_channel
from libs.rpc.tls import TlsFiles
from libs.runtime import App
from libs.web import listening


class Gateway(App):
    """The running gateway; `address` is that of its HTTP server."""

    def __init__(self, settings: GatewaySettings, clock: Clock) -> None:
        super().__init__("gateway", self._compose, drain_seconds=settings.drain_seconds)
        self.address = ""
        self._settings = settings
        self._clock = clock

    async def _compose(self, _: App) -> None:
        settings = self._settings
        tls = TlsFiles.of(settings.tls_certificate, settings.tls_key, settings.tls_ca)
        registry = await self.enter(open_channel(settings.registry_address, sign=_nobody, tls=tls))
        execution = await self.enter(open_channel(settings.execution_address, sign=_nobody, tls=tls))
        ready = Readiness([registry, execution])
        metrics = Metrics()
        await self.enter(endpoint(settings.metrics_listen, metrics, ready))
        self.address = await self.enter(
            listening(
                site.build(self._routes(Backends.over(registry, execution)), ready, metrics),
                settings.listen,
                drain_seconds=settings.drain_seconds,
            )
        )

    def _routes(self, backends: Backends) -> ComfyV2Routes:
        settings = self._settings
        key = IdentityKey(settings.identity_key.get_secret_value(), self._clock)
        sessions = RegistrySessions(
            backends,
            key,
            self._clock,
            cache_seconds=settings.token_cache_seconds,
            size=settings.token_cache_size,
        )
        links = LinkSigner(
            settings.url_signing_key.get_secret_value(), timedelta(seconds=settings.link_seconds), self._clock
        )
        limits = Limits(
            json_body_bytes=settings.max_json_bytes,
            upload_bytes=settings.max_upload_bytes,
            streams_per_account=settings.streams_per_account,
            heartbeat_seconds=settings.heartbeat_seconds,
        )
        return ComfyV2Routes(backends, sessions, links, limits, settings.public_url.rstrip("/"))


class Readiness:
    """Whether every service behind the gateway says SERVING."""

    def __init__(self, channels: list[grpc.aio.Channel]) -> None:
        self._healths = [health_pb2_grpc.HealthStub(channel) for channel in channels]

    async def __call__(self) -> bool:
        """Ask all of them, each for at most two seconds."""
        try:
            for health in self._healths:
                answer = await health.Check(health_pb2.HealthCheckRequest(), timeout=2)
                if answer.status != health_pb2.HealthCheckResponse.SERVING:
                    return False
        except (ServiceError, grpc.aio.AioRpcError):
            return False
        return True


def _nobody() -> str:
    """The gateway has no identity of its own: every call carries its caller's."""
    return ""


def build(settings: GatewaySettings, *, clock: Clock | None = None) -> Gateway:
    """The gateway, not started."""
    return Gateway(settings, clock or SystemClock())
