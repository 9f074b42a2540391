"""Listings by creation, newest first, ties by id: where a page starts and how it ends."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from libs import paging
from libs.errors import InvalidArgument


@dataclass(frozen=True, slots=True)
class Cursor:
    """What a listing was asked for."""

    size: int
    after: tuple[datetime, UUID] | None

    @classmethod
    def of(cls, page_size: int, page_token: str) -> "Cursor":
        """Raises InvalidArgument for a token that no listing gave out."""
        position = paging.decode_page_token(page_token)
        try:
            after = None if position is None else (datetime.fromisoformat(position[0]), UUID(position[1]))
        except (IndexError, KeyError, TypeError, ValueError, AttributeError):
            message = "the page token is not one that this call gave out"
            raise InvalidArgument("PAGE_TOKEN_INVALID", message, fields={"page_token": message}) from None
        return cls(paging.page_size(page_size), after)

    @property
    def position(self) -> tuple[datetime | None, UUID | None]:
        """Two values for the statement."""
        return self.after or (None, None)

    @property
    def limit(self) -> int:
        """One row more than the page, which tells whether another page follows."""
        return self.size + 1

    def page(self, rows: Sequence[asyncpg.Record], id_column: str) -> tuple[Sequence[asyncpg.Record], str]:
        """The page's rows and the token of the next page, empty on the last."""
        page = rows[: self.size]
        if len(rows) <= self.size or not page:
            return page, ""
        last = page[-1]
        return page, paging.encode_page_token([last["create_time"].isoformat(), str(last[id_column])])
