"""Stops on addresses, whose they are and in which order they lock; and that every change has its audit row."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import select, text

from domain import facts as f
from domain.errors import InvalidInput
from domain.ledger import Claim
from domain.ports import Accepted, InboundSms, NoMoreMail, Sms, TouchUpdate
from domain.touches import Channel, Disposition, TouchStatus
from store import outbox, tables
from store.engine import AWAY
from tests.store.test_rules import DESK, Clinic
from tests.store.test_rules import clinic as clinic  # noqa: PLC0414 - the fixture

PHONE, MAIL = "+12125550101", "ada@example.com"
OURS = "+15005550006"


def wrote(number: int, body: str, phone: str = PHONE) -> InboundSms:
    return InboundSms(f"SM{number}", phone, OURS, body)


async def stopped(clinic: Clinic, lead_id: str) -> frozenset[Channel]:
    """The channels closed on the lead's addresses, as the gate sees them."""
    async with clinic.leads.lead(lead_id) as unit:
        return unit.closed


async def confirmations(clinic: Clinic, *lead_ids: str) -> int:
    states = [await clinic.state(lead_id) for lead_id in lead_ids]
    return sum(t.step == "stop" for state in states for t in state.touches.values())


async def test_a_stop_is_taken_though_somebody_who_froze_holds_its_lead(clinic: Clinic) -> None:
    """Or whose machine vanished in the middle of a transaction, of which the network says nothing for hours."""
    lead = await clinic.inquire()
    with pytest.raises(AWAY):
        async with clinic.leads.lead(lead) as frozen:
            await clinic.inbound.reply(wrote(1, "STOP"))
            frozen.append(f.Noted(text="thawed"), "desk")
    assert await stopped(clinic, lead) >= {Channel.SMS, Channel.VOICE}


async def test_what_was_waited_for_a_lead_does_not_count_among_the_seconds_it_is_held(clinic: Clinic) -> None:
    lead = await clinic.inquire()
    async with clinic.store.engine.begin() as conn:
        await conn.execute(text("SET LOCAL transaction_timeout = '2s'"))
        async with clinic.leads.within(conn, lead) as unit:
            unit.append(f.Noted(text="held for a while"), "desk")
            assert await conn.scalar(text("SHOW transaction_timeout")) == "8s"
            await conn.execute(text("SELECT pg_sleep(2.5)"))


async def test_entries_that_somebody_who_froze_would_deliver_are_delivered_by_another(clinic: Clinic) -> None:
    await clinic.inquire()
    async with clinic.store.engine.connect() as frozen:
        [held] = await outbox.take(frozen, 10)
        async with asyncio.timeout(60):
            while True:
                async with clinic.store.engine.begin() as conn:
                    if found := await outbox.take(conn, 10):
                        break
        assert [one.id for one in found] == [held.id]
        with pytest.raises(AWAY):
            await outbox.done(frozen, [held.id])
        await frozen.invalidate()


async def test_a_stop_holds_for_an_address_that_was_given_after_the_leads_own_stop(clinic: Clinic) -> None:
    lead = await clinic.inquire(phone=None)
    async with clinic.leads.lead(lead) as unit:  # expected at the clinic: it lives on after a stop
        booked = {"event": f.BookingEvent.BOOKED, "appointment_id": "A", "starts_at": unit.now.replace(year=2027)}
        unit.append(f.AppointmentChanged(**booked, occurred_at=unit.now), "desk")
    await clinic.commands.opt_out(DESK, lead, None)
    assert await clinic.inquire() == lead  # with a phone this time
    assert await stopped(clinic, lead) == {Channel.EMAIL}
    await clinic.inbound.reply(wrote(1, "STOP"))
    assert await stopped(clinic, lead) == set(Channel)
    later = await clinic.inquire("Ben", email=None)
    assert (await clinic.state(later)).closed >= {Channel.SMS, Channel.VOICE}


async def test_a_number_hears_its_confirmation_once(clinic: Clinic) -> None:
    first = await clinic.inquire(email=None)
    await clinic.inbound.reply(wrote(1, "STOP"))
    again = await clinic.inquire(email=None)
    assert again != first
    await clinic.inbound.reply(wrote(2, "STOP"))
    assert (await clinic.state(again)).opted_out >= {Channel.SMS, Channel.VOICE}
    assert await confirmations(clinic, first, again) == 1


async def test_a_number_that_is_wrong_for_one_lead_is_still_its_owners(clinic: Clinic) -> None:
    owner, mistyped = await clinic.inquire("Ben", email="ben@example.com"), await clinic.inquire()
    async with clinic.leads.lead(mistyped) as unit:
        unit.append(f.TaskOpened(task_id="00000000-0000-0000-0000-000000000001", task_kind=f.TaskKind.CALL,
                                 due_at=unit.now, enrollment=1, step="call1", part="call"), "system")  # fmt: skip
    done: dict[str, Any] = {"disposition": Disposition.ANSWERED, "outcome": f.Outcome.WRONG_NUMBER}
    await clinic.commands.claim_task(DESK, "00000000-0000-0000-0000-000000000001")
    await clinic.commands.complete_task(DESK, "00000000-0000-0000-0000-000000000001", **done)
    assert await stopped(clinic, mistyped) >= {Channel.SMS, Channel.VOICE}
    assert await stopped(clinic, owner) == set()
    assert (await clinic.state(owner)).exit_reason is None
    assert not (await clinic.state(await clinic.inquire("Cleo", email=None))).closed
    # the one who mistyped it again is not
    await clinic.commands.disqualify(DESK, mistyped, "x")
    assert (await clinic.state(await clinic.inquire(email=None))).closed == {Channel.SMS, Channel.VOICE}


async def test_a_reply_is_asked_about_where_finished_relatives_share_the_number(clinic: Clinic) -> None:
    ra, zo = await clinic.inquire("Ra", email=None), await clinic.inquire("Zo", email=None)
    await clinic.commands.disqualify(DESK, ra, "x")
    await clinic.inbound.reply(wrote(1, "Tuesday"))
    (review,) = (await clinic.state(zo)).tasks.values()
    assert (review.kind, set(review.candidates)) == (f.TaskKind.REVIEW, {ra, zo})
    with pytest.raises(InvalidInput, match="whose reply"):
        await clinic.commands.complete_task(DESK, review.id, outcome=f.Outcome.NOT_NOW, lead_id=ra)
    await clinic.commands.complete_task(DESK, review.id, lead_id=ra)
    state = await clinic.state(ra)
    assert [t.kind for t in state.tasks.values() if t.living] == [f.TaskKind.REPLY]
    assert review.id not in state.unanswered, "finished, it was told all the same"
    rest = (await clinic.state(zo)).rest
    assert rest is not None
    assert not rest.waits, "over at the next plan"


async def test_somebody_who_asked_again_after_the_end_is_one_person(clinic: Clinic) -> None:
    old = await clinic.inquire(email=None)
    await clinic.commands.disqualify(DESK, old, "x")
    new = await clinic.inquire(email=None)
    await clinic.inbound.reply(wrote(1, "It is me"))
    assert [t.kind for t in (await clinic.state(new)).tasks.values()] == [f.TaskKind.REPLY]
    assert not (await clinic.state(old)).tasks


@pytest.mark.parametrize("turn", range(6))
async def test_stops_by_text_and_by_mail_of_one_family_do_not_lock_each_other_out(clinic: Clinic, turn: int) -> None:
    phone, mail = f"+1212555{1300 + turn}", f"family{turn}@example.com"
    ada = await clinic.inquire("Ada", phone=phone, email=mail)
    ben = await clinic.inquire("Ben", phone=phone, email=mail)
    zed = await clinic.inquire("Zed", phone=phone, email=None)
    async with clinic.store.engine.connect() as conn, conn.begin():  # both have begun before either can go on
        await conn.execute(text("SELECT 1 FROM leads WHERE id = :id FOR UPDATE"), {"id": min(ada, ben)})
        by_text = asyncio.create_task(clinic.inbound.reply(wrote(turn, "STOP", phone)))
        await clinic.waits_for_a_lock()
        by_mail = asyncio.create_task(clinic.inbound.no_more_mail("sendgrid", NoMoreMail(f"ev{turn}", mail, "x")))
        await clinic.waits_for_a_lock()
    assert await by_text
    assert await by_mail
    for lead in (ada, ben):
        assert await stopped(clinic, lead) == set(Channel)
    assert await stopped(clinic, zed) == {Channel.SMS, Channel.VOICE}


async def test_every_change_has_its_audit_row_in_its_own_transaction(clinic: Clinic) -> None:
    lead = await clinic.inquire()
    relative = await clinic.inquire("Ben", email=None)
    ref = await clinic.next_touch(lead)
    await clinic.ledger.claim(ref, datetime.now(UTC))
    await clinic.ledger.settle(ref, Accepted("SM9"), datetime.now(UTC))
    await clinic.news.update(TouchUpdate(ref.touch_id, "SM9", TouchStatus.DELIVERED))
    await clinic.inbound.reply(wrote(1, "Who are you?"))
    await clinic.commands.note(DESK, lead, "a note")
    await clinic.inbound.reply(wrote(2, "STOP"))
    unaudited = text(
        "SELECT f.lead_id, f.no, f.kind FROM facts f WHERE NOT EXISTS"
        " (SELECT 1 FROM audit a WHERE a.lead_id = f.lead_id AND a.xmin = f.xmin)"
    )
    async with clinic.store.engine.connect() as conn:
        assert (await conn.execute(unaudited)).all() == []
        rows = (await conn.execute(select(tables.audit).order_by(tables.audit.c.id))).mappings().all()
    told = {(str(r["lead_id"]), r["actor_name"], r["action"]) for r in rows}
    assert (lead, "desk", "note_added") in told
    assert (lead, "carrier", "lead_changed") in told
    assert {action for _, who, action in told if who == "lead"} == {"lead_replied", "lead_opted_out"}
    assert {row["detail"] for row in rows if row["action"] == "lead_changed"} >= {"touch"}, "kinds of facts, no words"
    assert (relative, "system", "lead_changed") in told or (lead, "system", "lead_changed") in told


async def test_all_living_leads_can_be_woken(clinic: Clinic) -> None:
    living, over = await clinic.inquire(), await clinic.inquire("Ben", phone="+12125550102", email=None)
    await clinic.commands.opt_out(DESK, over, None)
    async with clinic.store.engine.begin() as conn:
        await conn.execute(tables.outbox.delete())
        await outbox.wake_all(conn, "staff_acted")
        entries = await outbox.take(conn, 10)
    last = (await clinic.state(living)).last_no
    assert [(e.lead_id, e.signal, e.fact_no) for e in entries] == [(living, "staff_acted", last)]


async def test_a_text_says_how_long_it_may_wait_at_the_carrier(clinic: Clinic) -> None:
    ref = await clinic.next_touch(await clinic.inquire())
    claim = await clinic.ledger.claim(ref, datetime.now(UTC))
    assert isinstance(claim, Claim)
    assert isinstance(claim.message, Sms)
    assert claim.message.valid_for is not None
    assert 10.9 * 3600 < claim.message.valid_for <= 11 * 3600  # ten in the morning, and the window closes at nine
