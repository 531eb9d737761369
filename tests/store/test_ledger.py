"""The ledger under its lock: pauses while a provider is away, clocks that differ, addresses joined meanwhile."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, text

from domain import facts as f
from domain.errors import NoSuchLead
from domain.ledger import Claim
from domain.next_action import Wait
from domain.ports import InboundSms, Rejected, Remedy, Unavailable
from domain.retries import MOST_ATTEMPTS
from domain.touches import Channel, TouchStatus
from store import tables
from tests.store.test_rules import DESK, Clinic, clinic

__all__ = ["clinic"]  # the fixture


async def test_a_provider_that_is_away_is_asked_again_ever_more_seldom_and_then_a_person(clinic: Clinic) -> None:
    lead = await clinic.inquire()
    ref = await clinic.next_touch(lead)
    now, pauses = datetime.now(UTC), []
    for attempt in range(MOST_ATTEMPTS):
        assert isinstance(await clinic.ledger.claim(ref, now), Claim), attempt
        await clinic.ledger.settle(ref, Unavailable("away", "20429", retry_after=1.0), now)
        if attempt + 1 < MOST_ATTEMPTS:
            until = (await clinic.state(lead)).touches[1, "confirm", "sms"].until
            assert until is not None
            again = clinic.ledger.clock.real(until)
            pauses.append(round((again - now).total_seconds()))
            now = max(again, now + timedelta(seconds=1))
            # the e-mail that goes instead, and the calls of the cadence, are not this test's
            await clinic.do_others(lead, ref, now)
    assert pauses[:9] == [2, 4, 8, 16, 32, 64, 128, 256, 300]
    state = await clinic.state(lead)
    assert state.touches[1, "confirm", "sms"].status is TouchStatus.FAILED
    assert any("did not go out: away" in (t.reason or "") for t in state.tasks.values())


async def test_what_the_provider_asks_for_is_waited(clinic: Clinic) -> None:
    lead = await clinic.inquire()
    ref, now = await clinic.next_touch(lead), datetime.now(UTC)
    await clinic.ledger.claim(ref, now)
    view = await clinic.ledger.settle(ref, Unavailable("busy", retry_after=30.0), now)
    assert isinstance(view.action, Wait) and view.action.until is not None
    assert abs((clinic.ledger.clock.real(view.action.until) - now).total_seconds() - 30) < 0.1


async def test_a_providers_own_quiet_hours_do_not_put_off_for_ever(clinic: Clinic) -> None:
    lead = await clinic.inquire()
    ref, now = await clinic.next_touch(lead), datetime.now(UTC)
    for _ in range(5):
        assert isinstance(await clinic.ledger.claim(ref, now), Claim)
        await clinic.ledger.settle(ref, Rejected("quiet hours", "30610", Remedy.RESCHEDULE), now)
        until = (await clinic.state(lead)).touches[1, "confirm", "sms"].until
        if until is not None:
            now = clinic.ledger.clock.real(until)
            await clinic.do_others(lead, ref, now)
    assert (await clinic.state(lead)).touches[1, "confirm", "sms"].status is TouchStatus.FAILED


async def test_a_clock_behind_the_newest_fact_counts_from_that(clinic: Clinic) -> None:
    """A task that another process's clock says is over is over here too, or the workflow would ask for ever."""
    lead = await clinic.inquire()
    now = datetime.now(UTC)
    ref = await clinic.next_touch(lead)
    await clinic.ledger.claim(ref, now)
    async with clinic.leads.lead(lead, clinic.ledger.clock.product(now + timedelta(hours=1))) as unit:
        unit.append(f.Noted(text="from a clock that is ahead"), "test")
    async with clinic.leads.lead(lead, clinic.ledger.clock.product(now)) as unit:
        assert unit.now == unit.state.last_at


async def test_an_address_joined_while_a_stop_waits_is_stopped_too(clinic: Clinic) -> None:
    lead = await clinic.inquire(phone=None)
    other = await clinic.inquire("Ben", phone="+12125550177", email=None)
    async with clinic.store.engine.connect() as conn:
        link = tables.lead_addresses
        (mail,) = (await conn.execute(select(link.c.address_id).where(link.c.lead_id == lead))).scalars()
        (phone,) = (await conn.execute(select(link.c.address_id).where(link.c.lead_id == other))).scalars()
    async with clinic.store.engine.begin() as holder:
        await holder.execute(text("SELECT 1 FROM addresses WHERE id = :id FOR UPDATE"), {"id": mail})
        stop = asyncio.create_task(clinic.commands.opt_out(DESK, lead, None))
        await clinic.waits_for_a_lock()
        await holder.execute(link.insert().values(lead_id=lead, address_id=phone))
    await stop
    async with clinic.store.engine.connect() as conn:
        stopped = (await conn.execute(select(tables.stops.c.address_id))).scalars().all()
    assert {str(i) for i in stopped} == {str(mail), str(phone)}


async def test_an_opt_out_is_stronger_than_a_suppression_and_not_the_other_way_round(clinic: Clinic) -> None:
    lead = await clinic.inquire()
    async with clinic.leads.lead(lead) as unit:
        unit.append(f.Suppressed(channels=(Channel.SMS,), cause="suppressed", code="30003"), "carrier")
    assert await clinic.causes() == {"sms": "suppressed"}
    await clinic.inbound.reply(InboundSms("SM1", "+12125550101", "+15005550006", "STOP"))
    assert await clinic.causes() == {"sms": "opt_out", "voice": "opt_out"}
    async with clinic.leads.lead(lead) as unit:
        unit.append(f.Suppressed(channels=(Channel.SMS,), cause="suppressed", code="30003"), "carrier")
    assert await clinic.causes() == {"sms": "opt_out", "voice": "opt_out"}


async def test_a_lead_that_is_not_there_is_said_so(clinic: Clinic) -> None:
    with pytest.raises(NoSuchLead):
        await clinic.ledger.plan("00000000-0000-0000-0000-000000000000", datetime.now(UTC))
