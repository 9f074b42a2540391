"""OpenTelemetry traces. Without an endpoint nothing is recorded and a span costs next to nothing."""

from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager

from opentelemetry import propagate, trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind

_QUEUE = 16_384  # spans; the exporter drops silently past its queue, so it is generous
_tracer = trace.get_tracer("comfyfleet")


def configure(service: str, endpoint: str) -> None:
    """Export spans by OTLP/gRPC; an empty endpoint exports nothing."""
    if not endpoint:
        return
    provider = TracerProvider(resource=Resource.create({"service.name": f"comfyfleet-{service}"}))
    exporter = OTLPSpanExporter(endpoint, insecure=endpoint.startswith("http://"))
    provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=_QUEUE))
    trace.set_tracer_provider(provider)


@contextmanager
def span(name: str, kind: SpanKind = SpanKind.INTERNAL, **attributes: str | int) -> Iterator[Span]:
    """A span around a block, child of the current one."""
    with _tracer.start_as_current_span(name, kind=kind, attributes=attributes) as current:
        yield current


@contextmanager
def continued(carrier: Mapping[str, str], name: str) -> Iterator[Span]:
    """A server span whose parent the caller named in its `traceparent`."""
    context = propagate.extract(carrier)
    with _tracer.start_as_current_span(name, context=context, kind=SpanKind.SERVER) as current:
        yield current


def inject(carrier: MutableMapping[str, str]) -> None:
    """Name the current span for the callee."""
    propagate.inject(carrier)
