"""A lead that a later release has written to cannot be read; who asks to be left alone is left alone all the same."""

import pytest
from sqlalchemy import update

from domain import facts as f
from domain.errors import NewerFact
from domain.ports import NoMoreMail
from domain.touches import Channel
from store import tables
from store.states import States
from tests.store.test_rules import DESK, Clinic
from tests.store.test_rules import clinic as clinic  # noqa: PLC0414 - the fixture
from tests.store.test_stops_and_locks import MAIL, stopped, wrote


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


async def test_a_stop_by_text_shuts_the_number_and_is_taken_in_whole_when_it_is_told_again(clinic: Clinic) -> None:
    lead = await clinic.inquire()
    await by_a_later_release(clinic, lead)
    with pytest.raises(NewerFact):
        await clinic.inbound.reply(wrote(1, "STOP"))
    assert await clinic.causes() == {"sms": "opt_out", "voice": "opt_out"}
    await by_ours(clinic, lead)
    assert await stopped(clinic, lead) == {Channel.SMS, Channel.VOICE}
    assert await clinic.inbound.reply(wrote(1, "STOP"))
    assert (await clinic.state(lead)).exit_reason is f.ExitReason.OPTED_OUT


async def test_an_end_of_mails_shuts_the_address(clinic: Clinic) -> None:
    lead = await clinic.inquire()
    await by_a_later_release(clinic, lead)
    with pytest.raises(NewerFact):
        await clinic.inbound.no_more_mail("sendgrid", NoMoreMail("e1", MAIL, "unsubscribed"))
    assert await clinic.causes() == {"email": "opt_out"}


async def test_any_other_text_stops_nothing(clinic: Clinic) -> None:
    await by_a_later_release(clinic, await clinic.inquire())
    with pytest.raises(NewerFact):
        await clinic.inbound.reply(wrote(1, "What does it cost?"))
    assert await clinic.causes() == {}


async def test_a_relative_who_cannot_be_read_keeps_nobody_from_stopping(clinic: Clinic) -> None:
    lead, relative = await clinic.inquire("Ada", email=None), await clinic.inquire("Ben", email="ben@example.com")
    await by_a_later_release(clinic, relative)
    await clinic.commands.opt_out(DESK, lead, tuple(Channel))
    assert (await clinic.state(lead)).exit_reason is f.ExitReason.OPTED_OUT
    await by_ours(clinic, relative)
    assert await stopped(clinic, relative) == {Channel.SMS, Channel.VOICE}
