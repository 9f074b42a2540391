"""The private servers start, keep what they were given, and come back after a restart."""

import asyncio

import asyncpg

from libs.bus import NatsBus
from libs.testing import eventually
from tests.support import servers


async def test_postgres_keeps_its_data_over_a_restart() -> None:
    async with servers.running_postgres() as server:
        connection = await asyncpg.connect(server.dsn)
        await connection.execute("create table kept (n int); insert into kept values (7)")
        await connection.close()
        await server.restart()
        connection = await asyncpg.connect(server.dsn)
        assert await connection.fetchval("select n from kept") == 7
        await connection.close()


async def test_postgres_wants_its_password() -> None:
    async with servers.running_postgres() as server:
        wrong = server.dsn.replace(server.settings.password, "guess")
        try:
            await asyncpg.connect(wrong)
        except asyncpg.InvalidPasswordError:
            return
    raise AssertionError("a wrong password was taken")


async def test_a_bus_delivers_and_survives_a_restart_of_nats() -> None:
    came: asyncio.Queue[bytes] = asyncio.Queue()
    async with servers.running_nats() as server, NatsBus.connect(server.url, "test") as bus:
        await bus.subscribe("a", came.put)
        await bus.publish("a", b"1")
        assert await asyncio.wait_for(came.get(), 5) == b"1"
        await server.stop()
        await eventually(lambda: not bus.connected)
        await bus.publish("a", b"lost")
        await server.start()
        await eventually(lambda: bus.connected, within=20)
        await bus.publish("a", b"2")
        assert await asyncio.wait_for(came.get(), 5) == b"2"


async def test_a_bus_subscribes_once_nats_is_there() -> None:
    came: asyncio.Queue[bytes] = asyncio.Queue()
    async with servers.short_folder() as folder:
        server = servers.NatsServer(folder)
        async with NatsBus.connect(server.url, "early") as bus:
            assert not bus.connected
            await bus.subscribe("a", came.put)
            await server.start()
            await eventually(lambda: bus.connected, within=20)

            async def delivered() -> bool:
                await bus.publish("a", b"x")
                return not came.empty()

            await eventually(delivered)
        await server.stop()
