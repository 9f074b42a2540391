"""Channels to other services: deadlines, identity, traces and errors are taken care of."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import grpc
import grpc.aio
import stamina
import structlog

from libs.errors import Unavailable
from libs.observe import traces
from libs.rpc import context
from libs.rpc.around import REQUEST_ID
from libs.rpc.status import from_rpc_error
from libs.rpc.tls import TlsFiles

T = TypeVar("T")
Sign = Callable[[], str]
_MAX_MESSAGE = 32 << 20


@asynccontextmanager
async def open_channel(
    address: str, *, sign: Sign | None = None, tls: TlsFiles | None = None, default_timeout: float = 10
) -> AsyncIterator[grpc.aio.Channel]:
    """A channel whose stubs raise the errors of libs.errors.

    Unary calls get `default_timeout` seconds, or what is left of the call being served if that is less. Calls without
    an identity of their own carry what `sign` returns.
    """
    caller = _Caller(sign, default_timeout)
    interceptors: Sequence[Any] = [_UnaryUnary(caller), _UnaryStream(caller), _StreamUnary(caller)]
    if tls is None:
        channel = grpc.aio.insecure_channel(address, options=_OPTIONS, interceptors=interceptors)
    else:
        channel = grpc.aio.secure_channel(address, tls.channel(), options=_OPTIONS, interceptors=interceptors)
    async with channel:
        yield channel


_OPTIONS = [
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.max_receive_message_length", _MAX_MESSAGE),
    ("grpc.max_send_message_length", _MAX_MESSAGE),
    # The default waits up to two minutes after a few refusals: a restarted service would be missed for that long.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.http2.bdp_probe", 0),
    ("grpc.http2.lookahead_bytes", 256 * 1024),
]


@asynccontextmanager
async def stream(call: Any) -> AsyncIterator[Any]:
    """Iterate over a streaming call inside; leaving the block always ends the call.

    A call that is merely dropped goes on: the server would send for ever.
    """
    try:
        yield call
    finally:
        call.cancel()


async def retry_unavailable(call: Callable[[], Awaitable[T]], *, attempts: int = 5, timeout: float = 15) -> T:
    """Repeat an idempotent call while its service is away, with growing pauses; the last error goes out."""
    async for attempt in stamina.retry_context(on=Unavailable, attempts=attempts, timeout=timeout, wait_initial=0.1):
        with attempt:
            return await call()
    raise AssertionError("unreachable: the last attempt returns or raises")


class _Caller:
    """What every call is given on its way out."""

    def __init__(self, sign: Sign | None, default_timeout: float) -> None:
        self._sign = sign
        self._default_timeout = default_timeout

    def unary(self, details: grpc.aio.ClientCallDetails) -> grpc.aio.ClientCallDetails:
        """Details with a deadline."""
        left = context.remaining()
        wanted = self._default_timeout if details.timeout is None else details.timeout
        return self._details(details, wanted if left is None else min(wanted, left))

    def stream(self, details: grpc.aio.ClientCallDetails) -> grpc.aio.ClientCallDetails:
        """Details without one: streams rely on checkpoints."""
        return self._details(details, details.timeout)

    def _details(self, details: grpc.aio.ClientCallDetails, timeout: float | None) -> grpc.aio.ClientCallDetails:
        metadata: dict[str, str] = dict(details.metadata or ())  # type: ignore[arg-type]  # ours are all text
        if "authorization" not in metadata and (token := self._identity()):
            metadata["authorization"] = f"Bearer {token}"
        if request_id := structlog.contextvars.get_contextvars().get("request_id"):
            metadata.setdefault(REQUEST_ID, request_id)
        traces.inject(metadata)
        return grpc.aio.ClientCallDetails(
            details.method,
            timeout,
            grpc.aio.Metadata(*metadata.items()),
            details.credentials,
            details.wait_for_ready,
        )

    def _identity(self) -> str:
        return self._sign() if self._sign else context.current_access_token()


class _UnaryUnary(grpc.aio.UnaryUnaryClientInterceptor):
    def __init__(self, caller: _Caller) -> None:
        self._caller = caller

    async def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        call = await continuation(self._caller.unary(client_call_details), request)
        try:
            await call
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from None
        return call


class _StreamUnary(grpc.aio.StreamUnaryClientInterceptor):
    def __init__(self, caller: _Caller) -> None:
        self._caller = caller

    async def intercept_stream_unary(self, continuation: Any, client_call_details: Any, request_iterator: Any) -> Any:
        call = await continuation(self._caller.stream(client_call_details), request_iterator)
        try:
            await call
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from None
        return call


class _UnaryStream(grpc.aio.UnaryStreamClientInterceptor):
    def __init__(self, caller: _Caller) -> None:
        self._caller = caller

    async def intercept_unary_stream(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        call = await continuation(self._caller.stream(client_call_details), request)
        return _translated(call)


async def _translated(call: Any) -> AsyncIterator[Any]:
    try:
        async for message in call:
            yield message
    except grpc.aio.AioRpcError as error:
        raise from_rpc_error(error) from None
    finally:
        call.cancel()
