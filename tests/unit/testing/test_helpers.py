import asyncio
from datetime import timedelta

import pytest

from libs.testing import FakeClock, eventually, free_port
from libs.testing.fault_proxy import FaultProxy


async def test_eventually_returns_the_first_truthy_answer() -> None:
    answers = iter([0, None, 7])
    assert await eventually(lambda: next(answers)) == 7


async def test_eventually_takes_refusals_and_coroutines() -> None:
    asked = 0

    async def third() -> bool:
        nonlocal asked
        asked += 1
        assert asked >= 3
        return True

    assert await eventually(third)


async def test_eventually_gives_up() -> None:
    with pytest.raises(AssertionError, match="not within"):
        await eventually(lambda: False, within=0.02)


async def test_the_clock_wakes_sleepers_in_order_and_on_time() -> None:
    clock, woken = FakeClock(), list[tuple[str, float]]()

    async def sleeper(name: str, *naps: float) -> None:
        for nap in naps:
            await clock.sleep(nap)
            woken.append((name, clock.monotonic()))

    async with asyncio.TaskGroup() as sleepers:
        sleepers.create_task(sleeper("a", 2, 2))
        sleepers.create_task(sleeper("b", 3))
        await eventually(lambda: clock.sleeping == 2)
        started = clock.now()
        await clock.advance(10)
    assert woken == [("a", 2), ("b", 3), ("a", 4)]
    assert clock.now() - started == timedelta(seconds=10)


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while line := await reader.readline():
        writer.write(line)
    writer.close()


async def test_the_proxy_breaks_and_heals() -> None:
    server = await asyncio.start_server(_echo, "127.0.0.1", 0)
    async with server, FaultProxy("127.0.0.1", server.sockets[0].getsockname()[1]) as proxy:
        assert await _ask(proxy.port) == b"hello\n"

        proxy.black_hole()
        with pytest.raises(TimeoutError):
            await _ask(proxy.port, within=0.1)
        await proxy.heal()
        assert await _ask(proxy.port) == b"hello\n"

        await proxy.cut()
        with pytest.raises(ConnectionRefusedError):
            await _ask(proxy.port)
        await proxy.heal()
        proxy.delay(0.01)
        assert await _ask(proxy.port) == b"hello\n"


async def test_the_proxy_loses_replies_only() -> None:
    heard: list[bytes] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readline())
        writer.write(b"heard\n")
        await reader.read()
        writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    async with server, FaultProxy("127.0.0.1", server.sockets[0].getsockname()[1]) as proxy:
        proxy.lose_replies()
        with pytest.raises(TimeoutError):
            await _ask(proxy.port, within=0.2)
        await eventually(lambda: heard == [b"hello\n"])


async def _ask(port: int, within: float = 5) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(b"hello\n")
        async with asyncio.timeout(within):
            return await reader.readline()
    finally:
        writer.close()


def test_a_free_port_is_free() -> None:
    assert 0 < free_port() < 65536
