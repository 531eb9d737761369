"""A lead that a later release has written to cannot be read; who asks to be left alone is left alone all the same."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy import insert, select, update

from api import unsubscribe
from domain import facts as f
from domain.access import Actor, Role
from domain.errors import NewerFact, NotFound
from domain.ports import NoMoreMail
from domain.touches import Channel
from store import tables
from store.bare_stops import lock_own
from store.lead_unit import Leads
from store.states import States
from tests.store.test_one_person import wrong_number
from tests.store.test_rules import DESK, Clinic
from tests.store.test_rules import clinic as clinic  # noqa: PLC0414 - the fixture
from tests.store.test_stops_and_locks import MAIL, stopped, wrote


async def audited(clinic: Clinic) -> list[tuple[str, str, str, str]]:
    a = tables.audit.c
    async with clinic.store.engine.connect() as conn:
        rows = await conn.execute(select(a.lead_id, a.actor_name, a.action, a.detail))
        return [(str(lead), who, action, detail) for lead, who, action, detail in rows]


async def by_a_later_release(clinic: Clinic, lead: str) -> None:
    async with clinic.leads.lead(lead) as unit:
        unit.append(f.Noted(text="by a later release"), "desk")
    await _written(clinic, lead, 2)


async def by_ours(clinic: Clinic, lead: str) -> None:
    await _written(clinic, lead, 1)


async def _written(clinic: Clinic, lead: str, version: int) -> None:
    table = tables.facts
    async with clinic.store.engine.begin() as conn:
        note = update(table).where(table.c.lead_id == lead, table.c.kind == "note")
        await conn.execute(note.values(version=version, release="0.7.0"))
    clinic.leads.states = States()  # as in another process


async def unreadable(clinic: Clinic, lead: str) -> None:
    """As where the key is gone that sealed it."""
    table = tables.facts
    async with clinic.store.engine.begin() as conn:
        await conn.execute(update(table).where(table.c.lead_id == lead, table.c.no == 1).values(data=b"k9.gone"))
    clinic.leads.states = States()


async def owed(clinic: Clinic, lead: str) -> bool:
    async with clinic.store.engine.connect() as conn:
        return bool(await conn.scalar(select(tables.leads.c.stops_owed).where(tables.leads.c.id == lead)))


async def waits_to_hear(clinic: Clinic, lead: str) -> bool:
    o = tables.outbox.c
    async with clinic.store.engine.connect() as conn:
        return await conn.scalar(select(o.id).where(o.lead_id == lead, o.signal == "lead_opted_out")) is not None


async def test_a_stop_by_text_shuts_the_number_and_is_told_to_the_lead_once_it_can_be_read(clinic: Clinic) -> None:
    lead = await clinic.inquire()
    await by_a_later_release(clinic, lead)
    assert await clinic.inbound.reply(wrote(1, "STOP"))
    assert not await clinic.inbound.reply(wrote(1, "STOP")), "it is kept"
    assert await clinic.causes() == {"sms": "opt_out", "voice": "opt_out"}
    assert (lead, "lead", "lead_opted_out", "addresses") in await audited(clinic)
    await by_ours(clinic, lead)
    assert await owed(clinic, lead)
    assert await waits_to_hear(clinic, lead), "its workflow asks until somebody can read it"
    async with clinic.leads.lead(lead) as unit:  # whatever opens it
        assert unit.state.exit_reason is f.ExitReason.OPTED_OUT
        assert unit.signal is not None, "its workflow hears of it"
    assert await stopped(clinic, lead) == {Channel.SMS, Channel.VOICE}
    assert not await owed(clinic, lead)


async def test_an_end_of_mails_shuts_the_address(clinic: Clinic) -> None:
    lead = await clinic.inquire()
    await by_a_later_release(clinic, lead)
    assert await clinic.inbound.no_more_mail("sendgrid", NoMoreMail("e1", MAIL, "unsubscribed"))
    assert await clinic.causes() == {"email": "opt_out"}
    await by_ours(clinic, lead)
    async with clinic.leads.lead(lead) as unit:
        assert unit.state.opted_out == {Channel.EMAIL}


@pytest.mark.parametrize("hides", [by_a_later_release, unreadable])
@pytest.mark.parametrize("newest", [0, 1])
async def test_who_shares_a_number_with_one_who_cannot_be_read_is_left_alone(
    clinic: Clinic, hides: Callable[[Clinic, str], Awaitable[None]], newest: int
) -> None:
    leads = [await clinic.inquire("Ada", email=None), await clinic.inquire("Ben", email="ben@example.com")]
    hidden, other = leads[newest], leads[1 - newest]
    await hides(clinic, hidden)
    assert await clinic.inbound.reply(wrote(1, "STOP"))
    assert await clinic.causes() == {"sms": "opt_out", "voice": "opt_out"}
    assert (await clinic.state(other)).exit_reason is f.ExitReason.OPTED_OUT
    assert [await owed(clinic, lead) for lead in (hidden, other)] == [True, False]


async def test_the_relatives_of_one_who_cannot_be_read_hear_of_its_stop(clinic: Clinic) -> None:
    lead, relative = await clinic.inquire("Ada", email=None), await clinic.inquire("Ben", email="ben@example.com")
    await by_a_later_release(clinic, lead)
    with pytest.raises(NewerFact):
        await clinic.commands.opt_out(DESK, lead, (Channel.SMS,))
    assert (await clinic.state(relative)).exit_reason is f.ExitReason.OPTED_OUT
    assert [await owed(clinic, one) for one in (lead, relative)] == [True, False]


async def test_what_a_carrier_says_of_a_number_is_kept_beside_a_lead_that_cannot_be_read(clinic: Clinic) -> None:
    lead, relative = await clinic.inquire("Ada", email=None), await clinic.inquire("Ben", email="ben@example.com")
    await by_a_later_release(clinic, relative)
    async with clinic.leads.lead(lead) as unit:
        unit.append(f.Suppressed(channels=(Channel.SMS,), cause="landline", code="30006"), "carrier")
    await by_ours(clinic, relative)
    async with clinic.leads.lead(relative) as unit:
        assert unit.state.closed == {Channel.SMS}
    async with clinic.store.engine.connect() as conn:
        told = [r.fact for r in await clinic.leads.records(conn, relative) if isinstance(r.fact, f.Suppressed)]
    assert told == [f.Suppressed(channels=(Channel.SMS,), cause="shared_address", code="30006")]


async def test_an_error_of_the_database_is_nobodys(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    lead = await clinic.inquire()

    async def away(*_: object, **__: object) -> None:
        raise OSError

    monkeypatch.setattr(Leads, "_write", away)
    with pytest.raises(OSError):
        await clinic.inbound.reply(wrote(1, "STOP"))
    monkeypatch.undo()
    assert not await owed(clinic, lead)
    assert await clinic.inbound.reply(wrote(1, "STOP")), "told again, it is taken"


async def test_a_stop_that_a_person_enters_shuts_the_number(clinic: Clinic) -> None:
    lead = await clinic.inquire()
    await by_a_later_release(clinic, lead)
    with pytest.raises(NewerFact):
        await clinic.commands.opt_out(DESK, lead, (Channel.SMS,))
    assert await clinic.causes() == {"sms": "opt_out", "voice": "opt_out"}
    assert (lead, "desk", "lead_opted_out", "addresses") in await audited(clinic)
    await by_ours(clinic, lead)
    assert (await clinic.state(lead)).exit_reason is None, "told again, it is taken in whole"
    await clinic.commands.opt_out(DESK, lead, (Channel.SMS,))
    assert (await clinic.state(lead)).exit_reason is f.ExitReason.OPTED_OUT


async def test_a_stop_that_a_person_enters_leaves_a_mistyped_number_to_its_owner(clinic: Clinic) -> None:
    lead = await clinic.inquire()
    await wrong_number(clinic, lead)
    await by_a_later_release(clinic, lead)
    with pytest.raises(NewerFact):
        await clinic.commands.opt_out(DESK, lead, None)
    assert await clinic.causes() == {"email": "opt_out"}


async def test_who_may_not_see_a_lead_shuts_nothing_of_it(clinic: Clinic) -> None:
    lead = await clinic.inquire()
    await by_a_later_release(clinic, lead)
    with pytest.raises(NotFound):
        await clinic.commands.opt_out(Actor("elsewhere", "elsewhere", Role.COORDINATOR, ("north",)), lead, None)
    assert await clinic.causes() == {}
    assert not [row for row in await audited(clinic) if "elsewhere" in row]
    with pytest.raises(NewerFact):
        await clinic.commands.opt_out(Actor("here", "here", Role.COORDINATOR, ("north", "main")), lead, None)
    assert await clinic.causes() == dict.fromkeys(Channel, "opt_out")


async def test_the_link_in_a_mail_shuts_its_address(clinic: Clinic) -> None:
    lead = await clinic.inquire()
    await by_a_later_release(clinic, lead)
    await unsubscribe.opt_out(clinic.leads, lead)
    assert await clinic.causes() == {"email": "opt_out"}
    assert (lead, "lead", "lead_opted_out", "addresses") in await audited(clinic)
    await by_ours(clinic, lead)
    async with clinic.leads.lead(lead) as unit:
        assert unit.state.opted_out == {Channel.EMAIL}


async def test_an_address_that_comes_while_the_others_are_waited_for_is_locked_too(clinic: Clinic) -> None:
    lead, table, link = await clinic.inquire(email=None), tables.addresses, tables.lead_addresses
    mail = {"id": str(uuid.uuid4()), "kind": "email", "value": MAIL, "blind": b"mail"}

    async def lock() -> set[str]:
        async with clinic.store.engine.begin() as conn:
            return set((await lock_own(conn, lead, tuple(Channel))).values())

    async with clinic.store.engine.begin() as conn:
        await conn.execute(select(table.c.id).with_for_update())
        locking = asyncio.create_task(lock())
        await clinic.waits_for_a_lock()
        await conn.execute(insert(table).values(clinic.store.vault.seal_row(table, mail)))
        await conn.execute(insert(link).values(lead_id=lead, address_id=mail["id"]))
    assert await locking == {"phone", "email"}


async def test_any_other_text_stops_nothing(clinic: Clinic) -> None:
    await by_a_later_release(clinic, await clinic.inquire())
    with pytest.raises(NewerFact):
        await clinic.inbound.reply(wrote(1, "What does it cost?"))
    assert await clinic.causes() == {}


async def test_a_stop_that_reaches_a_relative_who_cannot_be_read_waits_for_it(clinic: Clinic) -> None:
    lead, relative = await clinic.inquire("Ada", email=None), await clinic.inquire("Ben", email="ben@example.com")
    await by_a_later_release(clinic, relative)
    await clinic.commands.opt_out(DESK, lead, tuple(Channel))
    assert await clinic.causes() == {"sms": "opt_out", "voice": "opt_out"}
    await by_ours(clinic, relative)
    async with clinic.leads.lead(relative):
        pass
    for one in (lead, relative):
        assert (await clinic.state(one)).exit_reason is f.ExitReason.OPTED_OUT
