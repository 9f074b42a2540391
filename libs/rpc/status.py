"""The one table between kinds of error and gRPC status, in both directions."""

from collections.abc import Mapping

import grpc
import grpc.aio
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2

from libs.errors import (
    AlreadyExists,
    Conflict,
    Exhausted,
    FailedPrecondition,
    Forbidden,
    InvalidArgument,
    NotFound,
    ServiceError,
    Unauthenticated,
    Unavailable,
)

DOMAIN = "comfyfleet"
_DETAILS = "grpc-status-details-bin"

CODE_OF_KIND: Mapping[type[ServiceError], grpc.StatusCode] = {
    InvalidArgument: grpc.StatusCode.INVALID_ARGUMENT,
    NotFound: grpc.StatusCode.NOT_FOUND,
    AlreadyExists: grpc.StatusCode.ALREADY_EXISTS,
    FailedPrecondition: grpc.StatusCode.FAILED_PRECONDITION,
    Conflict: grpc.StatusCode.ABORTED,
    Exhausted: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Unauthenticated: grpc.StatusCode.UNAUTHENTICATED,
    Forbidden: grpc.StatusCode.PERMISSION_DENIED,
    Unavailable: grpc.StatusCode.UNAVAILABLE,
}
KIND_OF_CODE: Mapping[grpc.StatusCode, type[ServiceError]] = {code: kind for kind, code in CODE_OF_KIND.items()}
# A deadline that ran out is, to the caller, a service that did not answer.
_AWAY = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


def to_status(error: ServiceError, request_id: str) -> status_pb2.Status:
    """The status with google.rpc details that goes over the wire."""
    code = CODE_OF_KIND[type(error)]
    status = status_pb2.Status(code=code.value[0], message=error.message)
    status.details.add().Pack(
        error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=dict(error.metadata))
    )
    status.details.add().Pack(error_details_pb2.RequestInfo(request_id=request_id))
    if error.fields:
        violations = [
            error_details_pb2.BadRequest.FieldViolation(field=name, description=text)
            for name, text in error.fields.items()
        ]
        status.details.add().Pack(error_details_pb2.BadRequest(field_violations=violations))
    if error.retry_after is not None:
        delay = Duration()
        delay.FromNanoseconds(round(error.retry_after * 1e9))
        status.details.add().Pack(error_details_pb2.RetryInfo(retry_delay=delay))
    return status


def from_rpc_error(error: grpc.aio.AioRpcError) -> Exception:
    """The error that the callee raised; the gRPC error itself when the callee had no word for it."""
    kind = Unavailable if error.code() in _AWAY else KIND_OF_CODE.get(error.code())
    if kind is None:
        return error
    details = _details(error)
    if details is None:
        if kind is Unavailable:
            return Unavailable("SERVICE_UNAVAILABLE", "a service does not answer", retry_after=1)
        return kind("INVALID_FIELD", error.details() or "", fields={})
    return _rebuild(kind, details)


def _details(error: grpc.aio.AioRpcError) -> status_pb2.Status | None:
    for key, value in error.trailing_metadata() or ():
        if key == _DETAILS and isinstance(value, bytes):
            return status_pb2.Status.FromString(value)
    return None


def _rebuild(kind: type[ServiceError], status: status_pb2.Status) -> ServiceError:
    info, bad, retry = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
    has_retry = False
    for detail in status.details:
        detail.Unpack(info)
        detail.Unpack(bad)
        has_retry = detail.Unpack(retry) or has_retry
    return kind(
        info.reason,
        status.message,
        fields={violation.field: violation.description for violation in bad.field_violations},
        metadata=dict(info.metadata),
        retry_after=retry.retry_delay.ToNanoseconds() / 1e9 if has_retry else None,
    )
