"""A copy with a lead that cannot be read: all others are compared, and it is sent nothing before somebody looked."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
from sqlalchemy import select

from config.settings import Settings
from domain.facts import ExitReason
from domain.lead_state import State
from domain.restored import perhaps_mailed
from domain.touches import TouchStatus
from relay.rebuild import Progress
from stack import rebuild
from stack.database import Tools
from store import home
from store.inbound import Inbound
from store.restored import Compared
from store.tables import inbound_events
from tests.store.a_copy import Restored
from tests.store.test_rules import Clinic
from tests.store.test_stops_of_newer_leads import by_a_later_release, by_ours, unreadable

OTHER = "+12125550102"
Hides = Callable[[Clinic, str], Awaitable[None]]


async def hidden_and_other(copy: Restored, hides: Hides = by_a_later_release) -> tuple[str, str]:
    hidden = await copy.clinic.inquire()
    other = await copy.clinic.inquire("Ben", phone=OTHER, email="ben@example.com")
    await hides(copy.clinic, hidden)
    return hidden, other


@pytest.mark.parametrize(("hides", "failure"), [(by_a_later_release, "NewerFact"), (unreadable, "VaultError")])
async def test_a_lead_that_cannot_be_read_keeps_no_other_from_being_compared(
    copy: Restored, hides: Hides, failure: str
) -> None:
    hidden, other = await hidden_and_other(copy, hides)
    copy.carrier.has("SM1", "What does it cost?", inbound=True)
    copy.carrier.has("SM2", "Unknown here")
    copy.carrier.has("SM3", "Unknown here", to=OTHER)
    compared = await copy.compare()
    assert compared.unread == {hidden: failure}
    assert (compared.stopped, compared.strangers) == (1, 0)
    assert (compared.replies, compared.untaken) == (0, 1)
    assert (await copy.clinic.state(other)).state is State.PAUSED


async def test_nor_does_one_with_which_a_rule_fails(copy: Restored, monkeypatch: pytest.MonkeyPatch) -> None:
    failing, other = await copy.clinic.inquire(), await copy.clinic.inquire("Ben", phone=OTHER, email="ben@example.com")
    rule, ids = perhaps_mailed, [failing]

    def fails(state: Any, *given: Any, **named: Any) -> Any:
        if state.lead_id in ids:
            raise KeyError(state.lead_id)
        return rule(state, *given, **named)

    monkeypatch.setattr("store.restored.perhaps_mailed", fails)
    assert (await copy.compare()).unread == {failing: "KeyError"}
    assert not (await copy.reviews(other))


async def test_an_outage_is_no_leads_and_the_comparison_is_made_again(
    copy: Restored, monkeypatch: pytest.MonkeyPatch
) -> None:
    await copy.clinic.inquire()
    away = OSError("away")

    def fails(*_: Any, **__: Any) -> Any:
        raise away

    monkeypatch.setattr("store.restored.perhaps_mailed", fails)
    with pytest.raises(OSError, match="away"):
        await copy.compare()
    monkeypatch.undo()
    assert (await copy.compare()).unread == {}


async def test_its_question_keeps_no_later_stop_from_being_taken_in(copy: Restored) -> None:
    hidden, other = await hidden_and_other(copy)
    copy.carrier.has("SM1", "What does it cost?", inbound=True)
    copy.carrier.has("SM2", "STOP", inbound=True, to=OTHER)
    copy.carrier.has("SM3", "Stop", inbound=True)
    assert (await copy.compare()).stops == 2
    assert (await copy.clinic.state(other)).exit_reason is ExitReason.OPTED_OUT
    assert await copy.clinic.causes() == {"sms": "opt_out", "voice": "opt_out"}
    await by_ours(copy.clinic, hidden)
    async with copy.clinic.leads.lead(hidden) as unit:
        assert (unit.state.exit_reason, unit.state.pause) == (ExitReason.OPTED_OUT, None)
    assert await copy.would_send(hidden) == []


async def test_stops_come_first(copy: Restored, monkeypatch: pytest.MonkeyPatch) -> None:
    """What breaks it off in the middle leaves none of them behind."""
    lead = await copy.clinic.inquire()
    copy.carrier.has("SM1", "What does it cost?", inbound=True)
    copy.carrier.has("SM2", "STOP", inbound=True)
    reply = Inbound._replied

    async def away(*_: Any) -> None:
        raise OSError

    monkeypatch.setattr(Inbound, "_replied", away)
    with pytest.raises(OSError):
        await copy.compare()
    assert (await copy.clinic.state(lead)).exit_reason is ExitReason.OPTED_OUT
    monkeypatch.setattr(Inbound, "_replied", reply)
    compared = await copy.compare()
    assert (compared.stops, compared.replies) == (0, 1)
    assert (await copy.clinic.state(lead)).exit_reason is ExitReason.OPTED_OUT


async def test_once_it_can_be_read_it_is_stopped_for_review_before_anything_is_sent(copy: Restored) -> None:
    hidden, _ = await hidden_and_other(copy)
    await copy.compare()
    await copy.compare()
    await by_ours(copy.clinic, hidden)
    assert await copy.would_send(hidden) == []
    assert (await copy.clinic.state(hidden)).state is State.PAUSED
    (review,) = await copy.reviews(hidden)
    assert "could not be compared" in str(review.reason)
    async with copy.clinic.store.engine.connect() as conn:
        told = [record.fact.kind for record in await copy.clinic.leads.records(conn, hidden)]
    assert (told.count("paused"), told.count("task_opened")) == (1, 1)


async def test_nor_is_what_a_person_wrote_to_it_and_may_have_gone_out(copy: Restored) -> None:
    lead = await copy.clinic.inquire()
    waits = await copy.writes(lead, "We call at ten.")
    await by_a_later_release(copy.clinic, lead)
    assert list((await copy.compare(timedelta(minutes=1))).unread) == [lead]
    await by_ours(copy.clinic, lead)
    assert await copy.would_send(lead) == []
    assert (await copy.touch(waits)).status == TouchStatus.UNKNOWN


async def test_compared_again_once_it_can_be_read_it_has_one_review(copy: Restored) -> None:
    hidden, _ = await hidden_and_other(copy)
    copy.carrier.has("SM1", "Unknown here")
    assert list((await copy.compare()).unread) == [hidden]
    await by_ours(copy.clinic, hidden)
    assert (await copy.compare()).unread == {}
    assert len(await copy.reviews(hidden)) == 1


async def test_who_shares_the_number_of_a_text_that_nobody_has_is_stopped_too(copy: Restored) -> None:
    hidden = await copy.clinic.inquire(email=None)
    relative = await copy.clinic.inquire("Ben", email="ben@example.com")
    await by_a_later_release(copy.clinic, hidden)
    copy.carrier.has("SM1", "What does it cost?", inbound=True)
    compared = await copy.compare()
    assert (compared.untaken, set(compared.unread)) == (1, {hidden, relative})
    assert await copy.would_send(relative) == []
    assert (await copy.clinic.state(relative)).state is State.PAUSED


async def test_a_number_whose_only_lead_cannot_be_read_is_no_strangers(copy: Restored) -> None:
    hidden, _ = await hidden_and_other(copy)
    copy.carrier.has("SM1", "Unknown here")
    compared = await copy.compare()
    assert (list(compared.unread), compared.strangers) == ([hidden], 0)


async def test_a_stop_that_met_nobody_is_counted_once(copy: Restored) -> None:
    await copy.clinic.inquire()
    copy.carrier.has("SM1", "STOP", inbound=True, to=OTHER)
    copy.carrier.has("SM2", "And when?", inbound=True, to=OTHER)
    copy.carrier.has("SM3", "STOP", inbound=True)
    compared = await copy.compare()
    assert (compared.stops, compared.stops_of_nobody, compared.replies) == (1, 1, 0)
    assert (await copy.compare()).stops_of_nobody == 0
    async with copy.clinic.store.engine.connect() as conn:
        assert set((await conn.execute(select(inbound_events.c.event_id))).scalars()) == {
            "SM1:received",
            "SM3:received",
        }


async def test_the_restore_comes_to_its_end(copy: Restored, monkeypatch: pytest.MonkeyPatch) -> None:
    hidden, _ = await hidden_and_other(copy)
    copy.carrier.has("SM1", "What does it cost?", inbound=True)
    engine = copy.clinic.store.engine
    async with engine.begin() as conn:
        await home.put_back(conn)
    monkeypatch.setattr(rebuild, "TwilioLists", lambda _: copy.carrier)
    settings = Settings(_env_file=None, twilio_account_sid="AC" + "0" * 32, twilio_auth_token="0" * 32)
    tools = SimpleNamespace(engine=engine, leads=copy.clinic.leads, clock=copy.clock)
    compared = await rebuild._compare(settings, cast(Tools, tools))
    assert list(compared.unread) == [hidden]
    async with engine.connect() as conn:
        assert not await home.is_copy(conn)


def test_the_command_names_who_was_not_compared(copy: Restored, capsys: pytest.CaptureFixture[str]) -> None:
    compared = Compared(copy.noticed, untaken=1, stops_of_nobody=2, unread={"a1": "NewerFact", "b2": "KeyError"})
    options = rebuild.Options(restored=True)
    rebuild._tell(options, compared, Progress(3, 3, 3), 1.0)
    said = capsys.readouterr().out
    assert "2 leads could not be compared" in said
    assert "    KeyError: b2\n    NewerFact: a1\n" in said
    assert "2 stops came from numbers of no lead" in said
    assert "1 texts of their numbers were not taken in" in said
