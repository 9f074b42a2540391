"""Connections to checked addresses: what is connected to is what was checked, so a name cannot change in between."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

import httpcore

from libs.outbound.address import Address, Guard
from libs.outbound.errors import AddressNotAllowed, Unreachable

T = TypeVar("T")


class GuardedBackend(httpcore.AsyncNetworkBackend):
    """The HTTP pool's way to the network. Host header and TLS name stay those of the URL."""

    def __init__(self, guard: Guard) -> None:
        """Check with `guard`."""
        self._guard = guard
        self._network = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first allowed address that answers; `timeout` in seconds for all of it."""

        async def connect(address: Address, seconds: float | None) -> httpcore.AsyncNetworkStream:
            return await self._network.connect_tcp(str(address), port, seconds, local_address, socket_options)

        return await connect_first(self._guard, host, port, timeout, connect)

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Refuse: no URL of a user leads to a file."""
        raise AddressNotAllowed("unix sockets may not be called")

    async def sleep(self, seconds: float) -> None:
        """Wait between retries."""
        await self._network.sleep(seconds)


async def connect_first(
    guard: Guard,
    host: str,
    port: int,
    timeout: float | None,
    connect: Callable[[Address, float | None], Awaitable[T]],
) -> T:
    """Try the host's allowed addresses in turn, each with its share of `timeout` seconds."""
    try:
        async with asyncio.timeout(timeout):
            addresses = await guard.addresses(host, port)
    except TimeoutError:
        raise Unreachable(f"{host} does not resolve in time", maybe_sent=False) from None
    share = timeout / len(addresses) if timeout else None
    for address in addresses[:-1]:
        try:
            return await connect(address, share)
        except (OSError, httpcore.ConnectError, httpcore.ConnectTimeout):
            continue
    return await connect(addresses[-1], share)


async def open_socket(guard: Guard, host: str, port: int, timeout: float) -> socket.socket:
    """Return a connected non-blocking socket. Unreachable or AddressNotAllowed."""

    async def connect(address: Address, seconds: float | None) -> socket.socket:
        async with asyncio.timeout(seconds):
            return await _connected(address, port)

    try:
        return await connect_first(guard, host, port, timeout, connect)
    except OSError as refused:
        why = refused.strerror or "no answer in time"
        raise Unreachable(f"cannot connect to {host}: {why}", maybe_sent=False) from None


async def _connected(address: Address, port: int) -> socket.socket:
    endpoint = socket.socket(socket.AF_INET if address.version == 4 else socket.AF_INET6, socket.SOCK_STREAM)
    try:
        endpoint.setblocking(False)
        endpoint.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(endpoint, (str(address), port))
    except BaseException:
        endpoint.close()
        raise
    return endpoint
