"""Submit → terminal event at a subscriber: straight to the runner, through the fleet, through comfy-api-proxy."""

import asyncio
import json
import time
import uuid
from collections.abc import Awaitable, Callable
from statistics import median, quantiles

import httpx
from httpx_sse import aconnect_sse
from websockets.asyncio.client import connect

from tests.bench.report import Table
from tests.support.graphs import picture

Way = Callable[[int], Awaitable[float]]
_TERMINAL = ("succeeded", "failed", "canceled", "expired")
_LIMIT = 30.0  # seconds; a job that takes longer counts as this long


def direct(client: httpx.AsyncClient, runner: str) -> Way:
    """POST /prompt, then the websocket until the prompt is over, then its history, as a careful client does."""

    async def run(color: int) -> float:
        client_id = uuid.uuid4().hex
        async with connect(runner.replace("http", "ws") + f"/ws?clientId={client_id}") as socket:
            started = time.perf_counter()
            answer = await client.post(f"{runner}/prompt", json={"prompt": picture(color), "client_id": client_id})
            prompt_id = answer.json()["prompt_id"]
            async for text in socket:
                message = json.loads(text) if isinstance(text, str) else {}
                data = message.get("data", {})
                if message.get("type") == "executing" and data.get("node") is None and data["prompt_id"] == prompt_id:
                    break
            assert (await client.get(f"{runner}/history/{prompt_id}")).json()[prompt_id]["status"]["completed"]
            return time.perf_counter() - started

    return run


def through(client: httpx.AsyncClient, url: str) -> Way:
    """Comfy API v2: POST /jobs, then its event stream until a terminal status."""

    async def run(color: int) -> float:
        started = time.perf_counter()
        job = (await client.post(f"{url}/api/v2/jobs", json={"workflow": picture(color)})).json()
        path = str(httpx.URL(url).join(job["urls"]["events"]))
        async with aconnect_sse(client, "GET", path) as source:
            async for event in source.aiter_sse():
                if event.event == "status" and json.loads(event.data)["status"] in _TERMINAL:
                    break
        return time.perf_counter() - started

    return run


async def timed(way: Way, color: int) -> float:
    """Seconds of one job; the connection to the socket is not counted for anybody."""
    try:
        return await asyncio.wait_for(way(color), _LIMIT)
    except TimeoutError:
        return _LIMIT


async def measure(ways: dict[str, Way], rounds: int) -> Table:
    """The ways in turn, job by job."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 5):
        for offset, (name, way) in enumerate(ways.items()):
            took = await timed(way, 1 + number * 10 + offset)
            if number >= 5:  # the first ones warm everybody up
                seconds[name].append(took)
    base = median(next(iter(seconds.values())))
    table = Table("Latency of one short job, ms", ["way", "p50", "p90", "p99", "ratio of p50", "over 1 s"])
    for name, values in seconds.items():
        cuts = quantiles(values, n=100)
        late = sum(value > 1 for value in values) / len(values)
        p50 = median(values)
        table.add(name, _ms(p50), _ms(cuts[89]), _ms(cuts[98]), f"{p50 / base:.2f}", f"{late:.1%}")
    return table


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f}"
