"""Events of appointments that nobody has told of yet: kept until the first event that says whose the appointment is."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import ColumnElement, delete, func, or_, text, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.access import Actor
from domain.facts import AppointmentChanged, BookingEvent
from store.tables import early_events

# Long after any scheduler's retries, and before what nobody asks for becomes many.
_TOO_OLD = text("told_at < clock_timestamp() - interval '90 days'")


async def keep(conn: AsyncConnection, actor: Actor | str, fact: AppointmentChanged) -> bool:
    """False if it, or one of that kind and instant that holds against it (`appointment_fold`), was kept already."""
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
    new = insert(early_events).values(row)
    holds = _in_order(new.excluded) > _in_order(early_events.c)
    changed = {c: new.excluded[c] for c in ("starts_at", "facility", "told_by")}
    kept = new.on_conflict_do_update(constraint=early_events.primary_key, set_=changed, where=holds)
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
