"""What a provider answered to a touch, or to the call of a coordinator's line: kept, each in one transaction."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select, update

from domain import carry_out, desk
from domain import facts as f
from domain.carrier_news import what_became
from domain.clock import Clock
from domain.errors import NotFound
from domain.ledger import TouchRef, View
from domain.ports import Accepted, ChannelError, OutcomeUnknown, Rejected, Remedy, TouchUpdate, Unavailable
from domain.priority import of_work
from domain.retries import after_quiet_hours, pause_before_next_try
from domain.touches import SETTLED, TouchStatus, may_become
from domain.unknown import ALONE_FOR, still_unknown
from store import open_claims, tables
from store.backpressure import Backpressure
from store.lead_unit import Leads, LeadUnit
from store.lead_view import view
from store.open_claims import CLAIM_LIVES
from store.round_trip import together


@dataclass(frozen=True)
class Settlement:
    """Of `domain.ledger.Ledger`: `settle` and `rang`. `measured`: see store.touch_ledger."""

    leads: Leads
    clock: Clock
    backpressure: Backpressure
    measured: bool

    async def settle(
        self, ref: TouchRef, result: Accepted | ChannelError, now: datetime, claimed_until: datetime | None
    ) -> View:
        # that it was taken counts whoever says so; anything else says something of one claim alone
        of_claim = claimed_until is not None and not isinstance(result, Accepted)
        also = [open_claims.holder(ref)] if of_claim else []
        async with self.leads.lead(ref.lead_id, self.clock.product(now), also) as unit:
            now = self._now(unit, now)
            touch = unit.state.touches.get((ref.enrollment, ref.step, ref.part))
            if touch is None:
                raise NotFound("this touch was never claimed")
            if of_claim and unit.also[0][0]["claimed_at"] + CLAIM_LIVES != claimed_until:
                return view(unit, carry_out.decide(unit.journal, unit.now, unit.closed))  # another has it by now
            if isinstance(result, Unavailable | Rejected):
                if touch.status not in (TouchStatus.CLAIMED, TouchStatus.UNKNOWN):
                    return view(unit, carry_out.decide(unit.journal, unit.now, unit.closed))  # told before
                made = claimed_until - CLAIM_LIVES if claimed_until is not None else now
                await together(unit.conn, [self.backpressure.gives_back(ref.channel, made)])
            row: dict[str, Any] = {"deadline": None}  # see open_claims
            match result:
                case Accepted():
                    row["provider_id"] = result.provider_id
                    self._taken(unit, ref, touch.status, result)
                case Unavailable() | Rejected(remedy=Remedy.ALERT):
                    await self._not_now(unit, ref, touch.status, result, now)
                case Rejected(code=code, reason=reason, remedy=Remedy.RESCHEDULE):
                    until = after_quiet_hours(touch, unit.now, unit.state.zones)
                    self._put_off(unit, ref, touch.status, until, rule="carrier.quiet_hours", reason=reason, code=code)
                case Rejected(code=code, reason=reason, remedy=remedy):
                    self._settle(
                        unit, ref, touch.status, TouchStatus.FAILED, rule=f"carrier.{remedy}", reason=reason,
                        code=code, remedy=remedy,
                    )  # fmt: skip
                case OutcomeUnknown(code=code, reason=reason):
                    more = still_unknown(touch, ref.channel, lambda real: self.clock.product(now + real), result)
                    more |= {"rule": "carrier.unknown", "reason": reason, "code": code}
                    self._settle(unit, ref, touch.status, TouchStatus.UNKNOWN, **more)
                    row = {"deadline": now + ALONE_FOR} if touch.status is TouchStatus.CLAIMED else {}
                case _:
                    raise TypeError(f"no settlement for {type(result).__name__}")
            unit.touch_rows[ref.touch_id] = row
            return view(unit, carry_out.decide(unit.journal, unit.now, unit.closed))

    async def rang(self, ref: TouchRef, result: Accepted | ChannelError, now: datetime) -> View:
        async with self.leads.lead(ref.lead_id, self.clock.product(now)) as unit:
            now = self._now(unit, now)
            touch = unit.state.touches.get((ref.enrollment, ref.step, ref.part))
            if touch is None:
                raise NotFound("no call was asked for")
            if isinstance(result, Unavailable | Rejected) and desk.rings(touch):
                asked = await unit.conn.scalar(
                    select(tables.touches.c.leg_at).where(tables.touches.c.id == ref.touch_id)
                )
                await together(unit.conn, [self.backpressure.gives_back(ref.channel, asked or now)])
            match result:
                case Accepted(provider_id=leg_id):
                    t = tables.touches
                    first = update(t).where(t.c.id == ref.touch_id, t.c.leg_id.is_(None))  # its webhooks may have come
                    await unit.conn.execute(first.values(leg_id=leg_id))
                case OutcomeUnknown():
                    pass  # it may ring: a key pressed, or its time, tells
                case _ if not desk.rings(touch):
                    pass
                case Unavailable() | Rejected(remedy=Remedy.ALERT):
                    await self._not_now(unit, ref, touch.status, result, now)
                case Rejected(code=code, reason=reason):  # a coordinator's number: nothing is known of the lead's
                    more = {"rule": desk.REFUSED, "reason": reason, "code": code}
                    self._settle(unit, ref, touch.status, TouchStatus.FAILED, **more)
            return view(unit, carry_out.decide(unit.journal, unit.now, unit.closed))

    def _now(self, unit: LeadUnit, now: datetime) -> datetime:
        """Real: a clock may have jumped, or the machine slept, since `now` was measured."""
        if not self.measured:
            return now
        unit.now = max(unit.now, self.clock.product(unit.clock))
        return unit.clock

    async def _not_now(
        self, unit: LeadUnit, ref: TouchRef, was: TouchStatus, result: Unavailable | Rejected, now: datetime
    ) -> None:
        """What was certainly not taken is tried again. Nobody is forgotten while a person mends our account."""
        why: dict[str, str | None] = {"reason": result.reason, "code": result.code}
        if isinstance(result, Rejected):
            until = self._next_try(unit, ref, now)
            why |= {"rule": "carrier.alert", "remedy": Remedy.ALERT}
        else:
            until = self._next_try(unit, ref, now, result.retry_after)
            if until is not None and result.code is not None:  # it answered: too many, and not only of this lead's
                until = max(until, await self._slows_down(unit, ref, now, result.retry_after))
            why["rule"] = "channel.unavailable"
        self._put_off(unit, ref, was, until, **why)

    async def _slows_down(self, unit: LeadUnit, ref: TouchRef, now: datetime, after: float) -> datetime:
        """When this touch goes again, of all that the provider now waits with (product time)."""
        await self.backpressure.patience(unit.conn, ref.channel, now + timedelta(seconds=after))
        priority = of_work(unit.state, ref.touch, unit.now)
        held = await self.backpressure.waits(unit.conn, ref.channel, priority, now)
        return self.clock.product(held.until)

    def _next_try(self, unit: LeadUnit, ref: TouchRef, now: datetime, least: float = 0.0) -> datetime | None:
        """When a touch that was not taken is tried again (product time); None if it was tried often enough."""
        touch = unit.state.touches[ref.enrollment, ref.step, ref.part]
        pause = pause_before_next_try(touch, least)
        return self.clock.product(now + pause) if pause is not None else None

    def _put_off(
        self, unit: LeadUnit, ref: TouchRef, was: TouchStatus, until: datetime | None, **why: str | None
    ) -> None:
        """The workflow waits for `until`, and can be woken meanwhile; without one it was put off often enough.

        One that was given up as unknown meanwhile is not sent after all, now that it is known not to have been.
        """
        again = until is not None and was is not TouchStatus.UNKNOWN
        status = TouchStatus.DELAYED if again else TouchStatus.FAILED
        self._settle(unit, ref, was, status, until=until if again else None, **why)

    def _settle(self, unit: LeadUnit, ref: TouchRef, was: TouchStatus, status: TouchStatus, **more: Any) -> None:
        if may_become(was, status, ref.channel):  # a callback may have been here first
            self._append(unit, was, f.TouchChanged.of(ref.touch, status, **more))

    def _taken(self, unit: LeadUnit, ref: TouchRef, was: TouchStatus, result: Accepted) -> None:
        """More than that its request went well is news of the carrier: what follows is what a callback brings."""
        if was is TouchStatus.CLAIMED and result.remedy is None:
            self._settle(unit, ref, was, result.status)
            return
        told = TouchUpdate(ref.touch_id, result.provider_id, result.status, code=result.code, remedy=result.remedy)
        for fact in list(what_became(unit.state, told, unit.closed)):
            self._append(unit, was, fact)

    def _append(self, unit: LeadUnit, was: TouchStatus, fact: f.Fact) -> None:
        """Who tells more of what was settled may not be waited for any more: it wakes the workflow, as from outside."""
        if was in SETTLED:
            unit.append(fact, "system")
        else:
            unit.journal.append(fact, unit.now, "system")
