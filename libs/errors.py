"""The nine kinds of error that domain code raises, whatever carries them to the caller.

A kind decides the status on every wire; `reason` is a name of the ErrorReason enum in errors/v1, without its prefix.
"""

from collections.abc import Mapping
from types import MappingProxyType

_NOTHING: Mapping[str, str] = MappingProxyType({})


class ServiceError(Exception):
    """Something a caller can understand and act on. `message` is shown to callers: no secrets, no internals."""

    def __init__(
        self,
        reason: str,
        message: str,
        *,
        fields: Mapping[str, str] = _NOTHING,
        metadata: Mapping[str, str] = _NOTHING,
        retry_after: float | None = None,
    ) -> None:
        """`fields` maps a field's path to what is wrong with it; `retry_after` is in seconds."""
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.fields = fields
        self.metadata = metadata
        self.retry_after = retry_after

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.reason}: {self.message})"


class InvalidArgument(ServiceError):
    """The request breaks a rule, whatever the state of the system."""


class NotFound(ServiceError):
    """There is no such thing, or it is not the caller's: the two are never told apart."""


class AlreadyExists(ServiceError):
    """What was to be made is there already."""


class FailedPrecondition(ServiceError):
    """The thing's state forbids it; retrying alone does not help."""


class Conflict(ServiceError):
    """Somebody else was faster; reading again and retrying may help."""


class Exhausted(ServiceError):
    """A limit is reached; `retry_after` says when to try again."""


class Unauthenticated(ServiceError):
    """Nobody knows who the caller is."""


class Forbidden(ServiceError):
    """The caller is known and may not do this."""


class Unavailable(ServiceError):
    """Something needed does not answer; the same request may work later."""
