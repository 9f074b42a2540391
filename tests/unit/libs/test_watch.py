"""Mailboxes inside a process: bounded, in order, and honest about what they dropped."""

import asyncio

from libs.watch import Hub, Latest


async def test_subscribers_get_what_is_published_under_their_key() -> None:
    hub: Hub[str, int] = Hub()
    with hub.subscribe("a") as one, hub.subscribe("a") as two, hub.subscribe("b") as other:
        for number in range(3):
            hub.publish("a", number)
        assert (one.take(), two.take(), other.take()) == ([0, 1, 2], [0, 1, 2], [])
    assert len(hub) == 0


async def test_a_full_mailbox_drops_the_oldest_and_says_so_once() -> None:
    hub: Hub[str, int] = Hub(limit=2)
    with hub.subscribe("a") as mailbox:
        for number in range(5):
            hub.publish("a", number)
        assert (mailbox.take(), mailbox.take_missed(), mailbox.take_missed()) == ([3, 4], True, False)


async def test_waiting_ends_with_an_arrival_or_with_the_time() -> None:
    hub: Hub[str, int] = Hub()
    with hub.subscribe("a") as mailbox:
        assert not await mailbox.wait(0.001)
        waiting = asyncio.create_task(mailbox.wait(5))
        await asyncio.sleep(0)
        hub.publish("a", 1)
        assert await waiting
        assert mailbox.take() == [1]
        assert not await mailbox.wait(0.001)


async def test_a_slow_reader_of_the_latest_value_skips_what_it_missed() -> None:
    latest = Latest(0)
    reading = latest.follow()
    assert await anext(reading) == 0
    latest.set(1)
    latest.set(2)
    assert await anext(reading) == 2
    assert latest.get() == 2
