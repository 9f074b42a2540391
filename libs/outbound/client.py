"""The guarded HTTP and websocket client."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import httpx
import orjson
from websockets.asyncio.client import ClientConnection

from libs.outbound.address import AddressPolicy, Guard, Resolver, checked_url, system_resolver
from libs.outbound.errors import BadAnswer, TooLarge, Unreachable
from libs.outbound.limits import Limits
from libs.outbound.transport import GuardedTransport
from libs.outbound.websocket import open_websocket

# Ours to set: a user's header of that name would break the framing or lead elsewhere.
_RESERVED = frozenset({"host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer"})


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


class Download:
    """An answer whose body is still to be read."""

    def __init__(self, response: httpx.Response, limit: int) -> None:
        """Read at most `limit` bytes of it."""
        self._response = response
        self._limit = limit

    @property
    def status(self) -> int:
        """HTTP status."""
        return self._response.status_code

    @property
    def headers(self) -> Mapping[str, str]:
        """Names in any case."""
        return self._response.headers

    @property
    def content_type(self) -> str:
        """As announced, without parameters."""
        announced: str = self._response.headers.get("content-type", "application/octet-stream")
        return announced.partition(";")[0].strip().lower()

    @property
    def size(self) -> int | None:
        """Bytes announced; None when the peer does not say."""
        announced = self._response.headers.get("content-length", "")
        return int(announced) if announced.isdigit() else None

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body in pieces of the peer's choice. TooLarge over the limit; Unreachable if it ends early."""
        self._refuse_hopeless()
        read = 0
        async for chunk in self._response.aiter_raw():
            read += len(chunk)
            if read > self._limit:
                raise TooLarge(self._limit)
            yield chunk

    async def body(self) -> bytes:
        """Return the whole body."""
        parts = [chunk async for chunk in self.chunks()]
        return b"".join(parts)

    def _refuse_hopeless(self) -> None:
        if (self.size or 0) > self._limit:
            raise TooLarge(self._limit)
        if self._response.headers.get("content-encoding", "identity") != "identity":
            raise BadAnswer("the answer is compressed though nobody asked for it", status=self.status)


class Outbound:
    """Calls URLs that users gave. No redirects, no cookies, no proxies, no userinfo; limits on time and size."""

    def __init__(
        self,
        policy: AddressPolicy,
        limits: Limits | None = None,
        *,
        ssl_context: ssl.SSLContext | None = None,
        resolver: Resolver = system_resolver,
    ) -> None:
        """One per process; the runners share its pool."""
        self.limits = limits or Limits()
        self._guard = Guard(policy, resolver)
        self._ssl = ssl_context or _trusting_the_usual()
        self._client = httpx.AsyncClient(
            transport=GuardedTransport(self._guard, self._ssl, self.limits.connections),
            timeout=httpx.Timeout(self.limits.idle, connect=self.limits.connect),
            headers={"accept-encoding": "identity", "user-agent": "comfyfleet"},
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            follow_redirects=False,
            trust_env=False,
        )

    async def check(self, url: str) -> None:
        """Resolve and judge without connecting: InvalidArgument, AddressNotAllowed, or Unreachable for no such name."""
        parsed = checked_url(url)
        await self._guard.addresses(parsed.host, _port(parsed))

    async def fetch(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        json: Any = None,
        content: bytes | AsyncIterator[bytes] | None = None,
        limit: int | None = None,
        timeout: float | None = None,
    ) -> Answer:
        """Return a whole answer of at most `limit` bytes within `timeout` seconds, whatever its status."""
        body = content if json is None else orjson.dumps(json)
        sent = dict(headers or {}) if json is None else {**(headers or {}), "content-type": "application/json"}
        try:
            async with asyncio.timeout(timeout or self.limits.total):
                opened = self.open(
                    method, url, headers=sent, params=params, content=body, limit=limit or self.limits.body_bytes
                )
                async with opened as answer:
                    return Answer(answer.status, answer.headers, await answer.body())
        except TimeoutError:
            raise Unreachable("no whole answer in time", maybe_sent=True) from None

    @asynccontextmanager
    async def open(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        content: bytes | AsyncIterator[bytes] | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[Download]:
        """Open an answer for streaming, at most `limit` bytes; the connection is let go at the end of the block."""
        checked = checked_url(url)
        request = self._client.build_request(
            method, checked, headers=_passed_on(headers), params=params, content=content
        )
        response = await self._client.send(request, stream=True)
        try:
            yield Download(response, limit or self.limits.download_bytes)
        finally:
            await response.aclose()

    def websocket(
        self, url: str, *, headers: Mapping[str, str] | None = None
    ) -> AbstractAsyncContextManager[ClientConnection]:
        """Open a websocket at an http(s) URL. Unreachable, BadAnswer or AddressNotAllowed."""
        checked = checked_url(url)
        return open_websocket(
            self._guard,
            checked,
            _port(checked),
            ssl_context=self._ssl,
            headers=_passed_on(headers),
            limits=self.limits,
        )

    async def aclose(self) -> None:
        """Close every connection."""
        await self._client.aclose()


def _port(url: httpx.URL) -> int:
    return url.port or (443 if url.scheme == "https" else 80)


def _passed_on(headers: Mapping[str, str] | None) -> dict[str, str]:
    return {name: value for name, value in (headers or {}).items() if name.lower() not in _RESERVED}


def _trusting_the_usual() -> ssl.SSLContext:
    context = httpx.create_ssl_context(trust_env=False)
    # On top of the bundled authorities those of the machine: servers of a company carry its own certificates.
    context.load_default_certs()
    return context
