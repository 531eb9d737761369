"""Mails after a copy was put back: nobody lists them, so what was due in the lost time is unknown."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from domain import facts as f
from domain.lead_state import State
from domain.ports import InboundSms
from domain.touches import Channel, TouchStatus
from tests.store.a_copy import NUMBER, Restored

THREE_HOURS = timedelta(hours=3)


async def test_a_mail_that_fell_due_is_unknown_and_the_cadence_goes_on(copy: Restored) -> None:
    lead = await copy.clinic.inquire()
    await copy.send_first(lead, sid="SM1")
    assert (await copy.compare()).mails == 0
    assert (await copy.compare(timedelta(hours=3))).mails == 1
    state = await copy.clinic.state(lead)
    mails = {t.step: t.status for t in state.touches.values() if t.channel is Channel.EMAIL}
    assert mails == {"bio": TouchStatus.UNKNOWN}
    assert state.state is State.ACTIVE
    assert [r.reason for r in await copy.reviews(lead)] == ["unknown whether email of step bio went out"]
    assert (await copy.compare(timedelta(hours=3))).mails == 0


async def test_a_mail_that_fell_due_before_a_review_stopped_its_lead_is_unknown(copy: Restored) -> None:
    """The pause begins with the comparison: it held nothing in the lost time."""
    lead = await copy.clinic.inquire()
    await copy.send_first(lead, sid="SM1")
    copy.carrier.has("SM1")
    copy.carrier.has("SM2", "What the copy knows nothing of")
    compared = await copy.compare_in(THREE_HOURS)
    assert (compared.stopped, compared.mails) == (1, 1)
    assert (await copy.clinic.state(lead)).state is State.PAUSED


@pytest.mark.parametrize(("wrote", "mails"), [(timedelta(minutes=30), 0), (timedelta(hours=2), 1)], ids=str)
async def test_what_a_lead_wrote_held_only_mails_that_were_due_after_it(
    copy: Restored, wrote: timedelta, mails: int
) -> None:
    """The mail is due an hour after the inquiry; the reply is taken in by the comparison."""
    lead = await copy.clinic.inquire()
    await copy.send_first(lead, sid="SM1")
    copy.carrier.has("SM9", "What does it cost?", inbound=True)
    copy.carrier.listed[0] = replace(copy.carrier.listed[0], at=datetime.now(UTC) + wrote)
    assert (await copy.compare_in(THREE_HOURS)).mails == mails
    assert (await copy.clinic.state(lead)).state is State.RESTING


async def test_a_pause_that_was_entered_anew_held_nothing_before(copy: Restored) -> None:
    lead = await copy.clinic.inquire()
    await copy.send_first(lead, sid="SM1")
    async with copy.in_time(THREE_HOURS).lead(lead) as unit:
        unit.append(f.Paused(reason="asked for it in the lost hour"), "desk")
    assert (await copy.compare_in(THREE_HOURS)).mails == 1


async def test_a_mail_of_a_lead_that_rested_was_not_sent(copy: Restored) -> None:
    lead = await copy.clinic.inquire()
    copy.carrier.has("SM1", "What does it cost?", inbound=True)
    assert (await copy.compare(timedelta(hours=3))).mails == 0
    assert (await copy.clinic.state(lead)).state is State.RESTING


async def test_a_mail_to_a_finished_lead_that_waited_is_unknown(copy: Restored) -> None:
    lead = await copy.clinic.inquire()
    await copy.clinic.inbound.reply(InboundSms("SM1:received", NUMBER, "+15005550006", "STOP", is_stop=True))
    touch = await copy.writes(lead, "We are sorry.", Channel.EMAIL)
    assert (await copy.compare(timedelta(minutes=1))).mails == 1
    assert (await copy.touch(touch)).status == "unknown"
