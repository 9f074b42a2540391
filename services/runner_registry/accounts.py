"""Use cases of accounts and tokens."""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

import asyncpg

from libs.errors import InvalidArgument, NotFound, Unauthenticated
from libs.identity import OPERATOR, TENANT, Principal
from libs.sql import Connection, Database
from services.runner_registry import access, domain
from services.runner_registry.answered import Asked
from services.runner_registry.paging import Cursor
from services.runner_registry.store import SQL

SLOTS = ("slot_one", "slot_two")


@dataclass(frozen=True, slots=True, repr=False)
class NewAccount:
    """An account with the secrets that are shown once."""

    account: asyncpg.Record
    token: str
    token_one: str
    token_two: str


@dataclass(frozen=True, slots=True, repr=False)
class NewToken:
    """A token with the secret that is shown once."""

    token: asyncpg.Record
    secret: str


class Accounts:
    """Everything about who somebody is."""

    def __init__(self, database: Database, admin_key: str) -> None:
        self._database = database
        self._admin_key = admin_key

    async def authenticate(self, credential: str) -> Principal:
        """Who a credential stands for. Raises Unauthenticated: CREDENTIAL_INVALID, CREDENTIAL_EXPIRED."""
        if self._admin_key and hmac.compare_digest(credential.encode(), self._admin_key.encode()):
            return Principal("", "", frozenset({OPERATOR}))
        digest = domain.digest(credential)
        async with self._database.connection() as connection:
            row = await _find(connection, digest)
            if row is None:
                raise Unauthenticated("CREDENTIAL_INVALID", "Invalid token")
            if row["expired"]:
                raise Unauthenticated("CREDENTIAL_EXPIRED", "Token has expired")
            await connection.execute(SQL.touch_token, row["token_id"])
        return Principal(str(row["account_id"]), row["tier"], frozenset({TENANT}), row["deleted"])

    async def create(self, asked: Asked, name: str, email: str, tier: str, provider: str) -> NewAccount:
        """An account, its two slots and one named token."""
        account_id = uuid4()
        async with self._database.transaction() as connection:
            await asked.refuse_repetition(connection)
            account = _found(
                await connection.fetchrow(
                    SQL.insert_account, account_id, domain.clean_name(name), email, tier, provider
                )
            )
            token = await _insert_token(connection, account_id, "named", "default", None)
            slots = [await _insert_token(connection, account_id, kind, "", None) for kind in SLOTS]
            await asked.remember(connection, account_id)
        return NewAccount(account, token.secret, slots[0].secret, slots[1].secret)

    async def get(self, account_id: UUID) -> asyncpg.Record:
        """One account. Raises NotFound."""
        return _found(await self._database.fetchrow(SQL.get_account, account_id))

    async def page(self, cursor: Cursor) -> Sequence[asyncpg.Record]:
        """One page and one row more, newest first."""
        return await self._database.fetch(SQL.list_accounts, *cursor.position, cursor.limit)

    async def update(
        self, account_id: UUID, name: str | None, tier: str | None, deleted: bool | None
    ) -> asyncpg.Record:
        """Change what is not None. Raises NotFound."""
        clean = None if name is None else domain.clean_name(name)
        return _found(await self._database.fetchrow(SQL.update_account, account_id, clean, tier, deleted))

    async def create_token(self, asked: Asked, account_id: UUID, name: str, expire_time: datetime | None) -> NewToken:
        """A named token."""
        async with self._database.transaction() as connection:
            await asked.refuse_repetition(connection)
            _found(await connection.fetchrow(SQL.get_account, account_id))
            created = await _insert_token(connection, account_id, "named", domain.clean_name(name), expire_time)
            await asked.remember(connection, created.token["token_id"])
        return created

    async def list_tokens(self, account_id: UUID, cursor: Cursor) -> Sequence[asyncpg.Record]:
        """One page and one row more, newest first."""
        return await self._database.fetch(SQL.list_tokens, account_id, *cursor.position, cursor.limit)

    async def delete_token(self, token_id: UUID, principal: Principal) -> None:
        """Revoke a named token. Raises NotFound."""
        owner = None if principal.is_operator else access.account_for(principal)
        if await self._database.fetchval(SQL.delete_token, token_id, owner) is None:
            raise NotFound("TOKEN_NOT_FOUND", "no such token")

    async def rotate(self, asked: Asked, account_id: UUID, kind: str) -> NewToken:
        """A new secret for one slot. Raises NotFound, InvalidArgument for a kind that is no slot."""
        if kind not in SLOTS:
            raise InvalidArgument("INVALID_FIELD", "only slots are rotated", fields={"kind": "must be a slot"})
        secret = domain.new_slot_token()
        async with self._database.transaction() as connection:
            await asked.refuse_repetition(connection)
            token = await connection.fetchrow(SQL.rotate_token, account_id, kind, domain.digest(secret))
            if token is None:
                raise NotFound("ACCOUNT_NOT_FOUND", "no such account")
            await asked.remember(connection, token["token_id"])
        return NewToken(token, secret)


async def _find(connection: Connection, digest: bytes) -> asyncpg.Record | None:
    """The token with this digest, compared in fixed time: the index only ever sees the first bytes."""
    rows = await connection.fetch(SQL.tokens_by_prefix, digest[: domain.DIGEST_PREFIX])
    return next((row for row in rows if hmac.compare_digest(row["digest"], digest)), None)


async def _insert_token(
    connection: Connection, account_id: UUID, kind: str, name: str, expire_time: datetime | None
) -> NewToken:
    secret = domain.new_token() if kind == "named" else domain.new_slot_token()
    row = await connection.fetchrow(
        SQL.insert_token, uuid4(), account_id, kind, name, domain.digest(secret), expire_time
    )
    return NewToken(_found(row), secret)


def _found(row: asyncpg.Record | None) -> asyncpg.Record:
    if row is None:
        raise NotFound("ACCOUNT_NOT_FOUND", "no such account")
    return row
