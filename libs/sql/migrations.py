"""Numbered .sql files, each applied once, in order, by whichever replica comes first."""

import hashlib
from dataclasses import dataclass
from importlib import resources

import structlog

from libs.sql.database import Connection, Database

log = structlog.get_logger(__name__)

_TABLE = """
create table if not exists schema_version (
    number      int primary key,
    name        text not null,
    digest      text not null,
    apply_time  timestamptz not null default now()
)
"""


class MigrationError(Exception):
    """The database does not fit the code: an applied file was changed, or the database is newer."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file: `0001_init.sql` has number 1."""

    number: int
    name: str
    text: str

    @property
    def digest(self) -> str:
        """Tells whether an applied file was edited since."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def load(package: str) -> list[Migration]:
    """The migrations that lie in a package, in order."""
    files = [file for file in resources.files(package).iterdir() if file.name.endswith(".sql")]
    return sorted(
        (Migration(int(file.name.split("_")[0]), file.name, file.read_text()) for file in files),
        key=lambda migration: migration.number,
    )


async def migrate(database: Database, package: str) -> None:
    """Bring the schema up to date. Raises MigrationError when it cannot be."""
    migrations = load(package)
    async with database.transaction() as connection:
        await connection.execute("select pg_advisory_xact_lock(hashtext($1)::bigint)", database.schema)
        await connection.execute(_TABLE)
        applied = {row["number"]: row["digest"] for row in await connection.fetch("select * from schema_version")}
        _check(migrations, applied)
        for migration in migrations:
            if migration.number not in applied:
                await _apply(connection, migration)


def _check(migrations: list[Migration], applied: dict[int, str]) -> None:
    known = {migration.number: migration for migration in migrations}
    if newer := sorted(set(applied) - set(known)):
        raise MigrationError(f"the database has migration {newer[-1]}, which this version does not know")
    for number, digest in applied.items():
        if known[number].digest != digest:
            raise MigrationError(f"{known[number].name} was changed after it was applied")


async def _apply(connection: Connection, migration: Migration) -> None:
    await connection.execute(migration.text)
    await connection.execute(
        "insert into schema_version (number, name, digest) values ($1, $2, $3)",
        migration.number,
        migration.name,
        migration.digest,
    )
    log.info("migration_applied", name=migration.name)
