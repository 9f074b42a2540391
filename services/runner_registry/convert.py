"""Rows and messages."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

import asyncpg
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from comfyfleet.runner_registry.v1 import account_pb2, runner_pb2, token_pb2
from libs.identity import Principal

TIERS: Mapping[str, account_pb2.Tier.ValueType] = {
    "": account_pb2.TIER_UNSPECIFIED,
    "free": account_pb2.TIER_FREE,
    "pro": account_pb2.TIER_PRO,
    "plus": account_pb2.TIER_PLUS,
    "enterprise": account_pb2.TIER_ENTERPRISE,
}
TIER_WORDS = {value: word for word, value in TIERS.items()}
KINDS: Mapping[str, token_pb2.TokenKind.ValueType] = {
    "named": token_pb2.TOKEN_KIND_NAMED,
    "slot_one": token_pb2.TOKEN_KIND_SLOT_ONE,
    "slot_two": token_pb2.TOKEN_KIND_SLOT_TWO,
}
KIND_WORDS = {value: word for word, value in KINDS.items()}
STATES: Mapping[str, runner_pb2.RunnerState.ValueType] = {
    "active": runner_pb2.RUNNER_STATE_ACTIVE,
    "disabled": runner_pb2.RUNNER_STATE_DISABLED,
}
STATE_WORDS = {value: word for word, value in STATES.items()}
TYPES: Mapping[str, runner_pb2.RunnerType.ValueType] = {
    "own": runner_pb2.RUNNER_TYPE_OWN,
    "pro": runner_pb2.RUNNER_TYPE_PRO,
    "plus": runner_pb2.RUNNER_TYPE_PLUS,
}
TYPE_WORDS = {value: word for word, value in TYPES.items()}
HEALTHS: Mapping[str, runner_pb2.RunnerHealthState.ValueType] = {
    "unknown": runner_pb2.RUNNER_HEALTH_STATE_UNKNOWN,
    "online": runner_pb2.RUNNER_HEALTH_STATE_ONLINE,
    "offline": runner_pb2.RUNNER_HEALTH_STATE_OFFLINE,
}


def account(row: asyncpg.Record) -> account_pb2.Account:
    """An account as it is told to its owner."""
    return account_pb2.Account(
        account_id=str(row["account_id"]),
        name=row["name"],
        email=row["email"],
        tier=TIERS[row["tier"]],
        provider=row["provider"],
        deleted=row["deleted"],
        create_time=timestamp(row["create_time"]),
        update_time=timestamp(row["update_time"]),
    )


def principal(who: Principal) -> account_pb2.Principal:
    """The identity as it is told to the gateway."""
    return account_pb2.Principal(
        account_id=who.account_id, tier=TIERS[who.tier], roles=sorted(who.roles), deleted=who.deleted
    )


def token(row: asyncpg.Record) -> token_pb2.Token:
    """A token without its secret."""
    return token_pb2.Token(
        token_id=str(row["token_id"]),
        account_id=str(row["account_id"]),
        kind=KINDS[row["kind"]],
        name=row["name"],
        create_time=timestamp(row["create_time"]),
        expire_time=timestamp(row["expire_time"]),
        last_used_time=timestamp(row["last_used_time"]),
    )


def runner(row: asyncpg.Record, headers: Mapping[str, str], *, with_endpoint: bool = True) -> runner_pb2.Runner:
    """A runner with the headers that the reader may see."""
    return runner_pb2.Runner(
        runner_id=str(row["runner_id"]),
        account_id=_id(row["account_id"]),
        name=row["name"],
        endpoint=row["endpoint"] if with_endpoint else "",
        headers=headers,
        tags=row["tags"],
        state=STATES[row["state"]],
        runner_type=TYPES[row["runner_type"]],
        health=health(row),
        create_time=timestamp(row["create_time"]),
        update_time=timestamp(row["update_time"]),
        revision=row["revision"],
    )


def health(row: asyncpg.Record) -> runner_pb2.RunnerHealth:
    """What the probes know of a runner."""
    latency = Duration()
    latency.FromMicroseconds(round(row["latency_ms"] * 1000))
    return runner_pb2.RunnerHealth(
        state=HEALTHS[row["health"]],
        probe_time=timestamp(row["probe_time"]),
        last_answer_time=timestamp(row["last_answer_time"]),
        misses=row["misses"],
        queue_remaining=row["queue_remaining"],
        latency=latency,
        comfyui_version=row["version"],
        failure=row["failure"],
    )


def timestamp(value: datetime | None) -> Timestamp | None:
    """None stays absent."""
    if value is None:
        return None
    message = Timestamp()
    message.FromDatetime(value)
    return message


def _id(value: UUID | None) -> str:
    return "" if value is None else str(value)
