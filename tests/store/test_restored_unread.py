"""A copy with a lead that cannot be read: all others are compared, and it is sent nothing before somebody looked."""

import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
from sqlalchemy import delete, select, text

from config.settings import Settings
from domain import facts as f
from domain.facts import ExitReason
from domain.lead_state import State
from domain.perhaps_mailed import perhaps_mailed
from domain.touches import TouchStatus
from stack import rebuild
from stack.database import Tools
from stack.preflight import StartError
from store import home
from store.bookings import Booking
from store.home import Home
from store.inbound import Inbound
from store.restored import Compared, Comparison
from store.tables import inbound_events, outbox
from tests.store.a_copy import NOTICED_BEFORE, Restored, at_home
from tests.store.test_rules import DESK, Clinic
from tests.store.test_stops_of_newer_leads import by_a_later_release, by_ours, unreadable

OTHER = "+12125550102"
Hides = Callable[[Clinic, str], Awaitable[None]]


async def hidden_and_other(copy: Restored, hides: Hides = by_a_later_release) -> tuple[str, str]:
    hidden = await copy.clinic.inquire(email=None)
    other = await copy.clinic.inquire("Ben", phone=OTHER, email=None)
    await hides(copy.clinic, hidden)
    return hidden, other


async def go_on_without(copy: Restored, later: timedelta = timedelta(0)) -> Compared:
    known = Home(copy.noticed - timedelta(hours=1), worked=True, noticed_at=copy.noticed + later)
    comparison = Comparison(copy.clinic.leads, copy.clock, copy.carrier)
    compared = await comparison.compare(known)
    await comparison.owe_reviews(known, compared)
    return compared


async def finished(copy: Restored, lead: str) -> None:
    async with copy.clinic.leads.lead(lead) as unit:
        unit.append(f.Finished(exit_reason=ExitReason.EXHAUSTED), "system")


async def fails(*_: Any) -> bool:
    raise KeyError


async def woken(copy: Restored, lead: str) -> bool:
    o = outbox.c
    async with copy.clinic.store.engine.connect() as conn:
        return await conn.scalar(select(o.id).where(o.lead_id == lead, o.kind == "signal")) is not None


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
    failing, other = await copy.clinic.inquire(), await copy.clinic.inquire("Ben", phone=OTHER, email=None)
    rule, ids = perhaps_mailed, [failing]

    def fails(state: Any, *given: Any, **named: Any) -> Any:
        if state.lead_id in ids:
            raise KeyError(state.lead_id)
        return rule(state, *given, **named)

    monkeypatch.setattr("store.lost_mails.perhaps_mailed", fails)
    assert (await copy.compare()).unread == {failing: "KeyError"}
    assert not (await copy.reviews(other))


async def test_an_outage_is_no_leads_and_the_comparison_is_made_again(
    copy: Restored, monkeypatch: pytest.MonkeyPatch
) -> None:
    await copy.clinic.inquire()
    away = OSError("away")

    def fails(*_: Any, **__: Any) -> Any:
        raise away

    monkeypatch.setattr("store.lost_mails.perhaps_mailed", fails)
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
        assert unit.state.exit_reason is ExitReason.OPTED_OUT
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
    await go_on_without(copy)
    await go_on_without(copy)
    await by_ours(copy.clinic, hidden)
    assert await copy.would_send(hidden) == []
    assert (await copy.clinic.state(hidden)).state is State.PAUSED
    (review,) = await copy.reviews(hidden)
    assert "could not be compared" in str(review.reason)
    async with copy.clinic.store.engine.connect() as conn:
        told = [record.fact.kind for record in await copy.clinic.leads.records(conn, hidden)]
    assert (told.count("under_review"), told.count("task_opened")) == (1, 1)


async def test_nor_is_what_a_person_wrote_to_it_and_may_have_gone_out(copy: Restored) -> None:
    lead = await copy.clinic.inquire()
    waits = await copy.writes(lead, "We call at ten.")
    await by_a_later_release(copy.clinic, lead)
    assert list((await go_on_without(copy, timedelta(minutes=1))).unread) == [lead]
    await by_ours(copy.clinic, lead)
    assert await copy.would_send(lead) == []
    assert (await copy.touch(waits)).status == TouchStatus.UNKNOWN


async def test_compared_again_once_it_can_be_read_it_has_one_review(copy: Restored) -> None:
    hidden, _ = await hidden_and_other(copy)
    copy.carrier.has("SM1", "Unknown here")
    assert list((await copy.compare()).unread) == [hidden]
    await by_ours(copy.clinic, hidden)
    assert (await copy.compare()).unread == {}
    (review,) = await copy.reviews(hidden)
    assert "1 text(s)" in str(review.reason)


@pytest.mark.parametrize("ends", [False, True])
async def test_a_finished_lead_of_a_text_that_nobody_has_is_a_persons_work(copy: Restored, *, ends: bool) -> None:
    """Its workflow is over: nothing but a wake has it hear what it is owed."""
    lead = await copy.clinic.inquire()
    if ends:
        await finished(copy, lead)
    await by_a_later_release(copy.clinic, lead)
    async with copy.clinic.store.engine.begin() as conn:
        await conn.execute(delete(outbox))
    copy.carrier.has("SM1", "When can I come?", inbound=True)
    assert (await go_on_without(copy)).unread == {lead: "NewerFact"}
    assert await woken(copy, lead)
    await by_ours(copy.clinic, lead)
    assert await copy.would_send(lead) == []
    (review,) = await copy.reviews(lead)
    assert review.living
    assert "what it wrote" in str(review.reason)
    state = await copy.clinic.state(lead)
    assert state.exit_reason is not None if ends else state.state is State.PAUSED
    if ends:  # what it may have had, and wrote, nobody knows yet
        now = copy.clock.now()
        booked = Booking(f.BookingEvent.BOOKED, "A1", now, lead, starts_at=now + timedelta(days=3))
        assert (await copy.clinic.commands.booking(DESK, booked)).state == "paused"
        assert await copy.would_send(lead) == []


async def test_a_text_that_nobody_has_is_asked_of_beside_one_that_nobody_knows(
    copy: Restored, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A review of what went to the number knows nothing of what came from it: who has done that one has not read it."""
    both = [await copy.clinic.inquire(email=None), await copy.clinic.inquire("Ben", email=None)]
    copy.carrier.has("SM1", "Unknown here")
    copy.carrier.has("SM2", "When can I come?", inbound=True)
    monkeypatch.setattr(Inbound, "reply", fails)
    assert set((await go_on_without(copy)).unread) == set(both)
    for lead in both:
        assert await copy.would_send(lead) == []
        known, unread = sorted(await copy.reviews(lead), key=lambda task: "could not be" in str(task.reason))
        assert "1 text(s)" in str(known.reason)
        assert "what it wrote" in str(unread.reason)
        async with copy.clinic.leads.lead(lead) as unit:
            unit.append(f.TaskClosed(task_id=known.id, state=f.TaskState.DONE), "desk")
        state = await copy.clinic.state(lead)
        assert (state.state, state.tasks[unread.id].living) == (State.PAUSED, True)


async def test_who_shares_the_number_of_a_text_that_nobody_has_is_stopped_too(
    copy: Restored, monkeypatch: pytest.MonkeyPatch
) -> None:
    hidden = await copy.clinic.inquire(email=None)
    relative = await copy.clinic.inquire("Ben", email="ben@example.com")
    monkeypatch.setattr(Inbound, "reply", fails)
    copy.carrier.has("SM1", "What does it cost?", inbound=True)
    compared = await go_on_without(copy)
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


async def compared_by_the_command(
    copy: Restored, monkeypatch: pytest.MonkeyPatch, **options: bool
) -> tuple[Compared, bool]:
    """What came of it, and whether it was settled."""
    engine = copy.clinic.store.engine
    monkeypatch.setattr(rebuild, "TwilioLists", lambda _: copy.carrier)
    settings = Settings(_env_file=None, twilio_account_sid="AC" + "0" * 32, twilio_auth_token="0" * 32)
    tools = SimpleNamespace(engine=engine, leads=copy.clinic.leads, clock=copy.clock)
    compared = await rebuild._compare(settings, cast(Tools, tools), rebuild.Options(restored=True, **options))
    assert compared is not None
    async with engine.connect() as conn:
        return compared, not await home.is_copy(conn)


@pytest.fixture
async def noted(copy: Restored) -> Restored:
    async with copy.clinic.store.engine.begin() as conn:
        await home.put_back(conn)
        await conn.execute(text(NOTICED_BEFORE))
        await conn.execute(delete(outbox))
    return copy


@pytest.mark.parametrize("as_json", [False, True])
async def test_nothing_is_settled_nor_woken_while_somebody_is_not_compared(
    noted: Restored, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *, as_json: bool
) -> None:
    hidden, other = await hidden_and_other(noted)
    broken = await noted.clinic.inquire("Cid", phone="+12125550103", email="cid@example.com")
    await unreadable(noted.clinic, broken)
    noted.carrier.has("SM1", "What does it cost?", inbound=True)
    with pytest.raises(StartError) as refused:
        await compared_by_the_command(noted, monkeypatch, as_json=as_json)
    said = str(refused.value)
    assert refused.value.exit_code == 1
    assert f"NewerFact: {hidden}; VaultError: {broken}" in said
    assert "run release 0.7.0 or a later one" in said
    assert "1 texts were not taken in" in said
    assert "--without-unread" in said
    out = capsys.readouterr().out
    if as_json:
        assert json.loads(out)["compared"]["unread"] == {hidden: "NewerFact", broken: "VaultError"}
    assert hidden not in out or as_json
    assert not [lead for lead in (hidden, broken, other) if await woken(noted, lead)]
    async with noted.clinic.store.engine.connect() as conn:
        assert await home.is_copy(conn)


async def test_once_it_is_mended_the_comparison_is_made_again_and_all_is_taken_in(
    noted: Restored, monkeypatch: pytest.MonkeyPatch
) -> None:
    hidden, _ = await hidden_and_other(noted)
    noted.carrier.has("SM1", "What does it cost?", inbound=True)
    with pytest.raises(StartError):
        await compared_by_the_command(noted, monkeypatch)
    await by_ours(noted.clinic, hidden)
    compared, settled = await compared_by_the_command(noted, monkeypatch)
    assert (compared.replies, compared.untaken, compared.unread, settled) == (1, 0, {}, True)
    assert await noted.reviews(hidden) == []


async def test_it_comes_to_its_end_without_them_where_a_person_says_so(
    noted: Restored, monkeypatch: pytest.MonkeyPatch
) -> None:
    hidden, other = await hidden_and_other(noted)
    noted.carrier.has("SM1", "What does it cost?", inbound=True)
    compared, settled = await compared_by_the_command(noted, monkeypatch, without_unread=True)
    assert (list(compared.unread), settled) == ([hidden], True)
    assert [await woken(noted, lead) for lead in (hidden, other)] == [True, True]
    await by_ours(noted.clinic, hidden)
    assert await noted.would_send(hidden) == []
    assert len(await noted.reviews(hidden)) == 1


async def test_of_two_runs_the_second_says_that_the_first_has_settled_it(
    noted: Restored, monkeypatch: pytest.MonkeyPatch
) -> None:
    compare = Comparison.compare

    async def beside(self: Comparison, known: Home) -> Compared:
        async with noted.clinic.store.engine.begin() as conn:
            await at_home(conn)
        return await compare(self, known)

    monkeypatch.setattr(Comparison, "compare", beside)
    with pytest.raises(StartError, match="has compared it meanwhile"):
        await compared_by_the_command(noted, monkeypatch)
    async with noted.clinic.store.engine.connect() as conn:
        assert await conn.scalar(select(outbox.c.id)) is None


async def test_a_text_that_is_nobodys_and_fails_is_not_passed_over(
    noted: Restored, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Inbound, "reply", fails)
    noted.carrier.has("SM1", "What does it cost?", inbound=True)
    with pytest.raises(StartError, match=r"0 leads could not be compared and 1 texts were not taken in"):
        await compared_by_the_command(noted, monkeypatch)


def test_the_command_names_who_was_not_compared(copy: Restored, capsys: pytest.CaptureFixture[str]) -> None:
    compared = Compared(copy.noticed, untaken=1, stops_of_nobody=2, unread={"a1": "NewerFact", "b2": "KeyError"})
    rebuild._tell_compared(compared)
    rebuild._tell_unread(compared)
    said = capsys.readouterr().out
    assert "2 leads could not be compared" in said
    assert "and is stopped for it, a finished one as soon as" in said
    assert "    KeyError: b2\n    NewerFact: a1\n" in said
    assert "2 stops came from numbers of no lead" in said
    assert "1 texts were not taken in" in said
