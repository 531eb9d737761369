"""Lets an API process learn that an outbox entry of its own reached Temporal."""

import asyncio
import contextlib
from types import TracebackType
from typing import Self
from weakref import WeakValueDictionary

from relay.notices import follow
from store.outbox import DELIVERED


class Waiter:
    """Waits for one entry. Forgotten by the listener as soon as nobody holds it."""

    def __init__(self) -> None:
        self._delivered = asyncio.Event()

    def tell(self) -> None:
        self._delivered.set()

    async def wait(self, timeout: float) -> bool:
        """True if the entry was delivered within `timeout` real seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._delivered.wait()
        return self._delivered.is_set()


class DeliveredListener:
    """One connection that hears of every delivery; an async context manager, one for a process.

    Inside the transaction that adds the entry: `waiter = listener.expect(entry_id)`. After the commit:
    `await waiter.wait(0.2)`. Asked for later, the notice may already have passed.
    """

    def __init__(self, database_url: str) -> None:
        self._database_url = database_url
        self._waiters: WeakValueDictionary[int, Waiter] = WeakValueDictionary()
        self._listening = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begins to listen and returns at once: while Postgres is away no wait is answered with True."""
        if self._task is None:
            self._task = asyncio.create_task(
                follow(self._database_url, DELIVERED, self._heard, self._heed), name="delivered listener"
            )

    async def close(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def ready(self, timeout: float) -> bool:
        """True if it hears, or does so within `timeout` real seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._listening.wait()
        return self._listening.is_set()

    def expect(self, entry_id: int) -> Waiter:
        """A waiter for this entry; keep it until it was waited for."""
        waiter = self._waiters.get(entry_id)
        if waiter is None:
            waiter = self._waiters[entry_id] = Waiter()
        return waiter

    def _heed(self, listening: bool) -> None:
        if listening:
            self._listening.set()
        else:
            self._listening.clear()

    def _heard(self, payload: str) -> None:
        for entry_id in payload.split(","):
            if entry_id and (waiter := self._waiters.get(int(entry_id))) is not None:
                waiter.tell()
