"""Files on their way into the fleet: bytes that are there already are not sent again."""

import mimetypes
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any, Protocol

from blake3 import blake3

from gateway.cli.client import Body, Fleet
from gateway.cli.errors import CommandFailed, ExitCode, Refused
from gateway.cli.inputs import asset_reference

Took = Callable[[int], None]


class Meter(Protocol):
    """Shows how far something is."""

    def start(self, what: str, size: int) -> Took:
        """A new transfer of so many bytes; call the result with every part."""
        ...


class CountedFile:
    """A file that tells how much of it was read."""

    def __init__(self, file: IO[bytes], took: Took) -> None:
        self._file = file
        self._took = took

    def read(self, size: int = -1) -> bytes:
        """The next bytes."""
        data = self._file.read(size)
        self._took(len(data))
        return data

    def fileno(self) -> int:
        """The open file, from which httpx takes the length."""
        return self._file.fileno()


def references(fleet: Fleet, paths: Sequence[Path], meter: Meter) -> dict[Path, Any]:
    """What stands in the workflow for each file, uploaded once each."""
    return {path: asset_reference(bring(fleet, path, meter)) for path in dict.fromkeys(paths)}


def bring(fleet: Fleet, path: Path, meter: Meter) -> Body:
    """The asset of a file. CommandFailed when it cannot be read."""
    try:
        digest = f"blake3:{blake3(max_threads=blake3.AUTO).update_mmap(path).hexdigest()}"
        return _known(fleet, path, digest) or _upload(fleet, path, digest, meter)
    except OSError as error:
        raise CommandFailed(f"cannot read {path}: {error.strerror}", ExitCode.USAGE) from None


def _known(fleet: Fleet, path: Path, digest: str) -> Body | None:
    if not fleet.has_bytes(digest):
        return None
    try:
        return fleet.asset_of(digest, path.name)
    except Refused as error:
        if error.status == 404:  # deleted between the question and the wish
            return None
        raise


def _upload(fleet: Fleet, path: Path, digest: str, meter: Meter) -> Body:
    content_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    fields = {"content_type": content_type, "file_path": path.name, "expected_hash": digest}
    with path.open("rb") as file:
        took = meter.start(f"uploading {path.name}", path.stat().st_size)
        return fleet.upload(fields, CountedFile(file, took))
