"""The server factory and the channel, over a real socket: errors, identity, streams, deadlines, TLS, health."""

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from grpc_health.v1 import health_pb2, health_pb2_grpc

from comfyfleet.execution.v1 import execution_service_pb2 as pb
from comfyfleet.execution.v1.execution_service_pb2_grpc import (
    ExecutionServiceServicer,
    ExecutionServiceStub,
    add_ExecutionServiceServicer_to_server,
)
from libs.clock import SystemClock
from libs.errors import Exhausted, InvalidArgument, NotFound, Unauthenticated, Unavailable
from libs.identity import IdentityKey
from libs.observe.metrics import Metrics
from libs.rpc.client import open_channel, retry_unavailable, stream
from libs.rpc.context import current_principal, remaining
from libs.rpc.health import Health
from libs.rpc.server import ServerOptions, serving
from libs.rpc.tls import TlsFiles
from libs.testing import eventually
from tests.support import keys

JOB = "7f3d2c1b-9a8e-4d6f-b012-3c4d5e6f7a8b"


class Scripted(ExecutionServiceServicer):
    """GetJob does what the test says; WatchJob counts until it is stopped."""

    def __init__(self) -> None:
        self.script: Callable[[], Awaitable[None]] | None = None
        self.sent = 0
        self.closed = asyncio.Event()

    async def GetJob(self, request: pb.GetJobRequest, context: Any) -> pb.GetJobResponse:  # noqa: N802
        if self.script is not None:
            await self.script()
        return pb.GetJobResponse(job={"account_id": current_principal().account_id})  # type: ignore[arg-type]

    async def WatchJob(self, request: pb.WatchJobRequest, context: Any) -> AsyncIterator[pb.WatchJobResponse]:  # noqa: N802
        try:
            while True:
                self.sent += 1
                yield pb.WatchJobResponse(progress={"nodes_done": self.sent, "message": "x" * 10_000})  # type: ignore[arg-type]
                await asyncio.sleep(0)
        finally:
            self.closed.set()

    SubmitJob = GetJobWorkflow = ListJobs = CancelJob = GetJob  # type: ignore[assignment]


@dataclass
class Served:
    """A running server."""

    address: str
    servicer: Scripted
    health: Health
    metrics: Metrics
    sick: bool = False


@asynccontextmanager
async def server(tls: TlsFiles | None = None, listen: str = "127.0.0.1:0") -> AsyncIterator[Served]:
    servicer, metrics = Scripted(), Metrics()
    served = Served("", servicer, None, metrics)  # type: ignore[arg-type]

    async def check() -> None:
        if served.sick:
            raise Unavailable("DATABASE_UNAVAILABLE", "sick")

    async def fine() -> None:
        return

    served.health = Health({"database": check}, {"nats": fine}, SystemClock(), interval=0.05)

    def register(target: grpc.aio.Server) -> list[Any]:
        add_ExecutionServiceServicer_to_server(servicer, target)
        return [pb.DESCRIPTOR.services_by_name["ExecutionService"]]

    options = ServerOptions(listen, tls=tls, drain_seconds=0.2)
    async with serving(options, register, IdentityKey(keys.IDENTITY), served.health, metrics) as address:
        served.address = address
        yield served


def request() -> pb.GetJobRequest:
    return pb.GetJobRequest(job_id=JOB)


@asynccontextmanager
async def calling(served: Served, token: str | None = None, **options: Any) -> AsyncIterator[Any]:
    signed = keys.tenant("ada") if token is None else token
    async with open_channel(served.address, sign=lambda: signed, **options) as channel:
        yield ExecutionServiceStub(channel)


async def test_the_caller_is_known_to_the_handler() -> None:
    async with server() as served, calling(served) as stub:
        assert (await stub.GetJob(request())).job.account_id == "ada"


@pytest.mark.parametrize("token", ["", "rubbish"])
async def test_nobody_gets_in_without_identity(token: str) -> None:
    async with server() as served, calling(served, token) as stub:
        with pytest.raises(Unauthenticated):
            await stub.GetJob(request())
        with pytest.raises(Unauthenticated):
            async with stream(stub.WatchJob(pb.WatchJobRequest(job_id=JOB))) as call:
                await anext(aiter(call))


async def test_an_error_arrives_as_it_was_raised() -> None:
    async def full() -> None:
        raise Exhausted("QUEUE_FULL", "too many", fields={"a.b": "c"}, metadata={"job_id": "j"}, retry_after=2.5)

    async with server() as served, calling(served) as stub:
        served.servicer.script = full
        with pytest.raises(Exhausted) as caught:
            await stub.GetJob(request())
        error = caught.value
        assert (error.reason, error.message, error.retry_after) == ("QUEUE_FULL", "too many", 2.5)
        assert (dict(error.fields), dict(error.metadata)) == ({"a.b": "c"}, {"job_id": "j"})


async def test_an_unforeseen_error_tells_nothing() -> None:
    async def burst() -> None:
        raise ValueError("secret path /etc/shadow")

    async with server() as served, calling(served) as stub:
        served.servicer.script = burst
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.GetJob(request())
        assert caught.value.code() == grpc.StatusCode.INTERNAL
        assert "secret" not in str(caught.value)
        assert "internal error" in (caught.value.details() or "")


async def test_a_cancelled_inner_task_does_not_hang_the_client() -> None:
    async def give_up() -> None:
        raise asyncio.CancelledError

    async with server() as served, calling(served) as stub:
        served.servicer.script = give_up
        with pytest.raises(Exception, match="given up"):
            await asyncio.wait_for(stub.GetJob(request()), 5)


async def test_fields_that_break_a_rule_are_named() -> None:
    async with server() as served, calling(served) as stub:
        with pytest.raises(InvalidArgument) as caught:
            await stub.GetJob(pb.GetJobRequest(job_id="no uuid"))
        assert list(caught.value.fields) == ["job_id"]
        with pytest.raises(InvalidArgument):
            async with stream(stub.WatchJob(pb.WatchJobRequest(job_id="no uuid"))) as call:
                await anext(aiter(call))


async def test_calls_carry_a_deadline_and_pass_on_what_is_left() -> None:
    left: list[float | None] = []

    async def look() -> None:
        left.append(remaining())

    async with server() as served, calling(served, default_timeout=3) as stub:
        served.servicer.script = look
        await stub.GetJob(request())
        await stub.GetJob(request(), timeout=1)
        assert all(value is not None for value in left)
        assert left[0] is not None
        assert 2 < left[0] < 3.1
        assert left[1] is not None
        assert left[1] < 1.1


async def test_a_silent_service_is_unavailable_after_the_deadline() -> None:
    async with server() as served, calling(served, default_timeout=0.1) as stub:
        served.servicer.script = asyncio.Event().wait  # type: ignore[assignment]
        with pytest.raises(Unavailable):
            await stub.GetJob(request())


async def test_leaving_a_stream_ends_it_on_the_server() -> None:
    async with server() as served, calling(served) as stub:
        async with stream(stub.WatchJob(pb.WatchJobRequest(job_id=JOB))) as call:
            await anext(aiter(call))
        await asyncio.wait_for(served.servicer.closed.wait(), 5)


async def test_a_reader_that_stops_holds_the_writer_back() -> None:
    async with (
        server() as served,
        calling(served) as stub,
        stream(stub.WatchJob(pb.WatchJobRequest(job_id=JOB))) as call,
    ):
        await anext(aiter(call))

        async def standing() -> bool:
            before = served.servicer.sent
            for _ in range(200):
                await asyncio.sleep(0)
            return served.servicer.sent == before

        await eventually(standing)
        assert served.servicer.sent * 10_000 < 8 << 20


async def test_a_service_that_is_away_is_retried_until_it_is_back() -> None:
    attempts = 0

    async def flaky() -> str:
        nonlocal attempts
        attempts += 1
        if attempts < 3:
            raise Unavailable("SERVICE_UNAVAILABLE", "not yet")
        return "well"

    assert await retry_unavailable(flaky) == "well"
    with pytest.raises(NotFound):
        await retry_unavailable(_missing)


async def _missing() -> None:
    raise NotFound("JOB_NOT_FOUND", "no such job")


async def test_health_follows_its_checks() -> None:
    async with server() as served, grpc.aio.insecure_channel(served.address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)

        async def status(name: str = "") -> int:
            await served.health.check()
            return int((await stub.Check(health_pb2.HealthCheckRequest(service=name))).status)

        serving_, not_serving = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
        assert [await status(), await status("database"), await status("nats")] == [serving_] * 3
        served.sick = True
        assert [await status(), await status("database"), await status("nats")] == [not_serving, not_serving, serving_]
        served.sick = False
        assert await status() == serving_


async def test_calls_are_counted_by_method_and_code() -> None:
    async with server() as served, calling(served) as stub:
        await stub.GetJob(request())
        with pytest.raises(InvalidArgument):
            await stub.GetJob(pb.GetJobRequest(job_id="x"))

        def count(code: str) -> float:
            labels = {"method": "/comfyfleet.execution.v1.ExecutionService/GetJob", "code": code}
            return served.metrics.registry.get_sample_value("comfyfleet_rpc_seconds_count", labels) or 0

        await eventually(lambda: count("OK") == 1 and count("INVALID_ARGUMENT") == 1)


async def test_a_taken_port_is_refused_and_so_is_the_open_world() -> None:
    async with server() as served:
        with pytest.raises(RuntimeError):
            async with server(listen=served.address):
                pass
    with pytest.raises(ValueError, match="refusing to listen"):
        async with server(listen="0.0.0.0:0"):
            pass


def certificate(folder: Path, name: str, issuer: tuple[x509.Certificate, Any] | None) -> tuple[x509.Certificate, Any]:
    """A certificate and its key, as PEM files too; without an issuer it is an authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[0].subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    )
    signed = builder.sign(issuer[1] if issuer else key, hashes.SHA256())
    (folder / f"{name}.crt").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / f"{name}.key").write_bytes(private)
    return signed, key


async def test_mutual_tls_admits_the_authoritys_own_alone(tmp_path: Path) -> None:
    ours, theirs = certificate(tmp_path, "ours", None), certificate(tmp_path, "theirs", None)
    certificate(tmp_path, "service", ours)
    certificate(tmp_path, "stranger", theirs)

    def files(name: str) -> TlsFiles:
        return TlsFiles(str(tmp_path / f"{name}.crt"), str(tmp_path / f"{name}.key"), str(tmp_path / "ours.crt"))

    async with server(files("service"), "localhost:0") as served:
        async with calling(served, tls=files("service")) as stub:
            assert (await stub.GetJob(request())).job.account_id == "ada"
        async with calling(served, tls=files("stranger"), default_timeout=2) as stub:
            with pytest.raises(Unavailable):
                await stub.GetJob(request())
        async with calling(served, default_timeout=2) as stub:
            with pytest.raises(Unavailable):
                await stub.GetJob(request())
