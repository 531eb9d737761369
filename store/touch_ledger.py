"""The ledger of touches: the gate and the claim before a provider, the settlement after. Implements domain.ledger."""

import time
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from sqlalchemy import select

from domain import carry_out, desk, gate
from domain.clock import APART, Clock
from domain.contact_window import closes
from domain.errors import ClocksApart
from domain.lead_state import STOP
from domain.ledger import Claim, TouchRef, View
from domain.next_action import OpenTask, Touch
from domain.ports import (
    Accepted,
    Call,
    ChannelError,
    Email,
    Sms,
    Unavailable,
)
from domain.priority import of_work
from domain.touches import Channel, TouchStatus
from store import open_claims, tables
from store.backpressure import Backpressure
from store.composer import Composer
from store.engine import AWAY, while_away
from store.lead_rows import Address
from store.lead_unit import Leads, LeadUnit
from store.lead_view import view
from store.open_claims import CLAIM_LIVES
from store.round_trip import together
from store.settlement import Settlement

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
            return view(unit, carry_out.decide(unit.journal, unit.now, unit.closed))

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
                carry_out.put_off(unit.journal, ref.touch, unit.now, gate.Delayed(unit.now, *open_claims.UNUSED))
            action = unit.journal.decide(unit.now)  # and the gate below
            if not isinstance(action, Touch) or action.touch_id != ref.touch_id:
                return view(unit, action)  # the plan is stale: send nothing
            if carry_out.may_be_out(unit.journal, action):
                return await self._held(unit, ref)
            if unit.ahead:
                return view(unit, carry_out.await_clock(unit.journal, action, unit.now, unit.closed))
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
            return view(unit, carry_out.decide(unit.journal, unit.now, unit.closed))

    async def _held_back(self, unit: LeadUnit, ref: TouchRef, now: datetime) -> gate.Delayed | None:
        """By another message to the address, by the sender's limits, or by the provider: it may go, but not now."""
        [[others]] = unit.also
        free = open_claims.free_at(others, now)
        if free is not None:
            return gate.Delayed(self.clock.product(free), *open_claims.ALONE)
        priority = of_work(unit.state, ref.touch, unit.now)
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
                return await self._settlement.settle(ref, result, now, claimed_until)
        raise AssertionError("the last attempt has raised")

    async def rang(self, ref: TouchRef, result: Accepted | ChannelError, now: datetime) -> View:
        async for attempt in while_away(REMEMBERS):
            with attempt:
                return await self._settlement.rang(ref, result, now)
        raise AssertionError("the last attempt has raised")

    @property
    def _settlement(self) -> Settlement:
        return Settlement(self.leads, self.clock, self.backpressure, measured=self.measured)

    async def open_task(self, lead_id: str, enrollment: int, step: str, part: str, now: datetime) -> View:
        async with self.leads.lead(lead_id, self.clock.product(now)) as unit:
            self._must_agree(unit, now)
            action = carry_out.decide(unit.journal, unit.now, unit.closed)
            if action == OpenTask(enrollment, step, part):
                carry_out.open_task(unit.journal, action, unit.now, unit.closed)
                action = carry_out.decide(unit.journal, unit.now, unit.closed)
            return view(unit, action)

    async def expire_task(self, lead_id: str, task: str, now: datetime) -> View:
        async with self.leads.lead(lead_id, self.clock.product(now)) as unit:
            self._must_agree(unit, now)
            carry_out.expire_task(unit.journal, task, unit.now)
            return view(unit, carry_out.decide(unit.journal, unit.now, unit.closed))

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
            await together(unit.conn, [self.backpressure.gives_back(ref.channel, now)])  # nobody was called
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
        over = row["status"] == TouchStatus.UNKNOWN  # else its worker may be at it still
        search = await open_claims.search(unit.conn, ref, row["address_id"], row["claimed_at"])
        return Claim(message, row["claimed_at"] + CLAIM_LIVES, replace(search, child_of=row["leg_id"], over=over))

    async def _value(self, unit: LeadUnit, address_id: str) -> str:
        """The address that it went to, which need not be the lead's present one."""
        table = tables.addresses
        row = (await unit.conn.execute(select(table).where(table.c.id == address_id))).mappings().one()
        return str(self.leads.store.vault.open_row(table, row)["value"])
