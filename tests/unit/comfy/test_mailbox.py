import asyncio

from libs.comfy.mailbox import Mailbox
from libs.comfy.messages import Event, Executed, Executing, Preview, Progress, Status, Success, Unknown
from libs.testing import eventually


async def taken(mailbox: Mailbox) -> list[Event]:
    mailbox.close()
    events = []
    while event := await mailbox.take():
        events.append(event)
    return events


async def test_progress_is_overwritten_and_ends_are_kept() -> None:
    mailbox = Mailbox()
    for step in range(1000):
        mailbox.put(Progress("p", "1", step, 1000), 50)
        mailbox.put(Preview(bytes(step), "image/jpeg", "1", "p"), step)
    mailbox.put(Executed("p", "9", "9", ()), 50)
    mailbox.put(Success("p"), 50)
    mailbox.put(Executing("p", None), 50)
    mailbox.put(Executing("q", "1"), 50)
    assert await taken(mailbox) == [
        Progress("p", "1", 999, 1000),
        Preview(bytes(999), "image/jpeg", "1", "p"),
        Executed("p", "9", "9", ()),
        Success("p"),
        Executing("p", None),
        Executing("q", "1"),
    ]


async def test_pictures_that_may_be_results_are_all_kept() -> None:
    mailbox = Mailbox()
    pictures = [Preview(bytes([number]), "image/png", "1", "p") for number in range(3)]
    for picture in pictures:
        mailbox.put(picture, 1)
    assert await taken(mailbox) == pictures


async def test_memory_is_bounded_and_ends_outlive_the_rest() -> None:
    mailbox = Mailbox(max_events=10, max_bytes=100)
    mailbox.put(Success("p"), 10)
    for number in range(50):
        mailbox.put(Unknown(str(number), {}), 20)
    assert await taken(mailbox) == [Success("p"), *(Unknown(str(number), {}) for number in range(46, 50))]


async def test_a_waiting_consumer_is_woken() -> None:
    mailbox = Mailbox()
    waiting = asyncio.create_task(mailbox.take())
    await asyncio.sleep(0)
    mailbox.put(Status(1), 10)
    assert await waiting == Status(1)
    waiting = asyncio.create_task(mailbox.take())
    mailbox.close()
    assert await eventually(waiting.done)
    assert waiting.result() is None
