"""Real servers for tests: PostgreSQL and NATS out of the wheels, or those the environment names."""

import asyncio
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import asyncpg

from deploy.local import nats, postgres
from libs.testing import eventually, free_port


class Server:
    """A program that a test may stop and start again, on the same address."""

    def __init__(self, command: list[str], ready: Callable[[], Awaitable[bool]], log: Path) -> None:
        self._command = command
        self._ready = ready
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Start and wait until it answers."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        await eventually(self._ready, within=30)

    async def stop(self, number: signal.Signals = signal.SIGINT) -> None:
        """Stop it and wait until it is gone."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(number)
            try:
                await asyncio.to_thread(process.wait, 15)
            except subprocess.TimeoutExpired:
                process.kill()
                await asyncio.to_thread(process.wait)

    async def restart(self, number: signal.Signals = signal.SIGINT) -> None:
        """Stop and start."""
        await self.stop(number)
        await self.start()


class PostgresServer(Server):
    """A private PostgreSQL."""

    def __init__(self, folder: Path) -> None:
        self.settings = postgres.Postgres(folder / "pg", free_port(), secrets.token_hex(16), durable=False)
        self.dsn = self.settings.dsn
        super().__init__(self.settings.command(), lambda: postgres.answers(self.dsn), folder / "pg.log")

    async def start(self) -> None:
        """Make the data directory if needed, then start."""
        await asyncio.to_thread(self.settings.prepare)
        await super().start()


class NatsServer(Server):
    """A private NATS."""

    def __init__(self, folder: Path) -> None:
        self.settings = nats.Nats(folder / "nats", free_port(), secrets.token_hex(16))
        self.url = self.settings.url
        super().__init__(self.settings.command(), lambda: nats.answers(self.settings.address), folder / "nats.log")

    async def start(self) -> None:
        """Write the configuration, then start."""
        self.settings.prepare()
        await super().start()


@asynccontextmanager
async def short_folder() -> AsyncIterator[Path]:
    """A folder with a short path, gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="cf-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def running_postgres() -> AsyncIterator[PostgresServer]:
    """A private PostgreSQL for as long as the block lasts."""
    async with short_folder() as folder:
        server = PostgresServer(folder)
        await server.start()
        try:
            yield server
        finally:
            await server.stop()


@asynccontextmanager
async def running_nats() -> AsyncIterator[NatsServer]:
    """A private NATS for as long as the block lasts."""
    async with short_folder() as folder:
        server = NatsServer(folder)
        await server.start()
        try:
            yield server
        finally:
            await server.stop()


@asynccontextmanager
async def shared_postgres() -> AsyncIterator[str]:
    """The DSN in DATABASE_URL, else that of a private server."""
    if dsn := os.environ.get("DATABASE_URL"):
        yield dsn
        return
    async with running_postgres() as server:
        yield server.dsn


@asynccontextmanager
async def shared_nats() -> AsyncIterator[str]:
    """The URL in NATS_URL, else that of a private server."""
    if url := os.environ.get("NATS_URL"):
        yield url
        return
    async with running_nats() as server:
        yield server.url


@asynccontextmanager
async def fresh_database(dsn: str) -> AsyncIterator[str]:
    """The DSN of a new, empty database on the same server, dropped afterwards."""
    name = f"t_{uuid4().hex[:12]}"
    await _on_server(dsn, f"create database {name}")
    try:
        yield dsn.rpartition("/")[0] + f"/{name}"
    finally:
        await _on_server(dsn, f"drop database {name} with (force)")


async def _on_server(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
