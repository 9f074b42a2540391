"""The tables of runner_registry and the statements over them."""

from libs.sql import load_queries

SQL = load_queries(__name__, "queries.sql")
MIGRATIONS = "services.runner_registry.store.migrations"
