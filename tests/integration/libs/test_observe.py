"""Logs without secrets, metrics over HTTP, traces that reach an OTLP receiver."""

import asyncio
import json
import os
import subprocess
import sys
from typing import Any

import grpc.aio
import httpx
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

from libs.observe.endpoint import endpoint
from libs.observe.metrics import Metrics

LOGGING = """
import structlog, logging
from libs.observe import logs
logs.configure("sample", "info", as_json=True)
log = structlog.get_logger("here")
with structlog.contextvars.bound_contextvars(request_id="r1", job_id="j1"):
    log.info("event", token="s3cret", headers={"a": "s3cret"}, authorization="s3cret", number=7)
    log.debug("too quiet")
logging.getLogger("library").warning("from a library")
try:
    raise ValueError("no")
except ValueError:
    log.exception("failed")
"""
TRACING = """
import sys
from opentelemetry import trace
from libs.observe import traces
traces.configure("sample", sys.argv[1])
carrier = {}
with traces.span("outer", job_id="j1"):
    traces.inject(carrier)
with traces.continued(carrier, "inner"):
    pass
trace.get_tracer_provider().force_flush()
"""


def run(code: str, *words: str) -> str:
    environment = {**os.environ, "GRPC_ENABLE_FORK_SUPPORT": "0"}
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, check=True, env=environment, timeout=60
    )
    return done.stderr


def test_a_line_is_json_with_its_ids_and_without_secrets() -> None:
    lines = [json.loads(line) for line in run(LOGGING).splitlines()]
    assert [line["event"] for line in lines] == ["event", "from a library", "failed"]
    first = lines[0]
    assert (first["request_id"], first["job_id"], first["service"], first["number"]) == ("r1", "j1", "sample", 7)
    assert "s3cret" not in json.dumps(lines)
    assert "ValueError: no" in lines[2]["exception"]


async def test_metrics_and_readiness_are_served() -> None:
    metrics = Metrics()
    metrics.counter("things", "things seen", "kind").labels("a").inc()
    ready = False

    async def is_ready() -> bool:
        return ready

    async with endpoint("127.0.0.1:0", metrics, is_ready) as address, httpx.AsyncClient(trust_env=False) as client:
        text = (await client.get(f"http://{address}/metrics")).text
        assert 'comfyfleet_things_total{kind="a"} 1.0' in text
        assert (await client.get(f"http://{address}/livez")).status_code == 200
        assert (await client.get(f"http://{address}/readyz")).status_code == 503
        ready = True
        assert (await client.get(f"http://{address}/readyz")).status_code == 200


class Receiver(trace_service_pb2_grpc.TraceServiceServicer):
    """As much of a collector as a test needs."""

    def __init__(self) -> None:
        self.spans: list[Any] = []

    async def Export(self, request: Any, context: Any) -> Any:  # noqa: N802
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                self.spans += scope.spans
        return trace_service_pb2.ExportTraceServiceResponse()


async def test_spans_reach_a_receiver_and_keep_their_parents() -> None:
    receiver, server = Receiver(), grpc.aio.server()
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(receiver, server)  # type: ignore[no-untyped-call]
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        await asyncio.to_thread(run, TRACING, f"http://127.0.0.1:{port}")
    finally:
        await server.stop(1)
    outer, inner = (next(span for span in receiver.spans if span.name == name) for name in ("outer", "inner"))
    assert inner.trace_id == outer.trace_id
    assert inner.parent_span_id == outer.span_id
