"""One world for each test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.execution.dispatch.world import World, world


@pytest.fixture
async def fleet(postgres_dsn: str, nats_url: str, tmp_path: Path) -> AsyncIterator[World]:
    """An empty fleet: add runners and replicas."""
    async with world(postgres_dsn, nats_url, tmp_path) as fleet:
        yield fleet
