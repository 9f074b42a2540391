"""PostgreSQL: one pool per service, SQL kept in .sql files, numbered migrations."""

from libs.sql.database import Connection, Database
from libs.sql.migrations import migrate
from libs.sql.queries import Queries, load_queries

__all__ = ["Connection", "Database", "Queries", "load_queries", "migrate"]
