"""Fan-out inside one process: a bounded mailbox per watcher, so that a slow one costs memory nobody misses."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Hashable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class Latest(Generic[T]):
    """One slot: readers see the newest value and skip what they were too slow for."""

    def __init__(self, value: T) -> None:
        self._value = value
        self._version = 0
        self._changed = asyncio.Event()

    def get(self) -> T:
        """The newest value."""
        return self._value

    def set(self, value: T) -> None:
        """Replace the value and wake every reader."""
        self._value = value
        self._version += 1
        self._changed.set()
        self._changed = asyncio.Event()

    async def follow(self) -> AsyncIterator[T]:
        """The value now, then each newest one after a change."""
        seen = -1
        while True:
            while seen == self._version:
                await self._changed.wait()
            seen = self._version
            yield self._value


class Subscription(Generic[T]):
    """A watcher's mailbox. When it is full the oldest item goes and `missed` turns true."""

    def __init__(self, limit: int) -> None:
        self._items: deque[T] = deque(maxlen=limit)
        self._arrived = asyncio.Event()
        self._missed = False

    def put(self, item: T) -> None:
        """Deliver; never blocks."""
        self._missed = self._missed or len(self._items) == self._items.maxlen
        self._items.append(item)
        self._arrived.set()

    def take(self) -> list[T]:
        """Everything that waits, oldest first."""
        items = list(self._items)
        self._items.clear()
        self._arrived.clear()
        return items

    def take_missed(self) -> bool:
        """Whether anything was dropped since the last call."""
        missed, self._missed = self._missed, False
        return missed

    async def wait(self, seconds: float) -> bool:
        """Until something waits, at most so long; false when the time is over."""
        try:
            await asyncio.wait_for(self._arrived.wait(), seconds)
        except TimeoutError:
            return False
        return True


class Hub(Generic[K, T]):
    """Subscribers by key. Publishing costs nothing where nobody listens."""

    def __init__(self, limit: int = 256) -> None:
        self._limit = limit
        self._subscriptions: dict[K, set[Subscription[T]]] = {}

    def publish(self, key: K, item: T) -> None:
        """Deliver to every subscriber of the key."""
        for subscription in self._subscriptions.get(key, ()):
            subscription.put(item)

    @contextmanager
    def subscribe(self, key: K) -> Iterator[Subscription[T]]:
        """A mailbox for everything published under the key from now on."""
        subscription = Subscription[T](self._limit)
        self._subscriptions.setdefault(key, set()).add(subscription)
        try:
            yield subscription
        finally:
            followers = self._subscriptions[key]
            followers.discard(subscription)
            if not followers:
                del self._subscriptions[key]

    def __len__(self) -> int:
        """How many subscriptions there are."""
        return sum(map(len, self._subscriptions.values()))
