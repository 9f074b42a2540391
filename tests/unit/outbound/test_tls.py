"""Connecting to a checked address leaves the certificate to be checked for the name."""

import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from libs.outbound import AddressPolicy, Outbound, Unreachable
from tests.unit.outbound.peer import serving

NAME = "runner.example"


async def hello(request: Request) -> Response:
    return PlainTextResponse(request.headers["host"])


async def greet(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text("hello")
    await socket.close()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    plain = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file = tmp_path_factory.mktemp("tls") / "peer.pem"
    file.write_bytes(plain + signed.public_bytes(pem))
    return file


@asynccontextmanager
async def trusting(certificate: Path) -> AsyncIterator[Outbound]:
    async def loopback(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.1"]

    context = ssl.create_default_context(cafile=certificate)
    outbound = Outbound(AddressPolicy(), ssl_context=context, resolver=loopback)
    try:
        yield outbound
    finally:
        await outbound.aclose()


async def test_the_certificate_is_checked_for_the_name(certificate: Path) -> None:
    routes = (Route("/", hello), WebSocketRoute("/ws", greet))
    async with serving(*routes, certificate=certificate) as url, trusting(certificate) as outbound:
        port = url.rpartition(":")[2]
        right, wrong = f"https://{NAME}:{port}", f"https://other.example:{port}"
        assert (await outbound.fetch("GET", right)).body == f"{NAME}:{port}".encode()
        async with outbound.websocket(f"{right}/ws") as connection:
            assert await connection.recv() == "hello"
        with pytest.raises(Unreachable):
            await outbound.fetch("GET", wrong)
        with pytest.raises(Unreachable):
            async with outbound.websocket(f"{wrong}/ws"):
                pass
