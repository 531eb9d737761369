"""The sequence versions in memory: there as soon as Postgres is, and never far behind what is published."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime

from sqlalchemy.exc import SQLAlchemyError

from api.services import Services
from content.library import PinnedSequence
from store.engine import Store
from store.sequences import SequenceBook, publish

LOOKS_EVERY = 5.0  # real seconds
TRIES_EVERY = 0.5  # real seconds, while there are none


async def sequences_ready(services: Services) -> None:
    """Raises SQLAlchemy's OperationalError while Postgres is away."""
    if not services.leads.book.keys():
        await services.leads.book.refresh()


async def keep_fresh(
    store: Store, book: SequenceBook, shipped: list[PinnedSequence], now: Callable[[], datetime]
) -> None:
    """Until cancelled. On a database without any sequence, those that ship are published."""
    while True:
        with suppress(SQLAlchemyError, OSError):
            await book.refresh()
            if not book.keys():
                await publish(store.engine, shipped, now())
                await book.refresh()
        await asyncio.sleep(LOOKS_EVERY if book.keys() else TRIES_EVERY)
