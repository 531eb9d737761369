"""Leads of a list, by the thousand, are taken in behind everybody else."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from domain.errors import TendError
from domain.priority import Priority, of_inquiry

WAITING = 50  # of one key, at most
WAITS = 10.0  # real seconds, at most
_LONGEST_PAUSE = 1.0  # real seconds


class TooManyAtOnce(TendError):
    """A lead of a list was not taken in: nothing was done, and it may be posted again."""

    def __init__(self) -> None:
        super().__init__(
            "leads of a list are taken in one at a time, and too many wait: nothing was done; post fewer at once, and "
            "this one again"
        )


class Lists:
    """One lead of a list is taken in at a time, and then as long a pause is made as it took: who asks, writes or stops
    meanwhile finds at least half of the API free, and the workers theirs (decision 0024)."""

    def __init__(self) -> None:
        self._free = asyncio.Lock()
        self._waiting: Counter[str] = Counter()

    @asynccontextmanager
    async def turn(self, key: str, is_gone: Callable[[], Awaitable[bool]]) -> AsyncIterator[None]:
        """In the order in which they came. Raises TooManyAtOnce, also where its sender has gone away meanwhile.

        `key`: whose it is. All wait in one row, but each has places of its own in it.
        """
        if self._waiting[key] >= WAITING:
            raise TooManyAtOnce
        self._waiting[key] += 1
        try:
            async with asyncio.timeout(WAITS):
                await self._free.acquire()
        except TimeoutError:
            raise TooManyAtOnce from None
        finally:
            self._waiting[key] -= 1
        loop = asyncio.get_running_loop()
        began, pause = loop.time(), 0.0
        try:
            if await is_gone():  # it may have been posted again by now: that is no second inquiry
                raise TooManyAtOnce
            yield
            pause = min(loop.time() - began, _LONGEST_PAUSE)
        finally:
            loop.call_later(pause, self._free.release)


def is_of_a_list(body: bytes) -> bool:
    """Whether this inquiry says that it is; of what cannot be read somebody else tells what is wrong."""
    try:
        return of_inquiry(json.loads(body)["source"]["channel"]) is Priority.IMPORTED
    except (ValueError, KeyError, TypeError, RecursionError):
        return False
