"""Forms that are read as they arrive: fields are collected, the file's bytes are passed on."""

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from libs.errors import InvalidArgument

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks


@dataclass(slots=True)
class FilePart:
    """What a form says of its file."""

    filename: str
    content_type: str


@dataclass(slots=True)
class Form:
    """The fields of a form, in order of arrival; `file` is set once its part began."""

    fields: dict[str, list[str]] = field(default_factory=dict)
    file: FilePart | None = None

    def last(self, name: str) -> str | None:
        """The last value of a field, None when it is absent."""
        values = self.fields.get(name)
        return values[-1] if values else None


@dataclass(frozen=True, slots=True)
class FormLimits:
    """How large the small parts of a form may be: number of fields, bytes of one of them."""

    fields: int = 64
    field_bytes: int = 65536


def boundary_of(content_type: str | None) -> bytes:
    """The boundary of a multipart/form-data body; InvalidArgument for any other body."""
    kind, options = parse_options_header(content_type)
    boundary = options.get(b"boundary")
    if kind != b"multipart/form-data" or not boundary:
        raise InvalidArgument("INVALID_FIELD", "the body must be multipart/form-data", fields={"body": "not a form"})
    return boundary


class FormReader:
    """Iterates over the bytes of the part named `file` while the other parts end up in `form`.

    Raises InvalidArgument for a malformed body, a part that is too large, a second file, or a body that
    ends before its closing boundary.
    """

    def __init__(self, body: AsyncIterator[bytes], boundary: bytes, limits: FormLimits) -> None:
        self.form = Form()
        self._body = body
        self._limits = limits
        self._headers: dict[bytes, bytes] = {}
        self._header_name = b""
        self._header_value = b""
        self._name = ""
        self._value = bytearray()
        self._chunks: list[bytes] = []
        self._ended = False
        self._parser = MultipartParser(boundary, self._callbacks())

    async def file_chunks(self) -> AsyncGenerator[bytes, None]:
        """The file's bytes in order. The form is complete when this ends."""
        async for data in self._body:
            self._feed(data)
            for chunk in self._drain():
                yield chunk
        if not self._ended:
            raise _malformed("the body ends before its closing boundary")

    def _feed(self, data: bytes) -> None:
        try:
            self._parser.write(data)
        except MultipartParseError as error:
            raise _malformed("the body is not well-formed") from error

    def _drain(self) -> list[bytes]:
        chunks, self._chunks = self._chunks, []
        return chunks

    def _callbacks(self) -> "MultipartCallbacks":
        return {
            "on_part_begin": self._part_begin,
            "on_header_field": self._header_field,
            "on_header_value": self._header_text,
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_finished,
            "on_part_data": self._part_data,
            "on_part_end": self._part_end,
            "on_end": self._end,
        }

    def _part_begin(self) -> None:
        self._headers = {}
        self._value = bytearray()

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _header_text(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _header_end(self) -> None:
        self._headers[self._header_name.lower()] = self._header_value
        self._header_name = self._header_value = b""

    def _headers_finished(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition"))
        self._name = _text(options.get(b"name", b""))
        if self._name == "file":
            self._begin_file(options)
        elif sum(map(len, self.form.fields.values())) >= self._limits.fields:
            raise _malformed(f"the form has more than {self._limits.fields} fields")

    def _begin_file(self, options: dict[bytes, bytes]) -> None:
        if self.form.file is not None:
            raise _malformed("the form has more than one file")
        kind = self._headers.get(b"content-type", b"application/octet-stream")
        self.form.file = FilePart(_text(options.get(b"filename", b"")), _text(kind))

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        if self._name == "file":
            self._chunks.append(data[start:end])
            return
        self._value += data[start:end]
        if len(self._value) > self._limits.field_bytes:
            raise _malformed(f"the field is larger than {self._limits.field_bytes} bytes", self._name)

    def _part_end(self) -> None:
        if self._name != "file":
            self.form.fields.setdefault(self._name, []).append(_text(bytes(self._value)))

    def _end(self) -> None:
        self._ended = True


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise _malformed("the form holds text that is not UTF-8") from error


def _malformed(message: str, name: str = "body") -> InvalidArgument:
    return InvalidArgument("INVALID_FIELD", message, fields={name: message})
