"""Leads of a list, by the thousand, are taken in behind everybody else."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from domain.priority import Priority, of_inquiry

_LONGEST_PAUSE = 1.0  # real seconds


class Lists:
    """One lead of a list is taken in at a time, and then as long a pause is made as it took: who asks, writes or stops
    meanwhile finds at least half of the API free, and the workers theirs (decision 0024)."""

    def __init__(self) -> None:
        self._free = asyncio.Lock()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """In the order in which they came."""
        await self._free.acquire()
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            yield
        finally:
            loop.call_later(min(loop.time() - began, _LONGEST_PAUSE), self._free.release)


def is_of_a_list(body: bytes) -> bool:
    """Whether this inquiry says that it is; of what cannot be read somebody else tells what is wrong."""
    try:
        return of_inquiry(json.loads(body)["source"]["channel"]) is Priority.IMPORTED
    except (ValueError, KeyError, TypeError, RecursionError):
        return False
