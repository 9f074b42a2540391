"""The server's directories: input, output and temp, with ComfyUI's rules for names."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

KINDS = ("input", "output", "temp")


class OutsideFolder(Exception):
    """The name leads out of its directory."""


@dataclass(frozen=True, slots=True)
class Folders:
    """Everything lies below `base`."""

    base: Path

    def make(self) -> None:
        """Make all of them; temp starts empty, as on a real server."""
        for kind in KINDS:
            (self.base / kind).mkdir(parents=True, exist_ok=True)
        for old in (self.base / "temp").iterdir():
            old.unlink(missing_ok=True)

    def path(self, kind: str, subfolder: str, filename: str) -> Path:
        """Where a file lies. Raises OutsideFolder; KeyError for an unknown kind."""
        if kind not in KINDS:
            raise KeyError(kind)
        root = (self.base / kind).resolve()
        path = (root / subfolder / filename).resolve()
        if not path.is_relative_to(root):
            raise OutsideFolder
        return path

    def store_upload(self, kind: str, subfolder: str, filename: str, data: bytes, *, overwrite: bool) -> str:
        """Keep an upload and return its name: another one when the name is taken by other bytes."""
        wanted = self.path(kind, subfolder, filename)
        wanted.parent.mkdir(parents=True, exist_ok=True)
        path, count = wanted, 0
        while path.exists() and not overwrite and _digest(path.read_bytes()) != _digest(data):
            count += 1
            path = wanted.with_name(f"{wanted.stem} ({count}){wanted.suffix}")
        path.write_bytes(data)
        return path.name

    def next_image(self, kind: str, prefix: str) -> Path:
        """The next free name for a saved image: prefix_00001_.png and so on."""
        target = self.path(kind, "", f"{prefix}_")
        target.parent.mkdir(parents=True, exist_ok=True)
        pattern = re.compile(re.escape(target.name) + r"(\d+)_\.png")
        taken = [int(match[1]) for file in target.parent.iterdir() if (match := pattern.fullmatch(file.name))]
        return target.with_name(f"{target.name}{max(taken, default=0) + 1:05}_.png")

    def names(self, kind: str) -> list[str]:
        """What lies in a directory, for a combo input."""
        return sorted(file.name for file in (self.base / kind).iterdir() if file.is_file())


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()
