"""The Range header, case by case (RFC 9110, section 14.1.2)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.ranges import ByteRange, Unsatisfiable, parse


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        (None, None),
        ("bytes=0-0", ByteRange(0, 1)),
        ("bytes=0-9", ByteRange(0, 10)),
        ("bytes=5-", ByteRange(5, 95)),
        ("bytes=-10", ByteRange(90, 10)),
        ("bytes=-1000", ByteRange(0, 100)),
        ("bytes=90-1000", ByteRange(90, 10)),
        (" bytes=0-1 ", ByteRange(0, 2)),
        ("bytes=9-5", None),
        ("bytes=-", None),
        ("bytes=0-1,5-6", None),
        ("items=0-1", None),
        ("bytes=a-b", None),
    ],
)
def test_of_a_hundred_bytes(header: str | None, wanted: ByteRange | None) -> None:
    assert parse(header, 100) == wanted


@pytest.mark.parametrize(
    ("header", "size"), [("bytes=100-", 100), ("bytes=100-200", 100), ("bytes=-0", 100), ("bytes=0-", 0)]
)
def test_outside_is_unsatisfiable(header: str, size: int) -> None:
    with pytest.raises(Unsatisfiable):
        parse(header, size)


@given(first=st.integers(0, 200), last=st.integers(0, 200), size=st.integers(1, 100))
def test_a_range_never_leaves_the_content(first: int, last: int, size: int) -> None:
    try:
        part = parse(f"bytes={first}-{last}", size)
    except Unsatisfiable:
        assert first >= size
        return
    if part is not None:
        assert part.length > 0
        assert part.offset + part.length <= size
        assert part.content_range(size).startswith(f"bytes {first}-")
