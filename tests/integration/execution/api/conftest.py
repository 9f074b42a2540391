"""A database, an object store and replicas of the service for each test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.execution.app import Execution
from tests.support.execution import Replicas, Tenant, replicas


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
