"""What a handler may ask about the call it serves."""

from contextvars import ContextVar

import grpc.aio

from libs.errors import Unauthenticated
from libs.identity import Principal

_principal: ContextVar[Principal | None] = ContextVar("principal", default=None)
_access_token: ContextVar[str] = ContextVar("access_token", default="")
_context: ContextVar["grpc.aio.ServicerContext[object, object] | None"] = ContextVar("servicer_context", default=None)


def enter(context: "grpc.aio.ServicerContext[object, object]") -> None:
    """Begin a call. Each call has a task, and so a context, of its own: nothing needs to be put back."""
    _context.set(context)


def identify(principal: Principal, access_token: str) -> None:
    """Say who makes the call."""
    _principal.set(principal)
    _access_token.set(access_token)


def current_principal() -> Principal:
    """On whose behalf the call is made. Raises Unauthenticated in a method that needs no identity."""
    principal = _principal.get()
    if principal is None:
        raise Unauthenticated("CREDENTIAL_INVALID", "the call carries no identity")
    return principal


def current_access_token() -> str:
    """The signed identity of the call, to pass on; empty outside of a call."""
    return _access_token.get()


def remaining() -> float | None:
    """Seconds until the call's deadline; None when there is no call or no deadline."""
    context = _context.get()
    return context.time_remaining() if context is not None else None
