"""The pool, the migrations and the statements, against a real server."""

import asyncio
import sys
from pathlib import Path

import pytest

from libs.errors import Unavailable
from libs.sql import Database, migrate
from libs.sql.migrations import MigrationError
from libs.sql.queries import parse
from libs.testing import eventually
from tests.support import servers


def package(folder: Path, **files: str) -> str:
    """A Python package with .sql files in it; returns its name."""
    name = f"migrations_{abs(hash(str(folder)))}"
    (folder / name).mkdir(exist_ok=True)
    (folder / name / "__init__.py").write_text("")
    for file, text in files.items():
        (folder / name / f"{file}.sql").write_text(text)
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
    return name


async def test_migrations_run_once_in_order_also_when_two_replicas_start(postgres_dsn: str, tmp_path: Path) -> None:
    name = package(tmp_path, **{"0002_b": "insert into t values (2)", "0001_a": "create table t (n int)"})

    async def replica() -> None:
        async with Database.connect(postgres_dsn, "some") as database:
            await migrate(database, name)

    await asyncio.gather(replica(), replica(), replica())
    async with Database.connect(postgres_dsn, "some") as database:
        assert await database.fetchval("select array_agg(n) from t") == [2]
        package(tmp_path, **{"0003_c": "insert into t values (3)"})
        await migrate(database, name)
        assert await database.fetchval("select count(*) from t") == 2


async def test_changed_and_newer_databases_are_refused(postgres_dsn: str, tmp_path: Path) -> None:
    name = package(tmp_path, **{"0001_a": "create table t (n int)"})
    async with Database.connect(postgres_dsn, "some") as database:
        await migrate(database, name)
        package(tmp_path, **{"0001_a": "create table t (n bigint)"})
        with pytest.raises(MigrationError, match="changed"):
            await migrate(database, name)
        await database.execute("insert into schema_version (number, name, digest) values (9, 'x', 'y')")
        with pytest.raises(MigrationError, match="does not know"):
            await migrate(database, name)


async def test_a_failed_migration_leaves_nothing(postgres_dsn: str, tmp_path: Path) -> None:
    name = package(tmp_path, **{"0001_a": "create table t (n int); select 1 / 0"})
    async with Database.connect(postgres_dsn, "some") as database:
        with pytest.raises(Exception, match="division by zero"):
            await migrate(database, name)
        assert await database.fetchval("select to_regclass('some.t')") is None


async def test_schemas_do_not_see_each_other_and_json_comes_back(postgres_dsn: str) -> None:
    async with Database.connect(postgres_dsn, "one") as one, Database.connect(postgres_dsn, "two") as two:
        await one.execute("create table t (doc jsonb)")
        await one.execute("insert into t values ($1)", {"a": [1, None, "ü"]})
        assert await one.fetchval("select doc from t") == {"a": [1, None, "ü"]}
        assert await two.fetchval("select to_regclass('t')") is None


async def test_a_transaction_is_all_or_nothing(postgres_dsn: str) -> None:
    async with Database.connect(postgres_dsn, "some") as database:
        await database.execute("create table t (n int)")

        async def break_off() -> None:
            async with database.transaction() as connection:
                await connection.execute("insert into t values (1)")
                raise RuntimeError

        with pytest.raises(RuntimeError):
            await break_off()
        assert await database.fetchval("select count(*) from t") == 0


async def test_a_restart_of_the_server_is_unavailable_and_then_over() -> None:
    async with servers.running_postgres() as server, Database.connect(server.dsn, "some") as database:
        await database.check()
        await server.stop()
        with pytest.raises(Unavailable) as caught:
            await database.check()
        assert caught.value.reason == "DATABASE_UNAVAILABLE"
        await server.start()

        async def well() -> bool:
            try:
                await database.check()
            except Unavailable:
                return False
            return True

        await eventually(well)


def test_statements_are_found_by_name() -> None:
    queries = parse("-- a comment\n-- name: one\nselect 1\n\n-- name: two\nselect 2\n")
    assert (queries.one, queries.two) == ("select 1", "select 2")
    with pytest.raises(AttributeError):
        _ = queries.three
    with pytest.raises(ValueError, match="twice"):
        parse("-- name: a\nx\n-- name: a\ny")
