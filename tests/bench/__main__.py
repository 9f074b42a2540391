"""`python -m tests.bench [--quick] [--write]`: all figures in one run; `--write` puts them into docs/benchmarks.md."""

import argparse
import asyncio
import sys
from contextlib import ExitStack
from pathlib import Path

import httpx
from rich.console import Console

from tests.bench import latency, peers, throughput
from tests.bench.report import Table, machine

PAGE = Path(__file__).parents[2] / "docs" / "benchmarks.md"
_console = Console(stderr=True)
_HEAD = """# Figures

Made by `make bench` on {machine}. Everything runs on that one machine at once: client, services, PostgreSQL, NATS and
simulated runners share its cores, so read the ratios, not the absolute figures. Ways that are compared take turns in
one run; figures are medians.
"""


async def measure(rounds: int, count: int) -> list[Table]:
    """Every table, one after the other."""
    tables: list[Table] = []
    with ExitStack() as stack:
        _console.print("latency …")
        fleet = stack.enter_context(peers.fleet(1))
        runner = fleet.runners[0]
        proxy = stack.enter_context(peers.proxy(runner))
        bare_url, bare_pid = stack.enter_context(peers.bare())
        tables.append(await _latency(fleet, runner, proxy, rounds))
        _console.print("requests …")
        tables.append(await _requests(fleet, bare_url, 3 if rounds < 100 else 5))
        _console.print("files …")
        tables.append(await throughput.files(fleet, bare_url, bare_pid, 3))
    _console.print("jobs per second …")
    tables.append(await _jobs(count))
    return tables


async def _latency(fleet: peers.Fleet, runner: str, proxy: str, rounds: int) -> Table:
    headers = {"authorization": f"Bearer {fleet.token}"}
    async with (
        httpx.AsyncClient(timeout=40, trust_env=False) as plain,
        httpx.AsyncClient(timeout=40, trust_env=False, headers=headers) as known,
    ):
        ways = {
            "straight to the runner (websocket, then history)": latency.direct(plain, runner),
            "comfyfleet (REST, event stream; result stored)": latency.through(known, fleet.url),
            "comfy-api-proxy 0.1.6 (REST, event stream)": latency.through(plain, proxy),
        }
        table = await latency.measure(ways, rounds)
    table.note = f"{rounds} jobs each of one 16x8 picture on the same simulated runner, one at a time."
    return table


async def _requests(fleet: peers.Fleet, bare_url: str, rounds: int) -> Table:
    headers = {"Authorization": f"Bearer {fleet.token}"}
    async with httpx.AsyncClient(trust_env=False, headers=headers) as client:
        job = (await client.get(f"{fleet.url}/api/v2/jobs", params={"limit": 1})).json()["jobs"][0]["id"]
    table = Table("GET requests per second, 16 connections", ["way", "requests/s", "ratio"])
    url = f"{fleet.url}/api/v2/jobs/{job}"
    await throughput.alternate(
        table,
        {
            "bare Starlette over one grpc.aio call": lambda: throughput.requests(f"{bare_url}/hello", {}, 2, 16),
            "GET /livez": lambda: throughput.requests(f"{fleet.url}/livez", {}, 2, 16),
            "GET /api/v2/jobs/{id} (token, one database read)": lambda: throughput.requests(url, headers, 2, 16),
        },
        rounds,
    )
    return table


async def _jobs(count: int) -> Table:
    table = Table("Sustained jobs per second", ["fast runners", "jobs/s", "ratio to one"])
    first = 0.0
    for runners in (1, 4, 16):
        with peers.fleet(runners, COMFYFLEET_OPEN_JOBS_PER_ACCOUNT="100000") as fleet:
            await throughput.jobs(fleet, 20)
            rate = count / await throughput.jobs(fleet, count)
        first = first or rate
        table.add(str(runners), f"{rate:.1f}", f"{rate / first:.2f}")
    table.note = (
        f"{count} jobs of one 16x8 picture each, 32 submissions under way; every runner is a process of its own."
    )
    return table


def main() -> int:
    """Measure, print, and write if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.name}")
    given = parser.parse_args()
    tables = asyncio.run(measure(*((30, 100) if given.quick else (200, 400))))
    text = "\n".join([_HEAD.format(machine=machine()), *(table.markdown() for table in tables)])
    print(text)
    if given.write:
        PAGE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
