"""A multipart body whose file is streamed."""

import secrets
from collections.abc import AsyncIterator, Mapping

# As browsers do. What the server makes of it is in its reply.
_ESCAPES = str.maketrans({'"': "%22", "\r": "%0D", "\n": "%0A"})


class UploadForm:
    """The body of POST /upload/image."""

    def __init__(self, fields: Mapping[str, str], filename: str, file: bytes | AsyncIterator[bytes]) -> None:
        """Send `fields`, then `file` as the part "image"."""
        boundary = secrets.token_hex(16)
        self.content_type = f"multipart/form-data; boundary={boundary}"
        self._head = "".join(_field(boundary, name, value) for name, value in fields.items()) + (
            f'--{boundary}\r\nContent-Disposition: form-data; name="image"; '
            f'filename="{filename.translate(_ESCAPES)}"\r\nContent-Type: application/octet-stream\r\n\r\n'
        )
        self._tail = f"\r\n--{boundary}--\r\n"
        self._file = file

    def body(self) -> bytes | AsyncIterator[bytes]:
        """Return the body: whole, and so with a length, if the file is."""
        if isinstance(self._file, bytes):
            return b"".join((self._head.encode(), self._file, self._tail.encode()))
        return self._streamed(self._file)

    async def _streamed(self, file: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        yield self._head.encode()
        async for chunk in file:
            yield chunk
        yield self._tail.encode()


def _field(boundary: str, name: str, value: str) -> str:
    return f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
