"""Structured logs: one event per line, with the ids of the request, job and trace it belongs to."""

import logging
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any

import structlog
from opentelemetry import trace

# Values under these names never reach a log, whoever put them there.
_SECRET_WORDS = ("token", "secret", "password", "authorization", "headers", "cookie", "api_key", "credential")
_HIDDEN = "[hidden]"

_SHARED: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def configure(service: str, level: str, *, as_json: bool) -> None:
    """Send every log of the process, libraries' included, to standard error in one form."""
    shared = [*_SHARED, _with_trace, _hide, _named(service), structlog.processors.format_exc_info]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    renderer = structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processor=renderer, foreign_pre_chain=shared))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for chatty in ("httpx", "httpcore", "websockets", "asyncio", "uvicorn.access"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def _named(service: str) -> Any:
    def add(_: Any, __: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
        event["service"] = service
        return event

    return add


def _with_trace(_: Any, __: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        event["trace_id"] = f"{context.trace_id:032x}"
    return event


def _hide(_: Any, __: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    for name in event:
        if any(word in name.lower() for word in _SECRET_WORDS):
            event[name] = _HIDDEN
    return event
