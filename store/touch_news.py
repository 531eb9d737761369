"""What the providers' callbacks tell of our touches: each in one transaction with what follows from it."""

import uuid
from dataclasses import dataclass, replace

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.carrier_news import what_became
from domain.errors import NotFound
from domain.ports import HeardMachine, TouchUpdate
from domain.touches import SETTLED, Channel, Disposition, TouchStatus, may_become
from store import tables
from store.inbound_events import heard_once
from store.lead_unit import Leads
from store.round_trip import Row, Statement, alone, together

_TOUCH = "SELECT lead_id, status, channel, provider_id FROM touches WHERE id = %(touch)s"
_WITNESSED = "UPDATE touches SET provider_id = %(provider)s WHERE id = %(touch)s AND provider_id IS NULL"


@dataclass(frozen=True)
class TouchNews:
    leads: Leads

    async def update(self, update_: TouchUpdate) -> bool:
        """What became of a touch. False if it was known already. Raises NotFound: no touch of ours.

        A touch is there before its request: what is nobody's will not be anybody's. Most news, that a text was sent,
        tells nothing that its answer did not: for that the lead is not locked. A repeat needs no note of its own: a
        status never goes back, so what was told once changes nothing the second time.
        """
        asked = _touch(update_.touch_id)
        known = _read_touch(await alone(self.leads.store.engine, asked)) if asked is not None else None
        if known is None:
            raise NotFound("no touch with this id")
        if known.heard(update_):
            return False
        async with self.leads.lead(known.lead_id) as unit:
            if update_.disposition is Disposition.ANSWERED and await _is_machine(unit.conn, update_.provider_id):
                update_ = replace(update_, disposition=Disposition.VOICEMAIL)
            for fact in list(what_became(unit.state, update_, unit.closed)):
                unit.append(fact, "carrier")
            if known.provider_id is None:  # the first witness of a claim whose answer never came
                unit.after.append((_WITNESSED, {"touch": update_.touch_id, "provider": update_.provider_id}))
            return bool(unit.journal.appended)

    async def heard_machine(self, told: HeardMachine) -> bool:
        """Kept until the call has ended. False if it was known already, or the touch is not ours."""
        async with self.leads.store.engine.begin() as conn:
            ours = await lead_of_touch(conn, told.touch_id) is not None
            if not ours:
                return False
            [new] = await together(conn, [heard_once("twilio", _machine(told.provider_id), "machine")])
            return bool(new)


@dataclass(frozen=True, slots=True)
class _Touch:
    lead_id: str
    status: TouchStatus
    channel: Channel
    provider_id: str | None

    def heard(self, told: TouchUpdate) -> bool:
        """Whether this can change nothing any more: a status never goes back."""
        plain = told.disposition is None and told.remedy is None and self.provider_id is not None
        return plain and self.status in SETTLED and not may_become(self.status, told.status, self.channel)


def _touch(touch_id: str) -> Statement | None:
    """Asks for it by the id that a callback carries; None for what is no id of ours."""
    try:
        return _TOUCH, {"touch": str(uuid.UUID(touch_id))}
    except ValueError:
        return None


def _read_touch(rows: list[Row]) -> _Touch | None:
    if not rows:
        return None
    row = rows[0]
    return _Touch(str(row["lead_id"]), TouchStatus(row["status"]), Channel(row["channel"]), row["provider_id"])


async def lead_of_touch(conn: AsyncConnection, touch_id: str) -> str | None:
    """Whose touch it is, by the id that a callback carries; None for anything that is no touch of ours."""
    asked = _touch(touch_id)
    if asked is None:
        return None
    [rows] = await together(conn, [asked])
    touch = _read_touch(rows)
    return touch.lead_id if touch is not None else None


def _machine(call_id: str) -> str:
    return f"{call_id}:machine"


async def _is_machine(conn: AsyncConnection, call_id: str) -> bool:
    event = tables.inbound_events.c
    known = select(event.event_id).where(event.provider == "twilio", event.event_id == _machine(call_id))
    return await conn.scalar(known) is not None
