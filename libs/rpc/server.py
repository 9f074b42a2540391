"""The one factory for gRPC servers."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import grpc.aio
from google.protobuf.descriptor import ServiceDescriptor
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from libs.identity import IdentityKey
from libs.net import HostPort
from libs.observe.metrics import Metrics
from libs.rpc import around
from libs.rpc.health import Health
from libs.rpc.middleware import MiddlewareInterceptor
from libs.rpc.tls import TlsFiles
from libs.rpc.validation import check

_STREAM_WINDOW = 256 * 1024  # bytes in flight to one slow reader before the writer is held back


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """What differs between servers. `public` are methods that need no identity; sizes in bytes, times in seconds."""

    listen: str
    public: Collection[str] = ()
    tls: TlsFiles | None = None
    max_message_bytes: int = 20 << 20
    drain_seconds: float = 10


Register = Callable[[grpc.aio.Server], Sequence[ServiceDescriptor]]


@asynccontextmanager
async def serving(
    options: ServerOptions, register: Register, key: IdentityKey, health: Health, metrics: Metrics
) -> AsyncIterator[str]:
    """A running server with health and reflection; yields its address, lets calls end on leaving.

    Raises ValueError for an address beyond loopback without TLS, RuntimeError when the port is taken.
    """
    server = make_server(options, register, key, health, metrics)
    address = _bind(server, options)
    await server.start()
    try:
        yield address
    finally:
        await server.stop(options.drain_seconds)


def make_server(
    options: ServerOptions, register: Register, key: IdentityKey, health: Health, metrics: Metrics
) -> grpc.aio.Server:
    """The server with every middleware and servicer, not bound yet."""
    steps = [
        around.request_id,
        around.tracing,
        around.access(metrics),
        around.errors,
        around.identity(key, options.public),
    ]
    server = grpc.aio.server(
        interceptors=[MiddlewareInterceptor(steps, check)], options=_options(options.max_message_bytes)
    )
    services = [service.full_name for service in register(server)]
    health_pb2_grpc.add_HealthServicer_to_server(health.servicer, server)
    names = [*services, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name, reflection.SERVICE_NAME]
    reflection.enable_server_reflection(names, server)
    return server


def _options(max_message_bytes: int) -> list[tuple[str, int]]:
    return [
        ("grpc.so_reuseport", 0),  # a second server on the port must fail, not take half of the connections
        ("grpc.max_receive_message_length", max_message_bytes),
        ("grpc.max_send_message_length", max_message_bytes),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
        ("grpc.http2.bdp_probe", 0),  # a growing window would let a slow reader hold megabytes
        ("grpc.http2.lookahead_bytes", _STREAM_WINDOW),
    ]


def _bind(server: grpc.aio.Server, options: ServerOptions) -> str:
    wanted = HostPort.parse(options.listen)
    if options.tls is not None:
        port = server.add_secure_port(str(wanted), options.tls.server())
    elif wanted.is_loopback:
        port = server.add_insecure_port(str(wanted))
    else:
        raise ValueError(
            f"refusing to listen on {wanted} without TLS: set COMFYFLEET_TLS_CERTIFICATE, COMFYFLEET_TLS_KEY and "
            "COMFYFLEET_TLS_CA, or listen on a loopback address"
        )
    return str(HostPort(wanted.host, port))


class Draining:
    """Tells open streams that the server is about to stop, so that they end themselves."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    async def begin(self) -> None:
        """Ask every stream to end."""
        self._event.set()

    @property
    def begun(self) -> bool:
        """Whether streams should end."""
        return self._event.is_set()

    async def wait(self) -> None:
        """Until streams should end."""
        await self._event.wait()
