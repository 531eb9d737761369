"""Stops that a lead has yet to be told of, for it could not be read as they came: it hears of them as the first thing.

Its addresses are shut by then. Whatever opens it next, in a release that can read it, writes the facts. So it is with
the review of one that could not be compared as its database was put back from a copy (store/restored.py).
"""

import json
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from domain import facts as f
from domain.errors import ClocksApart, InvalidInput, NotFound, Refused
from domain.lead_state import LeadState
from domain.restored import stop_as_unread
from domain.stored_fact import StoredFact
from store import outbox
from store.engine import AWAY
from store.round_trip import Statement, together

Stop = f.OptedOut | f.Suppressed
# Errors that say nothing of the lead. Any other is of this lead alone: a fact of a later release, a key that is gone, a
# rule that fails with it.
BLAMELESS = (*AWAY, SQLAlchemyError, NotFound, Refused, InvalidInput, ClocksApart)
_OWE = "UPDATE leads SET stops_owed = coalesce(stops_owed, '[]') || CAST(%(stops)s AS jsonb) WHERE id = %(lead)s::uuid"
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


async def owe(conn: AsyncConnection, lead_id: str, stops: Sequence[Stop]) -> None:
    """Its row is locked already, or comes last by the order of locks. Its workflow asks until it can be read."""
    said = json.dumps([asdict(StoredFact.of(stop)) for stop in stops])
    await together(conn, [(_OWE, {"lead": lead_id, "stops": said})])
    await outbox.wake(conn, [lead_id], "lead_opted_out")


def owed(rows: Sequence[dict[str, Any]], state: LeadState) -> Iterator[f.Fact]:
    """What of it the lead does not know. Another release may have written it. Raises NewerFact.

    A review comes first: what it stops a stop may end.
    """
    for row in sorted(rows, key=lambda row: row["kind"] != "task_opened"):
        fact = StoredFact(**row).read()
        assert isinstance(fact, f.OptedOut | f.Suppressed | f.TaskOpened)
        yield from stop_as_unread(state, fact) if isinstance(fact, f.TaskOpened) else unknown(fact, state)


def unknown(stop: Stop, state: LeadState) -> list[Stop]:
    """The stop, on those channels where the lead does not know it.

    Who asked at a number that was stopped before has the phone closed, and did not opt out: a later stop is news.
    """
    known = state.opted_out if isinstance(stop, f.OptedOut) else state.closed
    open_ = tuple(channel for channel in stop.channels if channel not in known)
    return [stop.model_copy(update={"channels": open_})] if open_ else []


def paid(lead_id: str) -> Statement:
    return _PAID, {"lead": lead_id}
