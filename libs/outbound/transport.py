"""httpx on top of guarded connections, with our errors instead of the library's."""

import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import httpcore
import httpx

from libs.errors import InvalidArgument
from libs.outbound.address import Guard
from libs.outbound.errors import Unreachable
from libs.outbound.network import GuardedBackend

# Shorter than any server keeps an idle connection, so that a request is not lost on one that just closed.
_KEEP_IDLE_SECONDS = 5.0


class GuardedTransport(httpx.AsyncBaseTransport):
    """Ignores proxies of the environment: a proxy would resolve the name again, unchecked."""

    def __init__(self, guard: Guard, ssl_context: ssl.SSLContext, max_connections: int) -> None:
        """Open at most `max_connections` at a time; the next one waits."""
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=ssl_context,
            max_connections=max_connections,
            keepalive_expiry=_KEEP_IDLE_SECONDS,
            network_backend=GuardedBackend(guard),
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request; its answer's body is still to be read."""
        with _our_errors(request.url.host):
            answer = await self._pool.handle_async_request(_as_core(request))
        return httpx.Response(
            answer.status,
            headers=answer.headers,
            stream=_Body(answer, request.url.host),
            extensions=answer.extensions,
        )

    async def aclose(self) -> None:
        """Close every connection."""
        await self._pool.aclose()


class _Body(httpx.AsyncByteStream):
    def __init__(self, answer: httpcore.Response, host: str) -> None:
        self._answer = answer
        self._host = host

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _our_errors(self._host):
            async for part in self._answer.aiter_stream():
                yield part

    async def aclose(self) -> None:
        await self._answer.aclose()


def _as_core(request: httpx.Request) -> httpcore.Request:
    url = request.url
    return httpcore.Request(
        method=request.method,
        url=httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
        headers=request.headers.raw,
        content=request.stream,
        extensions=request.extensions,
    )


@contextmanager
def _our_errors(host: str) -> Iterator[None]:
    # "from None" throughout: the library's text can quote a header's value.
    try:
        yield
    except httpcore.ConnectError as refused:
        raise Unreachable(f"cannot connect to {host}: {refused}", maybe_sent=False) from None
    except (httpcore.ConnectTimeout, httpcore.PoolTimeout):
        raise Unreachable(f"{host} takes no connection in time", maybe_sent=False) from None
    except httpcore.TimeoutException:
        raise Unreachable(f"{host} does not answer in time", maybe_sent=True) from None
    except httpcore.LocalProtocolError:
        raise InvalidArgument("INVALID_FIELD", "a header or the path is not valid in HTTP") from None
    except (httpcore.NetworkError, httpcore.ProtocolError):
        raise Unreachable(f"the connection to {host} broke", maybe_sent=True) from None
