"""At most one open claim for each address and channel, so that a message found in a provider's list is whose it seems.

Open is a claim until it is settled, and one of unknown outcome until its `deadline` (real), for as long as it is
expected to show. Asked under the lock of the address.
"""

from datetime import UTC, datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from domain.clock import APART
from domain.errors import ClaimOver
from domain.ledger import TouchRef
from domain.ports import Search
from domain.touches import SENT, TouchStatus
from store.round_trip import Row, Statement, alone, together
from store.tables import touches

CLAIM_LIVES = timedelta(seconds=15)  # real
ALONE = ("claim.open", "another message to this address is still on its way")  # rule and reason
_A_MOMENT, _LONGEST = timedelta(seconds=1), timedelta(minutes=5)
_A_DAY = timedelta(days=1)
_MAY_STAND = [s.value for s in SENT | {TouchStatus.CLAIMED, TouchStatus.UNKNOWN}]  # in its provider's list
UNUSED = ("claim.unused", "its worker stopped before anything was sent")  # rule and reason
_BEGIN = (
    "UPDATE touches SET unused = NULL WHERE id = %(touch)s AND status = 'claimed' AND deadline = %(deadline)s"
    " AND unused = deadline AND clock_timestamp() < LEAST(%(asked)s + %(left)s, deadline + %(apart)s) RETURNING id"
)
_OTHERS = (
    "SELECT max(t.deadline) AS until, count(*) AS open,"
    " (SELECT b.until FROM brakes b WHERE b.channel = %(channel)s) AS brake FROM touches t"
    " JOIN lead_addresses la ON la.address_id = t.address_id"
    " WHERE la.lead_id = %(lead)s AND t.channel = %(channel)s AND t.id <> %(touch)s"
    " AND (t.status = 'claimed' OR (t.status = 'unknown' AND t.deadline > %(now)s))"
)
_HELD_UP = (
    "SELECT DISTINCT t.lead_id AS by, w.lead_id AS held FROM touches t"
    " JOIN lead_addresses la ON la.address_id = t.address_id AND la.lead_id <> t.lead_id"
    " JOIN touches w ON w.lead_id = la.lead_id AND w.channel = t.channel"
    " WHERE t.status = 'claimed' AND t.deadline < %(before)s AND w.status = 'delayed' AND w.rule = %(rule)s"
    " ORDER BY t.lead_id, w.lead_id"
)
_ON_THEIR_WAY = "SELECT id FROM touches WHERE lead_id = %(lead)s AND status IN ('claimed', 'unknown') ORDER BY id"
_LOOK = "SELECT unused, deadline, claimed_at FROM touches WHERE id = %(touch)s FOR UPDATE"


def others(ref: TouchRef, now: datetime) -> Statement:
    """Asks for the open claims of this channel on the addresses of the lead, and for the channel's brake.

    `now` is real. See `free_at`, and store.backpressure for the brake.
    """
    return _OTHERS, {"lead": ref.lead_id, "channel": ref.channel.value, "touch": ref.touch_id, "now": now}


def free_at(row: Row, now: datetime) -> datetime | None:
    """When the next touch may go, by what `others` found (real); None: now."""
    if not row["open"]:
        return None
    until = row["until"] or now
    if until > now:
        return max(until, now + _A_MOMENT)
    # past its deadline it is being looked for, or its lead waits for somebody: ever more seldom asked
    return now + min(max((now - until) / 2, _A_MOMENT), _LONGEST)


async def held_up(conn: AsyncConnection, before: datetime) -> dict[str, list[str]]:
    """Whose claim was over before that time (real) and is not settled, and who waits at its address: ids of leads.

    It may be that of a lead whose facts cannot be read; who waits for it only seems to wait its turn.
    """
    [rows] = await together(conn, [(_HELD_UP, {"before": before, "rule": ALONE[0]})])
    found: dict[str, list[str]] = {}
    for row in rows:
        found.setdefault(str(row["by"]), []).append(str(row["held"]))
    return found


async def on_their_way(conn: AsyncConnection, lead_id: str) -> list[str]:
    """What may still arrive of a lead, by its rows alone: of one that cannot be read, say."""
    [rows] = await together(conn, [(_ON_THEIR_WAY, {"lead": lead_id})])
    return [str(row["id"]) for row in rows]


async def begin(engine: AsyncEngine, ref: TouchRef, deadline: datetime, now: datetime) -> None:
    """The claim of this deadline is used: from now on something may have been sent. Raises ClaimOver.

    A claim that another has taken over, or that is past its deadline, is used by nobody, nor by a database that was
    frozen after it was asked: its clock and ours may be some seconds apart. Nor after a sleep of the whole machine, in
    which no time goes on by which `now` was reckoned. In a transaction of its own.
    """
    values = {"touch": ref.touch_id, "deadline": deadline, "left": deadline - now, "apart": APART}
    if not await alone(engine, (_BEGIN, values | {"asked": datetime.now(UTC)})):
        raise ClaimOver("the claim was over before its request was written")


def holder(ref: TouchRef) -> Statement:
    """Asks when the present claim was made, which tells it from others of the touch."""
    return "SELECT claimed_at FROM touches WHERE id = %(touch)s", {"touch": ref.touch_id}


async def unused(conn: AsyncConnection, ref: TouchRef) -> datetime | None:
    """When it was claimed (real) by a holder that has not come to write the request; None: it may have.

    Nothing was sent by a claim that was not used, and who asks may claim anew.

    Locks the row: once it is claimed anew, the holder, should it live, finds its claim over. A holder of a release that
    does not say so may have used it.
    """
    [row] = await together(conn, [(_LOOK, {"touch": ref.touch_id})])
    if not row or row[0]["unused"] is None or row[0]["unused"] != row[0]["deadline"]:
        return None
    made: datetime = row[0]["claimed_at"]
    return made


async def search(conn: AsyncConnection, ref: TouchRef, address_id: str, claimed_at: datetime) -> Search:
    """Where the touch may stand in its provider's list: not where another one to the same address may.

    One whose id is known is told from it by that, and one that the provider refused stands nowhere.
    """
    t = touches.c
    others = (t.address_id == address_id, t.channel == ref.channel.value, t.id != ref.touch_id)
    unexplained = (t.claimed_at > claimed_at, t.provider_id.is_(None), t.status.in_(_MAY_STAND))
    next_ = await conn.scalar(select(func.min(t.claimed_at)).where(*others, *unexplained))
    known = select(t.provider_id).where(*others, t.provider_id.is_not(None), t.claimed_at >= claimed_at - _A_DAY)
    return Search(claimed_at, next_, frozenset((await conn.execute(known)).scalars()))
