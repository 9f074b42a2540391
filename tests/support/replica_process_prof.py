"""The execution service as a process of its own, for tests that kill it."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

from comfyfleet.execution.v1 import execution_service_pb2
from libs.errors import ServiceError
from libs.testing import eventually, free_port
from tests.support.execution import IDENTITY_KEY, Tenant, tenant


class ReplicaProcess:
    """`python -m services.execution`."""

    def __init__(self, process: subprocess.Popen[bytes], address: str) -> None:
        self._process = process
        self.address = address

    async def kill(self) -> None:
        """End it without a last word."""
        self._process.send_signal(signal.SIGKILL)
        await asyncio.to_thread(self._process.wait)

    async def terminate(self) -> int:
        """Ask it to end; returns its exit code."""
        self._process.terminate()
        return await asyncio.to_thread(self._process.wait)


@asynccontextmanager
async def replica_process(
    dsn: str, folder: Path, account_id: UUID, settings: Mapping[str, Any]
) -> AsyncIterator[tuple[ReplicaProcess, Tenant]]:
    """A process that serves, and an account on it."""
    address = f"127.0.0.1:{free_port()}"
    told = {
        "listen": address,
        "database_url": dsn,
        "identity_key": IDENTITY_KEY,
        "blob_store_url": folder.as_uri(),
        **settings,
    }
    variables = {f"COMFYFLEET_{name.upper()}": str(value) for name, value in told.items()}
    with (folder / f"{address}.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "cProfile", "-o", "/tmp/prof.out", "-m", "services.execution"], env={**os.environ, **variables}, stdout=log, stderr=log
        )
    try:
        async with tenant(address, account_id) as someone:
            await eventually(lambda: _serves(someone), within=30)
            yield ReplicaProcess(process, address), someone
    finally:
        process.kill()
        await asyncio.to_thread(process.wait)


async def _serves(someone: Tenant) -> bool:
    try:
        await someone.jobs.ListJobs(execution_service_pb2.ListJobsRequest())
    except ServiceError:
        return False
    return True
