"""Results in a folder: the names they had, nothing overwritten, never half a file."""

import os
import tempfile
from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path, PurePosixPath, PureWindowsPath

from gateway.cli.errors import CommandFailed


def safe_name(name: str) -> str:
    """The last part of a name that a runner chose; it cannot leave the folder or hide in it."""
    last = PureWindowsPath(PurePosixPath(name).name).name
    printable = "".join(character for character in last if character.isprintable()).lstrip(".")
    return printable or "output"


def candidates(name: str) -> Iterator[str]:
    """name.png, name-1.png, name-2.png, …"""
    yield name
    path = PurePosixPath(name)
    for number in count(1):
        yield f"{path.stem}-{number}{path.suffix}"


def save(folder: Path, name: str, chunks: Iterable[bytes]) -> Path:
    """Write a file under the first free name and return where it is. CommandFailed when the disk refuses."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return _save(folder, safe_name(name), chunks)
    except OSError as error:
        raise CommandFailed(f"cannot write to {folder}: {error.strerror}") from None


def _save(folder: Path, name: str, chunks: Iterable[bytes]) -> Path:
    handle, temporary = tempfile.mkstemp(prefix=".", suffix=".part", dir=folder)
    try:
        with os.fdopen(handle, "wb") as file:
            file.writelines(chunks)
        _make_readable(Path(temporary))
        return _publish(Path(temporary), folder, name)
    finally:
        Path(temporary).unlink(missing_ok=True)


def _publish(temporary: Path, folder: Path, name: str) -> Path:
    for candidate in candidates(name):
        try:
            _link(temporary, folder / candidate)
        except FileExistsError:
            continue
        return folder / candidate
    raise AssertionError("unreachable: candidates never end")


def _link(temporary: Path, target: Path) -> None:
    """A link appears whole or not at all, and never in the place of another file. FileExistsError."""
    try:
        target.hardlink_to(temporary)
    except FileExistsError:
        raise
    except OSError:
        # Some file systems have no links: there the name is taken first, then filled at once.
        target.touch(exist_ok=False)
        temporary.replace(target)


def _make_readable(path: Path) -> None:
    """Temporary files are private; results get the rights that any new file would have."""
    mask = os.umask(0)
    os.umask(mask)
    path.chmod(0o666 & ~mask)
