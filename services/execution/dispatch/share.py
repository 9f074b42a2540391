"""How replicas divide the runners among themselves, each by itself. Pure."""

from collections.abc import Collection
from math import ceil
from uuid import UUID


def fair_share(runners: int, replicas: int) -> int:
    """How many runners one replica drives at most."""
    return ceil(runners / max(replicas, 1))


def surplus(idle: Collection[UUID], held: int, share: int) -> list[UUID]:
    """Which idle runners to leave to others. Busy ones stay until they are idle."""
    return sorted(idle)[: max(held - share, 0)]
