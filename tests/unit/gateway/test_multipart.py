"""Forms read as they arrive: whatever the slicing, the same fields and the same bytes."""

from collections.abc import AsyncIterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.multipart import Form, FormLimits, FormReader, boundary_of
from libs.errors import InvalidArgument

BOUNDARY = b"frontier"


def part(name: str, value: bytes, filename: str | None = None, kind: str | None = None) -> bytes:
    extra = f'; filename="{filename}"' if filename is not None else ""
    content_type = f"\r\nContent-Type: {kind}" if kind else ""
    head = f'--frontier\r\nContent-Disposition: form-data; name="{name}"{extra}{content_type}\r\n\r\n'
    return head.encode() + value + b"\r\n"


def body(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--frontier--\r\n"


async def sliced(content: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


async def read(content: bytes, size: int = 7, limits: FormLimits | None = None) -> tuple[Form, bytes]:
    reader = FormReader(sliced(content, size), BOUNDARY, limits or FormLimits())
    data = b"".join([chunk async for chunk in reader.file_chunks()])
    return reader.form, data


@settings(max_examples=50, deadline=None)
@given(data=st.binary(max_size=400), size=st.integers(1, 64))
async def test_any_slicing_gives_the_same_form(data: bytes, size: int) -> None:
    content = body(
        part("content_type", b"image/png"),
        part("tags", b"a"),
        part("file", data, "x.png", "image/png"),
        part("tags", b"b"),
    )
    form, received = await read(content, size)
    assert received == data
    assert form.fields == {"content_type": ["image/png"], "tags": ["a", "b"]}
    assert form.file is not None
    assert (form.file.filename, form.file.content_type) == ("x.png", "image/png")


async def test_fields_behind_the_file_are_read_too() -> None:
    form, data = await read(body(part("file", b"1234", "f"), part("file_path", b"a.png")))
    assert (data, form.last("file_path"), form.last("nothing")) == (b"1234", "a.png", None)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (part("a", b"1"), "ends before its closing boundary"),
        (b"--frontier\r\nrubbish", "ends before its closing boundary"),
        (b"no form at all", "not well-formed"),
        (body(part("file", b"1", "a"), part("file", b"2", "b")), "more than one file"),
        (body(part("a", b"x" * 101)), "larger than 100 bytes"),
        (body(*[part("a", b"1")] * 4), "more than 3 fields"),
        (body(part("a", b"\xff\xfe")), "not UTF-8"),
    ],
)
async def test_bad_forms_are_refused(content: bytes, message: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        await read(content, limits=FormLimits(fields=3, field_bytes=100))
    assert message in caught.value.message


@pytest.mark.parametrize("kind", [None, "", "application/json", "multipart/form-data", "multipart/mixed; boundary=x"])
def test_other_bodies_are_refused(kind: str | None) -> None:
    with pytest.raises(InvalidArgument):
        boundary_of(kind)


def test_the_boundary_is_found() -> None:
    assert boundary_of('multipart/form-data; boundary="frontier"') == BOUNDARY
