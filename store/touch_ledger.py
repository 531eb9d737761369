"""The ledger of touches: the gate and the claim before a provider, the settlement after. Implements domain.ledger."""

import time
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select, update

from domain import carry_out, desk, gate
from domain.clock import APART, Clock
from domain.contact_window import closes
from domain.errors import ClocksApart, NotFound
from domain.lead_state import STOP
from domain.ledger import Claim, TouchRef, View
from domain.next_action import Action, ExpireTask, OpenTask, Touch, Wait
from domain.ports import (
    Accepted,
    Call,
    ChannelError,
    Email,
    OutcomeUnknown,
    Rejected,
    Remedy,
    Sms,
    Unavailable,
)
from domain.priority import Priority, of_work
from domain.retries import after_quiet_hours, pause_before_next_try
from domain.touches import Channel, TouchStatus, may_become
from domain.unknown import ALONE_FOR, still_unknown
from store import open_claims, tables
from store.backpressure import Backpressure
from store.composer import Composer
from store.engine import AWAY, while_away
from store.lead_rows import Address
from store.lead_unit import Leads, LeadUnit
from store.round_trip import together

CLAIM_LIVES = timedelta(seconds=15)  # real
REMEMBERS = 6.0  # real seconds in which the answer of a provider is written, should the database be away


@dataclass(frozen=True)
class TouchLedger:
    leads: Leads
    clock: Clock
    composer: Composer
    backpressure: Backpressure = field(default_factory=Backpressure)
    measured: bool = False  # whether `now` is held against the database's clock: not where time is skipped

    async def plan(self, lead_id: str, now: datetime) -> View:
        async with self.leads.lead(lead_id, self.clock.product(now)) as unit:
            self._must_agree(unit, now)
            return self._view(unit, carry_out.decide(unit.journal, unit.now, unit.closed))

    async def claim(self, ref: TouchRef, now: datetime) -> Claim | View:
        asked = time.monotonic()
        others = open_claims.others(ref, now)
        async with self.leads.lead(ref.lead_id, self.clock.product(now), [others]) as unit:
            self._must_agree(unit, now)
            now += timedelta(seconds=time.monotonic() - asked)  # waiting for the lock may have taken a while
            unit.now = max(unit.now, self.clock.product(now))
            touch = unit.state.touches.get((ref.enrollment, ref.step, ref.part))
            if touch is not None and touch.status is TouchStatus.CLAIMED:
                made = await open_claims.unused(unit.conn, ref)
                if made is None:
                    return await self._held(unit, ref)  # whatever has come since: what became of it must be found out
                await together(unit.conn, [self.backpressure.gives_back(ref.channel, made)])  # it counts once
                carry_out.put_off(unit.journal, _touch(ref), unit.now, gate.Delayed(unit.now, *open_claims.UNUSED))
            action = unit.journal.decide(unit.now)  # and the gate below
            if not isinstance(action, Touch) or action.touch_id != ref.touch_id:
                return self._view(unit, action)  # the plan is stale: send nothing
            if carry_out.may_be_out(unit.journal, action):
                return await self._held(unit, ref)
            if unit.ahead:
                return self._view(unit, carry_out.await_clock(unit.journal, action, unit.now, unit.closed))
            if carry_out.passes(unit.journal, action, unit.now, unit.closed):
                address = unit.address(ref.channel)
                assert address is not None  # the gate has looked
                held = await self._held_back(unit, ref, now)
                if held is not None:
                    carry_out.put_off(unit.journal, action, unit.now, held)
                elif ref.channel is not Channel.VOICE:
                    return await self._claim(unit, ref, action, address, now)
                elif (claim := await self._ring(unit, ref, action, now)) is not None:
                    return claim
            return self._view(unit, carry_out.decide(unit.journal, unit.now, unit.closed))

    async def _held_back(self, unit: LeadUnit, ref: TouchRef, now: datetime) -> gate.Delayed | None:
        """By another message to the address, by the sender's limits, or by the provider: it may go, but not now."""
        [[others]] = unit.also
        free = open_claims.free_at(others, now)
        if free is not None:
            return gate.Delayed(self.clock.product(free), *open_claims.ALONE)
        priority = of_work(unit.state, _touch(ref), unit.now)
        held = await self.backpressure.holds(unit.conn, ref.channel, priority, now, others["brake"])
        return gate.Delayed(self.clock.product(held.until), held.rule, held.reason) if held is not None else None

    async def begin(self, ref: TouchRef, claim: Claim, now: datetime) -> None:
        try:
            await open_claims.begin(self.leads.store.engine, ref, claim.deadline, now)
        except AWAY as error:  # whether it is used nobody knows by now, but we do: nothing is sent
            raise Unavailable(f"its claim could not be used ({type(error).__name__})") from None

    async def settle(
        self, ref: TouchRef, result: Accepted | ChannelError, now: datetime, claimed_until: datetime | None = None
    ) -> View:
        async for attempt in while_away(REMEMBERS):  # what is known now nobody else will know
            with attempt:
                return await self._settled(ref, result, now, claimed_until)
        raise AssertionError("the last attempt has raised")

    async def _settled(
        self, ref: TouchRef, result: Accepted | ChannelError, now: datetime, claimed_until: datetime | None
    ) -> View:
        # that it was taken counts whoever says so; anything else says something of one claim alone
        of_claim = claimed_until is not None and not isinstance(result, Accepted)
        also = [open_claims.holder(ref)] if of_claim else []
        async with self.leads.lead(ref.lead_id, self.clock.product(now), also) as unit:
            now = self._real(unit, now)
            touch = unit.state.touches.get((ref.enrollment, ref.step, ref.part))
            if touch is None:
                raise NotFound("this touch was never claimed")
            if of_claim and unit.also[0][0]["claimed_at"] + CLAIM_LIVES != claimed_until:
                return self._view(unit, carry_out.decide(unit.journal, unit.now, unit.closed))  # another has it by now
            if isinstance(result, Unavailable | Rejected):
                if touch.status not in (TouchStatus.CLAIMED, TouchStatus.UNKNOWN):
                    return self._view(unit, carry_out.decide(unit.journal, unit.now, unit.closed))  # told before
                made = claimed_until - CLAIM_LIVES if claimed_until is not None else now
                await together(unit.conn, [self.backpressure.gives_back(ref.channel, made)])
            row: dict[str, Any] = {"deadline": None}  # see open_claims
            match result:
                case Accepted(provider_id=provider_id, status=status):
                    row["provider_id"] = provider_id
                    self._settle(unit, ref, touch.status, status)
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
            return self._view(unit, carry_out.decide(unit.journal, unit.now, unit.closed))

    async def rang(self, ref: TouchRef, result: Accepted | ChannelError, now: datetime) -> View:
        async with self.leads.lead(ref.lead_id, self.clock.product(now)) as unit:
            now = self._real(unit, now)
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
            return self._view(unit, carry_out.decide(unit.journal, unit.now, unit.closed))

    async def open_task(self, lead_id: str, enrollment: int, step: str, part: str, now: datetime) -> View:
        async with self.leads.lead(lead_id, self.clock.product(now)) as unit:
            self._must_agree(unit, now)
            action = carry_out.decide(unit.journal, unit.now, unit.closed)
            if action == OpenTask(enrollment, step, part):
                carry_out.open_task(unit.journal, action, unit.now, unit.closed)
                action = carry_out.decide(unit.journal, unit.now, unit.closed)
            return self._view(unit, action)

    async def expire_task(self, lead_id: str, task: str, now: datetime) -> View:
        async with self.leads.lead(lead_id, self.clock.product(now)) as unit:
            self._must_agree(unit, now)
            carry_out.expire_task(unit.journal, task, unit.now)
            return self._view(unit, carry_out.decide(unit.journal, unit.now, unit.closed))

    def _real(self, unit: LeadUnit, now: datetime) -> datetime:
        """Now for what a provider answered: a clock may have jumped, or the machine slept, since `now` was measured."""
        return unit.clock if self.measured else now

    def _must_agree(self, unit: LeadUnit, now: datetime) -> None:
        """What can wait does so while our clock is apart from the database's. Raises ClocksApart.

        Also where only `now` is, which was read a while ago, before a clock that had jumped was set back.
        """
        if unit.skew:
            raise ClocksApart("the database", unit.skew)
        if self.measured and now - unit.clock > APART:
            raise ClocksApart("the database", unit.clock - now)

    async def _claim(self, unit: LeadUnit, ref: TouchRef, action: Touch, address: Address, now: datetime) -> Claim:
        message = await self.composer.message(unit, ref, address.value)
        if isinstance(message, Sms):
            message = replace(message, valid_for=(self.clock.real(self._use_ends(unit, ref)) - now).total_seconds())
        carry_out.claim(unit.journal, action, unit.now)
        row = {
            "id": ref.touch_id,
            "address_id": address.id,
            "claimed_at": now,
            "deadline": now + CLAIM_LIVES,
            "unused": now + CLAIM_LIVES,
            "subject": message.subject if isinstance(message, Email) else None,
            "body": message.text if isinstance(message, Email) else message.body,
        }
        unit.touch_rows[ref.touch_id] = self.leads.store.vault.seal_row(tables.touches, row)
        return Claim(message, now + CLAIM_LIVES)

    async def _ring(self, unit: LeadUnit, ref: TouchRef, action: Touch, now: datetime) -> Claim | None:
        """The coordinator's line, once. The lead is dialled when they press the key: see store/click_to_call."""
        table = tables.touches
        row = (await unit.conn.execute(select(table).where(table.c.id == ref.touch_id))).mappings().one()
        line = self.leads.store.vault.open_row(table, row)["line"]
        if line is None:
            rule, reason = desk.NO_LINE
            carry_out.change(unit.journal, action, TouchStatus.FAILED, unit.now, rule=rule, reason=reason)
            return None
        carry_out.ring(unit.journal, action, unit.now, self.clock.product(now + desk.WAITS))
        unit.touch_rows[ref.touch_id] = {"leg_at": now}
        return Claim(Call(ref.touch_id, line), now + CLAIM_LIVES)

    def _use_ends(self, unit: LeadUnit, ref: TouchRef) -> datetime:
        """When a text may not leave the carrier any more (product time)."""
        return unit.now + unit.journal.patience.confirmation if ref.step == STOP else closes(unit.now, unit.state.zones)

    async def _held(self, unit: LeadUnit, ref: TouchRef) -> Claim:
        """The claim of an earlier try whose outcome nobody knows: the same message, only to look for."""
        table = tables.touches
        row = (await unit.conn.execute(select(table).where(table.c.id == ref.touch_id))).mappings().one()
        opened = self.leads.store.vault.open_row(table, row)
        to = await self._value(unit, row["address_id"])
        message: Sms | Email | Call
        match ref.channel:
            case Channel.SMS:
                message = Sms(ref.touch_id, to, opened["body"])
            case Channel.EMAIL:
                message = Email(ref.touch_id, to, opened["subject"], opened["body"], "")
            case Channel.VOICE:
                message = Call(ref.touch_id, to)
        search = await open_claims.search(unit.conn, ref, row["address_id"], row["claimed_at"])
        return Claim(message, row["claimed_at"] + CLAIM_LIVES, replace(search, child_of=row["leg_id"]))

    async def _value(self, unit: LeadUnit, address_id: str) -> str:
        """The address that it went to, which need not be the lead's present one."""
        table = tables.addresses
        row = (await unit.conn.execute(select(table).where(table.c.id == address_id))).mappings().one()
        return str(self.leads.store.vault.open_row(table, row)["value"])

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
        priority = of_work(unit.state, _touch(ref), unit.now)
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
            carry_out.change(unit.journal, _touch(ref), status, unit.now, **more)

    def _view(self, unit: LeadUnit, action: Action) -> View:
        sequence = unit.journal.sequence
        return View(
            action,
            unit.standing(),
            sequence.code if sequence else None,
            unit.state.facility,
            unit.now,
            _priority(unit, action),
        )


def _touch(ref: TouchRef) -> Touch:
    return Touch(ref.enrollment, ref.step, ref.part, ref.channel, ref.touch_id)


def _priority(unit: LeadUnit, action: Action) -> Priority:
    do, at = (action.then, action.until) if isinstance(action, Wait) else (action, unit.now)
    if not isinstance(do, Touch | OpenTask | ExpireTask):
        return Priority.CADENCE
    return of_work(unit.state, do, at or unit.now)
