"""Fixtures for every test: real servers, one of each a session, a fresh database a test."""

import os

os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"  # before anything imports grpc

from collections.abc import AsyncIterator

import pytest

from tests.support import servers


@pytest.fixture(scope="session")
async def postgres_server() -> AsyncIterator[str]:
    """DSN of the session's PostgreSQL."""
    async with servers.shared_postgres() as dsn:
        yield dsn


@pytest.fixture
async def postgres_dsn(postgres_server: str) -> AsyncIterator[str]:
    """DSN of an empty database, this test's own."""
    async with servers.fresh_database(postgres_server) as dsn:
        yield dsn


@pytest.fixture(scope="module")
async def module_dsn(postgres_server: str) -> AsyncIterator[str]:
    """DSN of an empty database, shared by the tests of a module."""
    async with servers.fresh_database(postgres_server) as dsn:
        yield dsn


@pytest.fixture(scope="session")
async def nats_url() -> AsyncIterator[str]:
    """URL of the session's NATS; its subjects are shared, so names must differ where it matters."""
    async with servers.shared_nats() as url:
        yield url
