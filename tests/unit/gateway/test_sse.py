"""Frames of an event stream."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

from gateway.sse import HEARTBEAT, Event, frames


async def events(*items: Event) -> AsyncIterator[Event]:
    for item in items:
        yield item


async def test_frames_carry_name_data_and_id() -> None:
    source = events(Event("status", {"status": "queued"}), Event("status", {"status": "running"}, 7))
    assert [frame async for frame in frames(source, 10)] == [
        b'event: status\ndata: {"status":"queued"}\n\n',
        b'id: 7\nevent: status\ndata: {"status":"running"}\n\n',
    ]


async def test_newlines_cannot_break_a_frame() -> None:
    (frame,) = [frame async for frame in frames(events(Event("log", {"message": "a\n\ndata: b"})), 10)]
    assert frame.count(b"\n") == 3


async def test_silence_is_filled_with_heartbeats_and_nothing_is_lost() -> None:
    gate = asyncio.Event()

    async def slow() -> AsyncIterator[Event]:
        await gate.wait()
        yield Event("status", {})

    async with aclosing(frames(slow(), 0.001)) as stream:
        assert await anext(stream) == HEARTBEAT
        assert await anext(stream) == HEARTBEAT
        gate.set()
        async for frame in stream:
            if frame != HEARTBEAT:
                assert frame == b"event: status\ndata: {}\n\n"
                break


async def test_a_client_that_leaves_ends_the_source() -> None:
    ended = asyncio.Event()

    async def endless() -> AsyncIterator[Event]:
        try:
            yield Event("status", {})
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with aclosing(frames(endless(), 0.001)) as stream:
        await anext(stream)
        await anext(stream)
    assert ended.is_set()
