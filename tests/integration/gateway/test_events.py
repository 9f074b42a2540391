"""Event streams: snapshot, live updates, resume, limits, slow readers."""

import asyncio
import json
from contextlib import AsyncExitStack, aclosing
from typing import Any

import httpx
from httpx_sse import aconnect_sse

from tests.integration.gateway.conftest import Fleet
from tests.support.graphs import picture, sampled
from tests.support.http import refusal, submit, until


async def events_of(client: httpx.AsyncClient, job_id: str, last: str | None = None) -> list[tuple[str, str, Any]]:
    """All events until the server ends the stream: name, id, data."""
    headers = {"last-event-id": last} if last is not None else {}
    async with aconnect_sse(client, "GET", f"/api/v2/jobs/{job_id}/events", headers=headers) as source:
        return [(event.event, event.id, json.loads(event.data)) async for event in source.aiter_sse()]


async def test_a_stream_tells_the_whole_life_and_ends(ada: httpx.AsyncClient) -> None:
    job = await submit(ada, sampled(0.8, steps=8))
    events = await asyncio.wait_for(events_of(ada, job["id"]), 20)
    statuses = [data["status"] for name, _, data in events if name == "status"]
    assert statuses[0] in ("queued", "running")
    assert statuses[-1] == "succeeded"
    assert events[-1][0] == "status"
    progress = [data["value"] for name, _, data in events if name == "progress"]
    assert progress == sorted(progress)
    assert {"value", "nodes_done", "nodes_total"} <= set(next(data for name, _, data in events if name == "progress"))


async def test_a_finished_job_gives_its_end_at_once(ada: httpx.AsyncClient) -> None:
    job = await submit(ada, picture(201))
    await until(ada, job["id"], "succeeded")
    events = await asyncio.wait_for(events_of(ada, job["id"]), 5)
    assert [data["status"] for name, _, data in events if name == "status"] == ["succeeded"]


async def test_resuming_gives_what_was_missed_and_nothing_twice(ada: httpx.AsyncClient) -> None:
    job = await submit(ada, picture(202))
    await until(ada, job["id"], "succeeded")
    everything = await events_of(ada, job["id"], last="0")
    durable = [(name, number) for name, number, _ in everything if number]
    assert durable[-1][0] == "status"
    assert "output" in {name for name, _ in durable}
    middle = durable[0][1]
    later = [(name, number) for name, number, _ in await events_of(ada, job["id"], last=middle) if number]
    assert later == durable[1:]
    last = durable[-1][1]
    again = await events_of(ada, job["id"], last=last)
    assert [data["status"] for name, _, data in again if name == "status"] == ["succeeded"]


async def test_a_bad_last_event_id_is_refused(ada: httpx.AsyncClient) -> None:
    job = await submit(ada, picture(203))
    answer = await ada.get(f"/api/v2/jobs/{job['id']}/events", headers={"last-event-id": "abc"})
    assert refusal(answer) == (422, "invalid_request")
    await until(ada, job["id"], "succeeded")


async def test_too_many_streams_are_refused_and_a_closed_one_makes_room(fleet: Fleet, ada: httpx.AsyncClient) -> None:
    job = await submit(ada, sampled(60))
    path = f"/api/v2/jobs/{job['id']}/events"
    async with AsyncExitStack() as stack:
        for _ in range(3):
            client = await stack.enter_async_context(fleet.stack.client(fleet.ada.token))
            source = await stack.enter_async_context(aconnect_sse(client, "GET", path))
            events = await stack.enter_async_context(aclosing(source.aiter_sse()))
            await anext(events)
        answer = await ada.get(path)
        assert refusal(answer) == (429, "too_many_streams")
        assert answer.headers["retry-after"]
    await ada.post(f"/api/v2/jobs/{job['id']}/cancel")
    await until(ada, job["id"], "canceled")
    assert await asyncio.wait_for(events_of(ada, job["id"]), 10)


async def test_a_reader_that_stops_disturbs_nobody(fleet: Fleet, ada: httpx.AsyncClient) -> None:
    job = await submit(ada, sampled(1.5, steps=60, node="SimPreviewSampler"))
    async with (
        fleet.stack.client(fleet.ada.token) as lazy,
        lazy.stream("GET", f"/api/v2/jobs/{job['id']}/events") as stalled,
    ):
        assert stalled.status_code == 200  # and never read
        events = await asyncio.wait_for(events_of(ada, job["id"]), 20)
    assert events[-1][2]["status"] == "succeeded"


async def test_queue_positions_and_reasons_are_told_while_waiting(ada: httpx.AsyncClient) -> None:
    blocker = await submit(ada, sampled(60))
    await until(ada, blocker["id"], "running")
    job = await submit(ada, picture(204))
    reading = asyncio.create_task(events_of(ada, job["id"]))
    waiting = (await ada.get(f"/api/v2/jobs/{job['id']}")).json()
    assert waiting["queue_position"] == 0
    assert waiting["waiting_reason"]
    await ada.post(f"/api/v2/jobs/{blocker['id']}/cancel")
    events = await asyncio.wait_for(reading, 20)
    assert events[0][2]["waiting_reason"]
    assert events[-1][2]["status"] == "succeeded"
