"""Websockets through the same guard."""

import logging
import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus, WebSocketException

from libs.outbound.address import Guard
from libs.outbound.errors import BadAnswer, Unreachable
from libs.outbound.limits import Limits
from libs.outbound.network import open_socket

_CLOSE_SECONDS = 2.0


@asynccontextmanager
async def open_websocket(
    guard: Guard,
    url: httpx.URL,
    port: int,
    *,
    ssl_context: ssl.SSLContext,
    headers: Mapping[str, str],
    limits: Limits,
) -> AsyncIterator[ClientConnection]:
    """Connect, shake hands and close at the end of the block.

    A message over the limit closes the connection, and so does an unanswered ping.
    """
    endpoint = await open_socket(guard, url.host, port, limits.connect)
    secure = ssl_context if url.scheme == "https" else None
    connection = await _shaken(_opening(url, endpoint, secure, headers, limits), url.host)
    try:
        yield connection
    finally:
        await connection.close()


def _opening(
    url: httpx.URL,
    endpoint: socket.socket,
    secure: ssl.SSLContext | None,
    headers: Mapping[str, str],
    limits: Limits,
) -> connect:
    return connect(
        str(url.copy_with(scheme="wss" if secure else "ws")),
        # A given socket also rules out redirects: the library cannot follow one without opening another.
        sock=endpoint,
        ssl=secure,
        server_hostname=url.host if secure else None,
        additional_headers=headers,
        user_agent_header="comfyfleet",
        compression=None,
        proxy=None,
        open_timeout=limits.connect,
        close_timeout=_CLOSE_SECONDS,
        ping_interval=limits.ping_seconds,
        ping_timeout=limits.ping_seconds,
        max_size=limits.frame_bytes,
        # Detached from the process's loggers: at debug level the library logs every header with its value.
        logger=logging.Logger("outbound.websocket", logging.CRITICAL),  # noqa: LOG001
    )


async def _shaken(opening: connect, host: str) -> ClientConnection:
    try:
        return await opening
    except InvalidStatus as refused:
        status = refused.response.status_code
        raise BadAnswer(f"{host} answers {status} instead of a websocket", status=status) from None
    except ssl.SSLError as refused:
        raise Unreachable(f"no secure connection to {host}: {refused.reason}", maybe_sent=False) from None
    except (OSError, EOFError):
        raise Unreachable(f"{host} does not complete a websocket handshake", maybe_sent=True) from None
    except (WebSocketException, ValueError):
        raise BadAnswer(f"{host} does not speak websocket") from None
