"""Stops that a lead has yet to be told of, for it could not be read as they came: it hears of them as the first thing.

Its addresses are shut by then. Whatever opens it next, in a release that can read it, writes the facts.
"""

from collections.abc import Awaitable, Callable, Sequence

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from domain import facts as f
from domain.errors import ClocksApart, InvalidInput, NotFound, Refused
from domain.touches import Channel
from store import outbox
from store.engine import AWAY
from store.round_trip import Statement, together

# Errors that say nothing of the lead. Any other is of this lead alone: a fact of a later release, a key that is gone, a
# rule that fails with it.
BLAMELESS = (*AWAY, SQLAlchemyError, NotFound, Refused, InvalidInput, ClocksApart)
_OWE = "UPDATE leads SET stop_owed = true WHERE id = ANY(%(leads)s::uuid[])"
_PAID = "UPDATE leads SET stop_owed = false WHERE id = %(lead)s"
_STOPS = (
    "SELECT s.cause, s.code, array_agg(s.channel) AS channels FROM stops s"
    " JOIN lead_addresses la ON la.address_id = s.address_id"
    " WHERE la.lead_id = %(lead)s AND NOT la.wrong GROUP BY s.cause, s.code ORDER BY s.cause = 'opt_out' DESC, s.cause"
)


async def owe(conn: AsyncConnection, lead_ids: Sequence[str]) -> None:
    """Their rows are locked already, or come last by the order of locks. Their workflows ask until they can be read."""
    if lead_ids:
        await together(conn, [(_OWE, {"leads": list(lead_ids)})])
        await outbox.wake(conn, lead_ids, "lead_opted_out")


def paid(lead_id: str) -> Statement:
    return _PAID, {"lead": lead_id}


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


async def owed(conn: AsyncConnection, lead_id: str, closed: frozenset[Channel]) -> list[f.OptedOut | f.Suppressed]:
    """The stops on its addresses of which its facts, by which `closed` is closed, do not tell yet."""
    [rows] = await together(conn, [(_STOPS, {"lead": lead_id})])
    facts: list[f.OptedOut | f.Suppressed] = []
    for row in rows:
        open_ = tuple(c for c in Channel if c.value in row["channels"] and c not in closed)
        closed = closed | set(open_)
        if open_ and row["cause"] == "opt_out":
            facts.append(f.OptedOut(channels=open_, cause="shared_address"))
        elif open_:
            facts.append(f.Suppressed(channels=open_, cause=row["cause"], code=row["code"]))
    return facts
