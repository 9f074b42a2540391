"""The life of a process: order, drain, and loops that die loudly."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from libs.runtime import App


class Diary:
    """Remembers what happened, in order."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    @asynccontextmanager
    async def resource(self, name: str) -> AsyncIterator[str]:
        self.lines.append(f"open {name}")
        yield name
        self.lines.append(f"close {name}")

    def noting(self, line: str):  # type: ignore[no-untyped-def]
        async def note() -> None:
            self.lines.append(line)

        return note


async def forever() -> None:
    await asyncio.Event().wait()


async def test_resources_close_in_reverse_after_draining() -> None:
    diary = Diary()

    async def start(app: App) -> None:
        await app.enter(diary.resource("database"))
        await app.enter(diary.resource("server"))
        app.loop("idle", forever)
        app.on_drain(diary.noting("drain first"))
        app.on_drain(diary.noting("drain second"))

    async with App("test", start).running():
        diary.lines.append("running")
    assert diary.lines == [
        "open database",
        "open server",
        "running",
        "drain second",
        "drain first",
        "close server",
        "close database",
    ]


async def test_what_was_opened_is_closed_when_the_start_fails() -> None:
    diary = Diary()

    async def start(app: App) -> None:
        await app.enter(diary.resource("database"))
        raise RuntimeError("no")

    try:
        async with App("test", start).running():
            raise AssertionError("it started")
    except RuntimeError:
        assert diary.lines == ["open database", "close database"]


async def test_a_dead_loop_ends_the_process_with_an_error() -> None:
    async def die() -> None:
        raise ValueError("gone")

    async def end() -> None:
        return

    for loop in (die, end):

        async def start(app: App, loop=loop) -> None:  # type: ignore[no-untyped-def]
            app.loop("work", loop)

        app = App("test", start)
        assert await asyncio.wait_for(app.serve(), 5) == 1
        assert app.failure is not None


async def test_being_asked_to_stop_is_no_error() -> None:
    async def start(app: App) -> None:
        app.loop("idle", forever)
        app.stopping.set()

    assert await asyncio.wait_for(App("test", start).serve(), 5) == 0


async def test_a_drain_that_hangs_is_given_up() -> None:
    diary = Diary()

    async def start(app: App) -> None:
        await app.enter(diary.resource("server"))
        app.on_drain(forever)

    async with App("test", start, drain_seconds=0.01).running():
        pass
    assert diary.lines[-1] == "close server"
