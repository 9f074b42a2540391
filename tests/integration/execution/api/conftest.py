"""A database, an object store and replicas of the service for each test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from libs.blobs import BlobStore
from libs.bus import NatsBus
from libs.sql import Database
from services.execution.app import SCHEMA, Execution
from services.execution.live import Live
from tests.support.execution import Replicas, Tenant, replicas
from tests.support.execution_rows import Rows


@pytest.fixture
async def place(postgres_dsn: str, tmp_path: Path) -> AsyncIterator[Replicas]:
    """Where replicas are started."""
    async with replicas(postgres_dsn, tmp_path) as place:
        yield place


@pytest.fixture
async def service(place: Replicas, nats_url: str) -> Execution:
    """One replica with NATS."""
    return await place.start(nats_url=nats_url)


@pytest.fixture
async def ann(place: Replicas, service: Execution) -> Tenant:
    """A tenant."""
    return await place.tenant(service)


@pytest.fixture
async def bob(place: Replicas, service: Execution) -> Tenant:
    """Another tenant."""
    return await place.tenant(service)


@pytest.fixture
async def rows(service: Execution, postgres_dsn: str, nats_url: str, tmp_path: Path) -> AsyncIterator[Rows]:
    """The tables of the replica, and news of what happens to them over NATS."""
    async with Database.connect(postgres_dsn, SCHEMA) as database, NatsBus.connect(nats_url, "rows") as bus:
        yield Rows(database, BlobStore.open_url(tmp_path.as_uri()), Live(bus))
