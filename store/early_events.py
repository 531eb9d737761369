"""Events of appointments that nobody has told of yet: kept until the first event that says whose the appointment is."""

from datetime import datetime

from sqlalchemy import delete, insert, text
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.access import Actor
from domain.facts import AppointmentChanged, BookingEvent
from store.tables import early_events

# Long after any scheduler's retries, and before what nobody asks for becomes many.
_KEPT = text("told_at < clock_timestamp() - interval '90 days'")


async def keep(conn: AsyncConnection, actor: Actor | str, fact: AppointmentChanged, occurred_at: datetime) -> bool:
    """False if it was kept already. To be called under the appointment's own lock."""
    await conn.execute(delete(early_events).where(_KEPT))
    c, facilities = early_events.c, sorted(actor.facilities) if isinstance(actor, Actor) else []
    same = (c.appointment_id == fact.appointment_id, c.event == fact.event.value, c.occurred_at == occurred_at)
    if await conn.scalar(early_events.select().with_only_columns(c.event).where(*same)) is not None:
        return False
    row = {
        "appointment_id": fact.appointment_id,
        "event": fact.event.value,
        "occurred_at": occurred_at,
        "starts_at": fact.starts_at,
        "facility": fact.facility,
        "told_by": actor if isinstance(actor, str) else actor.name,
        "facilities": facilities,
    }
    await conn.execute(insert(early_events).values(row))
    return True


async def take(
    conn: AsyncConnection, appointment_id: str, facility: str | None
) -> list[tuple[AppointmentChanged, str]]:
    """What was kept of the appointment, oldest first, each with who told it; it is kept no longer.

    What a key of other facilities told is dropped: it may not touch a lead of `facility`.
    """
    c = early_events.c
    query = delete(early_events).where(c.appointment_id == appointment_id).returning(*c)
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
        if not row["facilities"] or facility in row["facilities"]
    ]
