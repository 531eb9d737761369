"""Following a channel of Postgres, whatever becomes of the connection."""

import asyncio
import logging
from collections.abc import Callable

import psycopg
from sqlalchemy import URL

from store.engine import listen

log = logging.getLogger(__name__)

# Real seconds.
LONGEST_PAUSE = 5.0
FIRST_PAUSE = 0.1


def pause_after(failures: int) -> float:
    """Real seconds to wait after so many failures in a row: 0.1, 0.2, 0.4 ... 5."""
    return min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(max(failures - 1, 0), 10))


async def follow(
    database_url: str | URL, channel: str, heard: Callable[[str], None], listening: Callable[[bool], None]
) -> None:
    """Calls `heard` with the payload of every notice, for ever; cancel it to end.

    Says by `listening` when it begins to hear and when it ceases; notices in between are lost.
    """
    failures = 0
    while True:
        try:
            async with await listen(database_url, channel) as conn:
                failures = 0
                listening(True)
                async for notice in conn.notifies():
                    heard(notice.payload)
        except (psycopg.Error, OSError) as error:
            failures += 1
            log.warning("not listening on %s (%s): trying again", channel, type(error).__name__)
        finally:
            listening(False)
        await asyncio.sleep(pause_after(failures))
