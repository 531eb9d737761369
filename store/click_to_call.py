"""The key pressed at a coordinator's line, and what became of that line: the gate and the claim of a call.

Our answer to the carrier dials the lead: the claim is committed before it, and the request repeated is answered alike.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from domain import carry_out, desk, task_reactions
from domain.ledger import TouchRef
from domain.next_action import Touch
from domain.ports import DeskCallEnded
from domain.touches import Channel, TouchStatus
from store import home, open_claims, tables
from store.lead_unit import Leads, LeadUnit
from store.open_claims import ALONE, CLAIM_LIVES
from store.round_trip import together, update
from store.touch_news import lead_of_touch


@dataclass(frozen=True, slots=True)
class Connected:
    """The lead is to be dialled now. `number` is E.164."""

    number: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class NotConnected:
    """`rule`: why the lead is not dialled."""

    rule: str


OVER = NotConnected("desk.over")  # it is settled, or another call's


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class ClickToCall:
    """`real` gives real time."""

    leads: Leads
    real: Callable[[], datetime] = _now

    async def connect(self, touch_id: str, leg_id: str) -> Connected | NotConnected:
        """1 was pressed in the call `leg_id`: the gate, and the claim, in one transaction."""
        async with self.leads.store.engine.begin() as conn:
            lead_id = await lead_of_touch(conn, touch_id)
            if lead_id is None:
                return OVER
            if await home.is_copy(conn):
                return OVER  # nothing is sent from one
            async with self.leads.within(conn, lead_id) as unit:
                return await self._connect(unit, touch_id, leg_id)

    async def _connect(self, unit: LeadUnit, touch_id: str, leg_id: str) -> Connected | NotConnected:
        touch = next((t for t in unit.state.touches.values() if t.touch_id == touch_id), None)
        if touch is None:
            return OVER
        t, now = tables.touches.c, self.real() + unit.skew
        row = (await unit.conn.execute(select(t.leg_id, t.address_id, t.claimed_at).where(t.id == touch_id))).one()
        if row.leg_id not in (None, leg_id):
            return OVER
        if touch.status is TouchStatus.CLAIMED and row.leg_id == leg_id and now < row.claimed_at + CLAIM_LIVES:
            number = next((a.value for a in unit.addresses if a.id == row.address_id), None)
            return Connected(number) if number is not None else OVER
        if (rule := desk.kept_from(touch)) is not None:
            return NotConnected(rule)
        if not desk.rings(touch) or touch.until is None or touch.until <= unit.now:
            return OVER
        call = Touch(touch.enrollment, touch.step, touch.part, Channel.VOICE, touch_id)
        unit.signal = "touch_updated"  # whatever follows: nobody waits for the line any more
        if unit.ahead:
            carry_out.await_clock(unit.journal, call, unit.now, unit.closed)
        if unit.ahead or not carry_out.passes(unit.journal, call, unit.now, unit.closed):
            refused = unit.state.touches[touch.enrollment, touch.step, touch.part]
            return NotConnected(refused.rule or "")
        address = unit.address(Channel.VOICE)
        assert address is not None  # the gate has looked
        ref = TouchRef(unit.lead_id, touch_id, touch.enrollment, touch.step, touch.part, Channel.VOICE)
        [[others]] = await together(unit.conn, [open_claims.others(ref, now)])
        if open_claims.free_at(others, now) is not None:
            rule, reason = ALONE
            carry_out.change(unit.journal, call, TouchStatus.FAILED, unit.now, rule=rule, reason=reason)
            return NotConnected(rule)
        carry_out.claim(unit.journal, call, unit.now)
        claimed = {"address_id": address.id, "claimed_at": now, "deadline": now + CLAIM_LIVES, "leg_id": leg_id}
        unit.touch_rows[touch_id] = claimed
        return Connected(address.value)

    async def leg_ended(self, told: DeskCallEnded) -> bool:
        """The coordinator's call is over. False if the touch no longer waited for its key, or is not ours."""
        async with self.leads.store.engine.begin() as conn:
            lead_id = await lead_of_touch(conn, told.touch_id)
            if lead_id is None:
                return False
            async with self.leads.within(conn, lead_id) as unit:
                touch = next((t for t in unit.state.touches.values() if t.touch_id == told.touch_id), None)
                if touch is None or not await _is_leg(conn, told):
                    return False
                if not desk.rings(touch):
                    if touch.rule == task_reactions.OVER:  # dropped while it rang: its line is free by now
                        unit.after.append(update(tables.touches, "id", {"id": told.touch_id, "leg_at": None}))
                    return False
                unit.append(desk.ended(touch, told.how), "carrier")
                unit.after.append(update(tables.touches, "id", {"id": told.touch_id, "leg_id": told.leg_id}))
        return True


async def _is_leg(conn: AsyncConnection, told: DeskCallEnded) -> bool:
    leg_id = await conn.scalar(select(tables.touches.c.leg_id).where(tables.touches.c.id == told.touch_id))
    return leg_id in (None, told.leg_id)
