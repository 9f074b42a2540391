"""What can go wrong on the way out. No text here ever holds a header's value."""

from libs.errors import FailedPrecondition, InvalidArgument, Unavailable


class AddressNotAllowed(InvalidArgument):
    """The address policy forbids where this URL leads."""

    def __init__(self, what: str) -> None:
        """`what` names the URL's part that is refused and why."""
        super().__init__("ADDRESS_NOT_ALLOWED", what, fields={"endpoint": what})


class Unreachable(Unavailable):
    """No answer, or not a whole one."""

    def __init__(self, what: str, *, maybe_sent: bool) -> None:
        """`maybe_sent` is false when the peer cannot have seen the request: nobody has to look whether it acted."""
        super().__init__("RUNNER_UNREACHABLE", what)
        self.maybe_sent = maybe_sent


class BadAnswer(Unavailable):
    """An answer that is not what this peer is supposed to say: HTML, a redirect, a proxy's error page."""

    def __init__(self, what: str, *, status: int = 0) -> None:
        """`status` is the HTTP status, 0 where there was none."""
        super().__init__("RUNNER_UNREACHABLE", what)
        self.status = status


class TooLarge(FailedPrecondition):
    """The answer is larger than the limit for it; the rest was not read."""

    def __init__(self, limit: int) -> None:
        """`limit` in bytes."""
        super().__init__("ANSWER_TOO_LARGE", f"the answer is larger than {limit} bytes")
        self.limit = limit
