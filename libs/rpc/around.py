"""The steps around every call, outermost first: request id, trace, log and metrics, errors, identity."""

import asyncio
import re
import time
import uuid
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

import grpc
import grpc.aio
import structlog
from google.rpc import code_pb2, status_pb2
from grpc_status import rpc_status

from libs.errors import ServiceError, Unauthenticated
from libs.identity import IdentityKey
from libs.observe import traces
from libs.observe.metrics import Metrics
from libs.rpc import context as call_context
from libs.rpc.middleware import Call, Middleware
from libs.rpc.status import to_status

log = structlog.get_logger(__name__)
REQUEST_ID = "x-request-id"
_SAFE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
# Asked every few seconds by every supervisor: worth a metric, not a line.
_QUIET = ("/grpc.health.v1.Health/", "/grpc.reflection.")


@asynccontextmanager
async def request_id(call: Call) -> AsyncIterator[None]:
    """Name the call in logs and errors: the caller's own id when it is harmless, else a new one."""
    given = call.metadata.get(REQUEST_ID, "")
    call.request_id = given if _SAFE_ID.fullmatch(given) else str(uuid.uuid4())
    with structlog.contextvars.bound_contextvars(request_id=call.request_id):
        yield


@asynccontextmanager
async def tracing(call: Call) -> AsyncIterator[None]:
    """A server span under the caller's."""
    with traces.continued(call.metadata, call.method.lstrip("/")):
        yield


def access(metrics: Metrics) -> Middleware:
    """One log line and one observation per call, when it is over."""
    seconds = metrics.histogram("rpc_seconds", "duration of calls served", "method", "code")

    @asynccontextmanager
    async def around(call: Call) -> AsyncIterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            took = time.perf_counter() - started
            code = _code(call)
            seconds.labels(call.method, code).observe(took)
            if not call.method.startswith(_QUIET):
                log.info("call", method=call.method, code=code, ms=round(took * 1000, 1), account_id=call.account_id)

    return around


def _code(call: Call) -> str:
    if _cancelled():
        return "CANCELLED"
    code = call.context.code()
    return code.name if isinstance(code, grpc.StatusCode) else _name_of(code or 0)


def _name_of(number: int) -> str:
    return str(code_pb2.Code.Name(number))


def _cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


@asynccontextmanager
async def errors(call: Call) -> AsyncIterator[None]:
    """Errors of the vocabulary become their status; anything else INTERNAL with a fixed text, told only in the log."""
    try:
        yield
    except ServiceError as error:
        await _abort(call, to_status(error, call.request_id))
    except grpc.aio.AbortError:
        raise
    except asyncio.CancelledError:
        if _cancelled():
            raise
        # Some inner task was cancelled. Letting this out would leave the client waiting for ever.
        await _abort(call, status_pb2.Status(code=code_pb2.ABORTED, message="the call was given up"))
    except Exception:
        if call.context.done():
            return  # the client is gone: what was raised is that a message could not be sent any more
        log.exception("call_failed", method=call.method)
        await _abort(call, status_pb2.Status(code=code_pb2.INTERNAL, message=f"internal error ({call.request_id})"))


async def _abort(call: Call, status: status_pb2.Status) -> None:
    await call.context.abort_with_status(rpc_status.to_status(status))


def identity(key: IdentityKey, public: Collection[str]) -> Middleware:
    """Verify the signed principal of every call except those to public methods (names or service prefixes)."""
    open_to_all = (*public, *_QUIET)

    @asynccontextmanager
    async def around(call: Call) -> AsyncIterator[None]:
        call_context.enter(call.context)
        if not call.method.startswith(open_to_all):
            access_token = _bearer(call)
            principal = key.verify(access_token)
            call.account_id = principal.account_id
            call_context.identify(principal, access_token)
        yield

    return around


def _bearer(call: Call) -> str:
    scheme, _, token = call.metadata.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Unauthenticated("CREDENTIAL_INVALID", "the call carries no identity")
    return token
