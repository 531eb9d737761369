"""What a lead has yet to be told, for it could not be read as it came: it hears of that as the first thing.

A stop (its addresses are shut by then), a text that it or a relative wrote, and who wrote it. What opens it next, in a
release that can read it, writes the facts. So it is with the review of one that could not be compared as its database
was put back from a copy (store/restored.py).
"""

import json
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from domain import facts as f
from domain.errors import ClocksApart, InvalidInput, NoSuchLead, Refused
from domain.lead_state import LeadState
from domain.restored import stop_as_unread
from domain.signals import signal_of
from domain.stored_fact import StoredFact
from store import outbox
from store.engine import AWAY
from store.round_trip import Statement, together

Stop = f.OptedOut | f.Suppressed
Owed = Stop | f.Replied | f.TaskOpened | f.TaskClosed
# Errors that say nothing of the lead. Any other is of this lead alone: a fact of a later release, a key that is gone, a
# rule that fails with it.
BLAMELESS = (*AWAY, SQLAlchemyError, NoSuchLead, Refused, InvalidInput, ClocksApart)
_OWE = (
    "UPDATE leads SET stops_owed = coalesce(stops_owed, '[]') || CAST(%(owed)s AS jsonb)"
    " WHERE id = %(lead)s::uuid AND NOT coalesce(stops_owed, '[]') @> CAST(%(owed)s AS jsonb)"
)
_PAID = "UPDATE leads SET stops_owed = NULL WHERE id = %(lead)s::uuid"


async def told(conn: AsyncConnection, tell: Callable[[], Awaitable[object]]) -> bool:
    """Whether one lead could be told. If not, nothing of it was done, and what it locked is let go.

    Raises what is not for want of this lead.
    """
    try:
        async with conn.begin_nested():
            await tell()
    except BLAMELESS:
        raise
    except Exception:
        return False
    return True


async def would_hear(conn: AsyncConnection, tell: Callable[[], Awaitable[object]]) -> bool:
    """Whether one lead could be told: tried, and undone."""
    tried = await conn.begin_nested()
    try:
        await tell()
    except BLAMELESS:
        raise
    except Exception:
        return False
    finally:
        await tried.rollback()
    return True


async def owe(conn: AsyncConnection, lead_id: str, facts: Sequence[Owed]) -> None:
    """Its row is locked already, or comes last by the order of locks. It is woken, and its workflow asks until it can
    be read. The same again is owed once."""
    said = json.dumps([asdict(StoredFact.of(fact)) for fact in facts])
    await together(conn, [(_OWE, {"lead": lead_id, "owed": said})])
    signal = next(filter(None, map(signal_of, facts)), None)
    await outbox.wake(conn, [lead_id], signal or outbox.ANY_SIGNAL, news=True)


def in_order(rows: Sequence[dict[str, Any]]) -> list[f.Fact]:
    """As they came, but for a review, which is first: what it stops a stop may end. Another release may have written
    them. Raises NewerFact."""
    return sorted((StoredFact(**row).read() for row in rows), key=lambda fact: not isinstance(fact, f.TaskOpened))


def owed(fact: f.Fact, state: LeadState) -> Iterator[f.Fact]:
    """What of it the lead does not know."""
    match fact:
        case f.OptedOut() | f.Suppressed():
            yield from unknown(fact, state)
        case f.TaskOpened():
            yield from stop_as_unread(state, fact)
        case f.TaskClosed():
            yield from [fact] if state.waits_for(fact.task_id) else []
        case _:
            yield fact


def unknown(stop: Stop, state: LeadState) -> list[Stop]:
    """The stop, on those channels where the lead does not know it.

    Who asked at a number that was stopped before has the phone closed, and did not opt out: a later stop is news.
    """
    known = state.opted_out if isinstance(stop, f.OptedOut) else state.closed
    open_ = tuple(channel for channel in stop.channels if channel not in known)
    return [stop.model_copy(update={"channels": open_})] if open_ else []


def paid(lead_id: str) -> Statement:
    return _PAID, {"lead": lead_id}
