"""Wait for a condition instead of for a time."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar, overload

T = TypeVar("T")


@overload
async def eventually(condition: Callable[[], Awaitable[T | None]], within: float = 10, every: float = 0.01) -> T: ...


@overload
async def eventually(condition: Callable[[], T | None], within: float = 10, every: float = 0.01) -> T: ...


async def eventually(condition: Callable[[], object], within: float = 10, every: float = 0.01) -> object:
    """Ask until the answer is truthy, and return it.

    AssertionError after `within` seconds; an AssertionError of the condition itself counts as "not yet".
    """
    deadline = time.monotonic() + within
    while True:
        answer, refusal = await _ask(condition)
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within} s; last answer: {answer!r}") from refusal
        await asyncio.sleep(every)


async def _ask(condition: Callable[[], object]) -> tuple[object, AssertionError | None]:
    try:
        answer = condition()
        return (await answer if inspect.isawaitable(answer) else answer), None
    except AssertionError as refusal:
        return None, refusal
