"""The health loop: due runners are claimed in the database, so that replicas share the work."""

import asyncio
import time
from datetime import timedelta
from typing import Protocol

import asyncpg
import structlog

from libs.clock import Clock
from libs.errors import ServiceError
from libs.sql import Database
from services.runner_registry.domain import Health, ProbeRules
from services.runner_registry.runners import Changed
from services.runner_registry.sealing import Seal
from services.runner_registry.store import SQL

log = structlog.get_logger(__name__)
_IDLE_SECONDS = 0.5  # between two looks for due runners


class Peer(Protocol):
    """A ComfyUI server as far as probes need it. Both raise errors of libs.errors."""

    async def probe(self) -> int:
        """Prompts pending and running there."""
        ...

    async def version(self) -> str:
        """ComfyUI's version; empty when the server does not say."""
        ...


class Peers(Protocol):
    """Opens servers by address."""

    def __call__(self, endpoint: str, headers: dict[str, str]) -> Peer:
        """A server that is not contacted before the first probe."""
        ...


class Probing:
    """Probes every runner again and again; a slow one delays nobody."""

    def __init__(
        self,
        database: Database,
        seal: Seal,
        peers: Peers,
        rules: ProbeRules,
        changed: Changed,
        clock: Clock,
        *,
        timeout: float,
        concurrency: int,
    ) -> None:
        self._database = database
        self._seal = seal
        self._peers = peers
        self._rules = rules
        self._changed = changed
        self._clock = clock
        self._timeout = timeout
        self._free = asyncio.Semaphore(concurrency)
        self._under_way: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Probe for ever; a background loop."""
        try:
            while True:
                await self._round()
                await self._clock.sleep(_IDLE_SECONDS)
        finally:
            for probe in self._under_way:
                probe.cancel()

    async def _round(self) -> None:
        # A claim outlasts the probe, so that a replica which dies in between delays it once, and no longer.
        claim = timedelta(seconds=2 * self._timeout + 1)
        try:
            due = await self._database.fetch(SQL.claim_probes, 100, claim)
        except ServiceError as error:
            log.warning("probes_wait", reason=error.reason)
            return
        for row in due:
            probe = asyncio.create_task(self._probe(row))
            self._under_way.add(probe)
            probe.add_done_callback(self._under_way.discard)

    async def _probe(self, row: asyncpg.Record) -> None:
        async with self._free:
            before = Health(
                row["health"], row["misses"], row["queue_remaining"], row["latency_ms"], row["version"], row["failure"]
            )
            after = await self._look(row, before)
            try:
                await self._save(row, before, after)
            except ServiceError as error:
                log.warning("probe_not_saved", reason=error.reason)

    async def _look(self, row: asyncpg.Record, before: Health) -> Health:
        peer = self._peers(row["endpoint"], self._seal.open(row["headers"]))
        started = time.perf_counter()
        try:
            async with asyncio.timeout(self._timeout):
                remaining = await peer.probe()
                latency_ms = (time.perf_counter() - started) * 1000
                version = "" if before.state == "online" and before.version else await peer.version()
        except TimeoutError:
            return before.missed("timed out", self._rules)
        except ServiceError as error:
            return before.missed(error.message[:200], self._rules)
        return before.answered(remaining, latency_ms, version)

    async def _save(self, row: asyncpg.Record, before: Health, after: Health) -> None:
        news = (before.state, before.version) != (after.state, after.version)
        async with self._database.transaction() as connection:
            # Lock the runner before the counter, in the same order as every other change of a runner.
            await connection.fetchrow(SQL.lock_runner, row["runner_id"])
            revision = await connection.fetchval(SQL.next_revision) if news else None
            await connection.execute(
                SQL.save_probe,
                row["runner_id"],
                after.state,
                after.misses,
                after.queue_remaining,
                after.latency_ms,
                after.version,
                after.failure,
                after.next_probe(self._rules),
                revision,
            )
        if news:
            log.info("runner_health", runner_id=str(row["runner_id"]), state=after.state, failure=after.failure)
            await self._changed()
