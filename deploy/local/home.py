"""The folder of one local fleet: secrets, credentials, logs, data. Nobody else may look inside."""

import json
import os
import secrets
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

DEFAULT = Path(".comfyfleet")
MAX_LOG = 10 << 20  # bytes; a larger log is set aside when its process starts
_SECRETS = ("identity.key", "encryption.key", "url.key", "admin.key", "postgres.password", "nats.token")


@dataclass(frozen=True, slots=True)
class Home:
    """Paths below one folder."""

    path: Path

    def make(self) -> None:
        """Make the folders and, once, the secrets."""
        for folder in (self.path, self.path / "logs", self.path / "secrets", self.path / "blobs"):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path.chmod(0o700)
        for name in _SECRETS:
            if not self._secret(name).exists():
                write_private(self._secret(name), secrets.token_urlsafe(36))

    def secret(self, name: str) -> str:
        """One secret. FileNotFoundError before `make`."""
        return self._secret(name).read_text()

    @property
    def credentials(self) -> Path:
        """`KEY=value` lines for clients."""
        return self.path / "credentials.env"

    @property
    def state(self) -> Path:
        """What runs, as JSON."""
        return self.path / "state.json"

    @property
    def lock(self) -> Path:
        """Held by the supervisor."""
        return self.path / "lock"

    def log(self, name: str) -> Path:
        """Where a process writes; a large log of earlier runs is set aside first."""
        path = self.path / "logs" / f"{name}.log"
        if path.exists() and path.stat().st_size > MAX_LOG:
            path.replace(path.with_suffix(".log.1"))
        return path

    def read_credentials(self) -> dict[str, str]:
        """The credentials file as a mapping; empty when there is none."""
        if not self.credentials.exists():
            return {}
        lines = self.credentials.read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)

    def write_credentials(self, values: Mapping[str, str]) -> None:
        """Replace the file at once, readable by its owner alone."""
        write_private(self.credentials, "".join(f"{name}={value}\n" for name, value in values.items()))

    def _secret(self, name: str) -> Path:
        return self.path / "secrets" / name


def write_private(path: Path, text: str) -> None:
    """Write a file of mode 0600 so that readers see the old text or the new one, never half of it."""
    handle, temporary = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(handle, "w") as file:
        file.write(text)
    Path(temporary).replace(path)


def read_json(path: Path) -> dict[str, object]:
    """A JSON object; empty when there is none or it cannot be read."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
