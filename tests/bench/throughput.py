"""Jobs per second with many fast runners, requests per second of the gateway, and large files."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from statistics import median

import httpx
import psutil

from tests.bench.peers import Fleet
from tests.bench.report import Table
from tests.support.graphs import picture

SIZE = 100 * 1024 * 1024  # bytes of the large file
_CHUNK = 1 << 20


async def jobs(fleet: Fleet, count: int) -> float:
    """Seconds for so many jobs, from the first submission to the last end; 32 submissions under way at once."""
    headers = {"authorization": f"Bearer {fleet.token}"}
    limits = httpx.Limits(max_connections=40)
    async with httpx.AsyncClient(headers=headers, timeout=60, trust_env=False, limits=limits) as client:
        started = time.perf_counter()
        gate = asyncio.Semaphore(32)

        async def submit(number: int) -> str:
            async with gate:
                answer = await client.post(f"{fleet.url}/api/v2/jobs", json={"workflow": picture(number)})
                answer.raise_for_status()
                return str(answer.json()["id"])

        waiting = set(await asyncio.gather(*[submit(10_000 + number) for number in range(count)]))
        while waiting:
            for page in ("succeeded", "failed"):
                answer = await client.get(f"{fleet.url}/api/v2/jobs", params={"status": page, "limit": 1000})
                waiting -= {job["id"] for job in answer.json()["jobs"]}
            await asyncio.sleep(0.02)
        return time.perf_counter() - started


async def requests(url: str, headers: dict[str, str], seconds: float, connections: int) -> float:
    """GET requests per second over kept-alive connections."""
    count = 0
    until = time.perf_counter() + seconds
    parts = httpx.URL(url)
    lines = [f"GET {parts.raw_path.decode()} HTTP/1.1", f"Host: {parts.netloc.decode()}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    request = ("\r\n".join(lines) + "\r\n\r\n").encode()

    async def one() -> None:
        nonlocal count
        # A full HTTP client would be slower than what is measured.
        reader, writer = await asyncio.open_connection(parts.host, parts.port)
        while time.perf_counter() < until:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head[:100]
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            await reader.readexactly(length)
            count += 1
        writer.close()

    await asyncio.gather(*[one() for _ in range(connections)])
    return count / seconds


async def alternate(table: Table, ways: dict[str, Callable[[], Awaitable[float]]], rounds: int) -> None:
    """Requests per second of each way, in turn; the first one is the baseline."""
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            rates[name].append(await way())
    base = median(next(iter(rates.values())))
    for name, values in rates.items():
        table.add(name, f"{median(values):.0f}", f"{median(values) / base:.2f}")


async def content(seed: int) -> AsyncIterator[bytes]:
    """A large file that nobody has seen before, in pieces."""
    block = os.urandom(_CHUNK - 8)
    for number in range(SIZE // _CHUNK):
        yield seed.to_bytes(4) + number.to_bytes(4) + block


async def form(seed: int) -> AsyncIterator[bytes]:
    """The same as a form."""
    for name, value in (("content_type", "application/octet-stream"), ("file_path", "large.bin")):
        yield f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
    yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="large.bin"\r\n\r\n'
    async for chunk in content(seed):
        yield chunk
    yield b"\r\n--b--\r\n"


async def download(client: httpx.AsyncClient, url: str) -> float:
    """Seconds to read a whole file."""
    started, read = time.perf_counter(), 0
    async with client.stream("GET", url) as answer:
        async for chunk in answer.aiter_raw():
            read += len(chunk)
    assert read == SIZE, read
    return time.perf_counter() - started


async def files(fleet: Fleet, bare_url: str, bare_pid: int, rounds: int) -> Table:
    """100 MB up and down, and how much the processes grew by it."""
    table = Table("100 MB, seconds", ["way", "upload", "ratio", "download", "ratio", "memory growth, MB"])
    ups: dict[str, list[float]] = {"bare": [], "fleet": []}
    downs: dict[str, list[float]] = {"bare": [], "fleet": []}
    before = (psutil.Process(bare_pid).memory_info().rss, fleet.memory("gateway"), fleet.memory("execution"))
    peak = list(before)
    async with httpx.AsyncClient(timeout=120, trust_env=False) as client:
        for seed in range(rounds):
            started = time.perf_counter()
            (await client.put(f"{bare_url}/files/a", content=content(seed))).raise_for_status()
            ups["bare"].append(time.perf_counter() - started)
            downs["bare"].append(await download(client, f"{bare_url}/files/a"))
            headers = {"authorization": f"Bearer {fleet.token}", "content-type": "multipart/form-data; boundary=b"}
            started = time.perf_counter()
            answer = await client.post(f"{fleet.url}/api/v2/assets", content=form(seed), headers=headers)
            answer.raise_for_status()
            ups["fleet"].append(time.perf_counter() - started)
            downs["fleet"].append(await download(client, answer.json()["url"]))
            now = (psutil.Process(bare_pid).memory_info().rss, fleet.memory("gateway"), fleet.memory("execution"))
            peak = [max(pair) for pair in zip(peak, now, strict=True)]
    grown = [round((after - start) / 2**20) for after, start in zip(peak, before, strict=True)]
    growth = {"bare": f"{grown[0]}", "fleet": f"gateway {grown[1]}, execution {grown[2]}"}
    names = {"bare": "plain file server (Starlette)", "fleet": "comfyfleet (hashed, stored by content)"}
    for key, name in names.items():
        up, down = median(ups[key]), median(downs[key])
        ratios = (f"{up / median(ups['bare']):.2f}", f"{down / median(downs['bare']):.2f}")
        table.add(name, f"{up:.2f}", ratios[0], f"{down:.2f}", ratios[1], growth[key])
    return table
