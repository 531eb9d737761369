"""Events of appointments that nobody has told of yet: kept until the first event that says whose the appointment is."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import ColumnElement, case, delete, func, or_, text, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.access import Actor
from domain.facts import AppointmentChanged, BookingEvent
from store.tables import early_events

# Long after any scheduler's retries, and before what nobody asks for becomes many.
_TOO_OLD = text("told_at < clock_timestamp() - interval '90 days'")


async def keep(conn: AsyncConnection, actor: Actor | str, fact: AppointmentChanged) -> bool:
    """False if it says no more than what was kept of its kind and instant: the later time holds, then the place."""
    await conn.execute(delete(early_events).where(_TOO_OLD))
    row = {
        "appointment_id": fact.appointment_id,
        "event": fact.event.value,
        "occurred_at": fact.occurred_at,
        "starts_at": fact.starts_at,
        "facility": fact.facility,
        "told_by": actor if isinstance(actor, str) else actor.name,
        "facilities": sorted(actor.facilities) if isinstance(actor, Actor) else [],
    }
    new, c = insert(early_events).values(row), early_events.c
    holds = _in_order(new.excluded) > _in_order(c)
    first, then = (
        case((holds, new.excluded.facility), else_=c.facility),
        case((holds, c.facility), else_=new.excluded.facility),
    )
    starts_at, facility = func.greatest(c.starts_at, new.excluded.starts_at), func.coalesce(first, then)
    kept = new.on_conflict_do_update(
        constraint=early_events.primary_key,
        set_={"starts_at": starts_at, "facility": facility, "told_by": new.excluded.told_by},
        where=or_(starts_at.is_distinct_from(c.starts_at), facility.is_distinct_from(c.facility)),
    )
    return (await conn.execute(kept.returning(early_events.c.event))).first() is not None


def _in_order(event: Any) -> ColumnElement[Any]:
    return tuple_(func.coalesce(event.starts_at, text("'-infinity'")), func.coalesce(event.facility, ""))


async def take(
    conn: AsyncConnection, appointment_id: str, facilities: Collection[str | None]
) -> list[tuple[AppointmentChanged, str]]:
    """What was kept of the appointment, oldest first, each with who told it; it is kept no longer.

    What a key of other facilities told is left: it may touch neither the lead nor the appointment, who are at these.
    """
    c = early_events.c
    may = or_(c.facilities == [], c.facilities.overlap(list(facilities)))
    query = delete(early_events).where(c.appointment_id == appointment_id, may).returning(*c)
    rows = sorted((await conn.execute(query)).mappings(), key=lambda row: row["occurred_at"])
    return [
        (
            AppointmentChanged(
                event=BookingEvent(row["event"]),
                appointment_id=appointment_id,
                starts_at=row["starts_at"],
                facility=row["facility"],
                occurred_at=row["occurred_at"],
            ),
            row["told_by"],
        )
        for row in rows
    ]
