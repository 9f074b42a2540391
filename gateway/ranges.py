"""The Range header (RFC 9110, section 14): one byte range, or none at all."""

import re
from dataclasses import dataclass

_ONE_RANGE = re.compile(r"bytes=(\d{0,19})-(\d{0,19})")


@dataclass(frozen=True, slots=True)
class ByteRange:
    """A satisfiable range: `offset` of its first byte and its `length`, both in bytes."""

    offset: int
    length: int

    def content_range(self, size: int) -> str:
        """Value of the Content-Range header."""
        return f"bytes {self.offset}-{self.offset + self.length - 1}/{size}"


class Unsatisfiable(Exception):
    """The range starts behind the end: answer 416."""


def parse(header: str | None, size: int) -> ByteRange | None:
    """The range asked for, or None for the whole.

    A header that is malformed or asks for several ranges is ignored, as the RFC allows.
    Raises Unsatisfiable when a well-formed range lies outside `size`.
    """
    match = _ONE_RANGE.fullmatch(header.strip()) if header else None
    if match is None:
        return None
    first, last = match.groups()
    if not first:
        return _suffix(int(last), size) if last else None
    return _from(int(first), int(last) if last else size - 1, size)


def _suffix(count: int, size: int) -> ByteRange:
    if count == 0 or size == 0:
        raise Unsatisfiable
    length = min(count, size)
    return ByteRange(size - length, length)


def _from(first: int, last: int, size: int) -> ByteRange | None:
    if last < first < size:
        return None
    if first >= size:
        raise Unsatisfiable
    return ByteRange(first, min(last, size - 1) - first + 1)
