"""What Temporal has yet to hear, written in the transaction of the fact and delivered after it by `relay/`."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import (
    ColumnElement,
    Insert,
    case,
    delete,
    func,
    insert,
    literal,
    literal_column,
    or_,
    select,
    true,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import INTERVAL
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.next_action import Touch
from domain.priority import IMPORTS, JUST, Priority
from store.engine import HOLDS, UNLIMITED
from store.round_trip import Statement
from store.round_trip import insert as row_of
from store.tables import leads, outbox, sources, tasks, touches

WAKE = "tend_outbox"  # notified when a row is committed
ANY_SIGNAL = "staff_acted"  # to wake a lead, whichever carries no news
DELIVERED = "tend_delivered"  # notified with the ids, comma-separated, when rows were delivered

First = Mapping[str, str | int]
_IDS_A_NOTICE = 300  # a notice holds less than 8000 bytes; an id has at most 19 digits and its comma


class Kind(StrEnum):
    START = "start"
    SIGNAL = "signal"


@dataclass(frozen=True, slots=True)
class Entry:
    """One start or signal on its way. `attempts` counts deliveries that failed.

    `first`, of a start: the touch that its workflow begins with, as a `Do` of workflows.messages; None: it plans.
    """

    id: int
    lead_id: str
    kind: Kind
    signal: str | None
    fact_no: int
    attempts: int
    priority: int
    first: First | None = None


def first(touch: Touch, priority: Priority) -> First:
    return {
        "enrollment": touch.enrollment,
        "step": touch.step,
        "part": touch.part,
        "channel": touch.channel.value,
        "touch_id": touch.touch_id,
        "priority": priority.value,
    }


def entry(
    lead_id: str, kind: Kind, fact_no: int, signal: str | None, *, priority: Priority, begins: First | None = None
) -> list[Statement]:
    """The same, to be written with others; the first of both answers its id."""
    if (kind is Kind.SIGNAL) != (signal is not None):
        raise ValueError("a signal has a name, a start has none")
    row = {
        "lead_id": lead_id,
        "kind": kind.value,
        "signal": signal,
        "fact_no": fact_no,
        "priority": priority.value,
        "first": json.dumps(begins) if begins is not None else None,
    }
    return [row_of(outbox, row, "id"), (f"NOTIFY {WAKE}", {})]


def with_something_to_come() -> ColumnElement[bool]:
    """Of leads: the living, and the finished whose touch is on its way or whose task is open."""
    waiting = touches.c.status.in_(("planned", "delayed", "claimed"))
    open_ = tasks.c.state.in_(("open", "claimed"))
    return or_(
        leads.c.exit_reason.is_(None),
        leads.c.id.in_(select(touches.c.lead_id).where(or_(waiting, touches.c.look_at.is_not(None)))),
        leads.c.id.in_(select(tasks.c.lead_id).where(open_)),
    )


async def wake_all(conn: AsyncConnection, signal: str, now: datetime | None = None) -> None:
    """Wakes every lead with something to come: what they were told of time holds no longer. For `now` see `wake`.

    However many they are, and whatever limits the engine has: it writes new rows and locks none that is there.
    """
    await conn.execute(select(literal_column(UNLIMITED)))
    await conn.execute(_signals(with_something_to_come(), signal, now))
    await conn.execute(select(func.pg_notify(WAKE, "")))


async def wake(
    conn: AsyncConnection, lead_ids: Collection[str], signal: str, now: datetime | None = None, *, news: bool = False
) -> set[str]:
    """Wakes these, behind whatever anybody waits for, and answers whom; who has a signal on its way needs no other.

    But for `news`: a signal that stands here may have been delivered already, and its plan made without them. With
    `now` (product) who has just asked goes before all that, as at the first time.
    """
    if not lead_ids:
        return set()
    woken = await conn.execute(_signals(leads.c.id.in_(lead_ids), signal, now, news=news).returning(outbox.c.lead_id))
    await conn.execute(select(func.pg_notify(WAKE, "")))
    return {str(lead_id) for lead_id in woken.scalars()}


async def who_just_asked(conn: AsyncConnection, now: datetime) -> list[str]:
    """The ids of those who are woken first, in their order. `now` is product time."""
    await conn.execute(select(literal_column(UNLIMITED)))  # no index leads there
    query = select(leads.c.id).where(with_something_to_come(), _just_asked(now)).order_by(leads.c.id)
    return [str(lead_id) for lead_id in (await conn.execute(query)).scalars()]


def _just_asked(now: datetime) -> ColumnElement[bool]:
    """Of leads: whose newest inquiry is of the last hour, and came from no list: as domain.priority.of_work has it."""
    later = sources.alias("later")
    newest = ~select(1).where(later.c.lead_id == sources.c.lead_id, later.c.fact_no > sources.c.fact_no).exists()
    inquiries = select(sources.c.lead_id).where(sources.c.at > now - JUST, sources.c.channel.not_in(IMPORTS), newest)
    return leads.c.id.in_(inquiries)


def _signals(which: ColumnElement[bool], signal: str, now: datetime | None, *, news: bool = False) -> Insert:
    told = select(1).where(outbox.c.lead_id == leads.c.id, outbox.c.kind == str(Kind.SIGNAL)).exists()
    anew: ColumnElement[int] = literal(Priority.ANEW.value)
    if now is not None:
        anew = case((_just_asked(now), literal(Priority.INQUIRY.value)), else_=anew)
    chosen = select(leads.c.id, literal(str(Kind.SIGNAL)), literal(signal), leads.c.last_fact, anew)
    chosen = chosen.where(which, true() if news else ~told)
    # Sorted, so that all is read before the first is written: else each may be looked for among those just written.
    chosen = chosen.order_by(leads.c.recorded_at.desc())
    return insert(outbox).from_select(["lead_id", "kind", "signal", "fact_no", "priority"], chosen)


async def take(conn: AsyncConnection, limit: int, down_to: Priority = Priority.IMPORTED) -> list[Entry]:
    """Locks the next due entries, by priority down to this one and then by age, but for those another relay holds.

    At most one of each lead, in the same order: what its workflow hears at one priority keeps its order, whoever
    delivers, and what somebody waits for does not wait for what everybody is told.
    """
    other = outbox.alias("other")
    before = tuple_(other.c.priority, other.c.id) < tuple_(outbox.c.priority, outbox.c.id)
    first = ~select(1).where(other.c.lead_id == outbox.c.lead_id, before).exists()
    due = (
        select(outbox, literal_column(HOLDS))
        .where(outbox.c.not_before <= func.clock_timestamp(), outbox.c.priority <= down_to.value, first)
        .order_by(outbox.c.priority, outbox.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True, of=outbox)
    )
    rows = (await conn.execute(due)).all()
    return [Entry(r.id, r.lead_id, Kind(r.kind), r.signal, r.fact_no, r.attempts, r.priority, r.first) for r in rows]


async def done(conn: AsyncConnection, ids: Sequence[int]) -> None:
    """Removes delivered entries and tells whoever waits for them, both at the commit."""
    if not ids:
        return
    await conn.execute(delete(outbox).where(outbox.c.id.in_(ids)))
    for start in range(0, len(ids), _IDS_A_NOTICE):
        part = ",".join(str(entry_id) for entry_id in ids[start : start + _IDS_A_NOTICE])
        await conn.execute(select(func.pg_notify(DELIVERED, part)))


async def postpone(conn: AsyncConnection, entry_id: int, seconds: float) -> None:
    """Counts a failed delivery and puts the next one off by so many real seconds."""
    later = func.clock_timestamp() + func.make_interval(0, 0, 0, 0, 0, 0, seconds, type_=INTERVAL)
    await conn.execute(
        update(outbox).where(outbox.c.id == entry_id).values(attempts=outbox.c.attempts + 1, not_before=later)
    )
