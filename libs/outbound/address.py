"""Which addresses may be called. Checked on what a name resolves to, right where the connection is made."""

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass

import httpx

from libs.errors import InvalidArgument
from libs.outbound.errors import AddressNotAllowed, Unreachable

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolver = Callable[[str, int], Awaitable[Sequence[str]]]

# Instance metadata outside the link-local range: EC2 over IPv6, Alibaba, Azure's wire server, Oracle.
_METADATA = frozenset(
    ipaddress.ip_address(text) for text in ("fd00:ec2::254", "100.100.100.200", "168.63.129.16", "192.0.0.192")
)
_THIS_NETWORK = ipaddress.ip_network("0.0.0.0/8")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_IPV4_COMPATIBLE = ipaddress.ip_network("::/96")


@dataclass(frozen=True, slots=True)
class AddressPolicy:
    """Link-local, metadata, unspecified, multicast, broadcast and reserved addresses are refused always."""

    allow_private: bool = True
    """Loopback and private ranges; a fleet's servers usually live there. Switch off where strangers register."""

    def allows(self, address: Address) -> bool:
        """Look at the address and at any IPv4 address that is wrapped in it."""
        return all(self._allows(face) for face in _faces(address))

    def _allows(self, address: Address) -> bool:
        if _is_never_allowed(address):
            return False
        return self.allow_private or address.is_global


def _is_never_allowed(address: Address) -> bool:
    if address.is_link_local or address.is_unspecified or address.is_multicast or address in _METADATA:
        return True
    # Broadcast is the last address of the reserved range.
    return isinstance(address, ipaddress.IPv4Address) and (address.is_reserved or address in _THIS_NETWORK)


def _faces(address: Address) -> Iterator[Address]:
    if isinstance(address, ipaddress.IPv4Address):
        yield address
        return
    if address.ipv4_mapped:
        yield address.ipv4_mapped
        return
    yield address
    if address.sixtofour:
        yield address.sixtofour
    if address.teredo:
        yield from address.teredo
    if address in _NAT64 or (address in _IPV4_COMPATIBLE and int(address) > 1):
        yield ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)


def checked_url(url: str) -> httpx.URL:
    """Parse a URL that a user gave. InvalidArgument unless it is plain http(s) with a host and no userinfo."""
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, ValueError):
        raise _invalid("is not a URL") from None
    if any(character.isspace() for character in url):
        raise _invalid("holds spaces")
    if parsed.scheme not in ("http", "https"):
        raise _invalid("must start with http:// or https://")
    if not parsed.host:
        raise _invalid("has no host")
    if parsed.userinfo:
        raise _invalid("must not hold a user name or password; use headers")
    return parsed


def _invalid(what: str) -> InvalidArgument:
    return InvalidArgument("INVALID_FIELD", f"the endpoint {what}", fields={"endpoint": what})


async def system_resolver(host: str, port: int) -> Sequence[str]:
    """Ask the system, as connecting by name would."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


@dataclass(frozen=True, slots=True)
class Guard:
    """Turns a host name into the addresses that may be connected to."""

    policy: AddressPolicy
    resolver: Resolver = system_resolver

    async def addresses(self, host: str, port: int) -> list[Address]:
        """Return the allowed ones of the host's addresses. AddressNotAllowed if there are others only."""
        found = await self._resolve(host, port)
        allowed = [address for address in found if self.policy.allows(address)]
        if not allowed:
            raise AddressNotAllowed(f"{host} is at an address that may not be called")
        return allowed

    async def _resolve(self, host: str, port: int) -> list[Address]:
        try:
            found = [ipaddress.ip_address(text) for text in await self.resolver(host, port)]
        except (OSError, UnicodeError):
            found = []
        if not found:
            raise Unreachable(f"{host} has no address", maybe_sent=False)
        return found
