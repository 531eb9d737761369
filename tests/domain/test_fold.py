"""The state is the fold of the facts: idempotent, the same in one go or one by one, from the database's text too."""

from datetime import datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from domain import facts as f
from domain.fold import apply, fold
from domain.journal import Journal
from domain.lead_state import LeadState
from domain.stored_fact import StoredFact
from domain.touches import Channel, Disposition, TouchStatus
from tests.domain.lead_story import Story, ny
from tests.domain.sequences import BOOK

AT = ny("2026-06-02 10:00")

EVERY: tuple[f.Fact, ...] = (
    f.Inquired(source="web_form", zones=("America/New_York",), facility="north", phone=True, email=False),
    f.Inquired(source="csv", zones=(), phone=True, email=True, stopped=(Channel.SMS, Channel.VOICE), repeat=True),
    f.Consented(channel=Channel.SMS, purpose="care"),
    f.Enrolled(enrollment=2, sequence="booked", version=1, cause="booked", appointment_id="A"),
    f.TouchChanged(
        touch_id="t", enrollment=1, step="confirm", part="sms", channel=Channel.SMS, status=TouchStatus.DELAYED,
        due_at=AT, until=AT + timedelta(hours=1), rule="window.federal", reason="night", code="1", task_id="k",
    ),
    f.TouchChanged(touch_id="t", enrollment=1, step="w", part="wait", channel=None, status=TouchStatus.SKIPPED),
    f.Replied(message_id="m", channel=Channel.SMS, task_id="k", candidates=("a", "b")),
    f.TaskOpened(task_id="k", task_kind=f.TaskKind.CALL, due_at=AT, claim_by=AT + timedelta(minutes=1), step="call1"),
    f.TaskClaimed(task_id="k", by_id="1", by_name="Coordinator", lease_until=AT),
    f.TaskReturned(task_id="k", escalated=True, claim_by=AT),
    f.TaskEscalated(task_id="k"),
    f.TaskClosed(
        task_id="k", state=f.TaskState.DONE, disposition=Disposition.ANSWERED, outcome=f.Outcome.CALL_BACK,
        callback_at=AT, notes="tomorrow", reason="r",
    ),
    f.CallEnded(task_id="k", touch_id="t", disposition=Disposition.BUSY),
    f.AppointmentChanged(event=f.BookingEvent.BOOKED, appointment_id="A", starts_at=AT, facility="n", occurred_at=AT),
    f.OptedOut(channels=(Channel.EMAIL,), cause="link"),
    f.Suppressed(channels=(Channel.VOICE,), cause="wrong_number", code="21211"),
    f.Rested(cause="the lead wrote", task_id="k", until=AT, resume_after=0.5),
    f.Paused(reason="holiday", until=AT),
    f.UnderReview(task_id="x"),
    f.Resumed(cause="c", of="pause"),
    f.Resumed(cause="c", mode="catch_up", slots=(f.Slot(step="link", part="sms", at=AT),)),
    f.StepSkipped(enrollment=1, step="call1"),
    f.Noted(text="n"),
    f.Assigned(key_id="1", name="Coordinator"),
    f.Disqualified(reason="r"),
    f.Finished(exit_reason=f.ExitReason.MERGED),
)  # fmt: skip


@pytest.mark.parametrize("fact", EVERY, ids=lambda x: x.kind)
def test_a_fact_comes_back_from_its_text_as_it_was(fact: f.Fact) -> None:
    assert StoredFact.of(fact).read() == fact


def test_every_kind_of_fact_is_tried() -> None:
    assert {type(x) for x in EVERY} == set(f.Fact.__origin__.__args__)  # type: ignore[attr-defined]


@pytest.mark.parametrize("fact", EVERY, ids=lambda x: x.kind)
def test_every_fact_folds_into_any_state_and_only_once(fact: f.Fact) -> None:
    empty = LeadState("lead-1")
    lived = Story(AT).run(timedelta(hours=3)).state
    for state in (empty, lived):
        record = f.Recorded(state.last_no + 1, AT, "test", fact)
        after = apply(state, record)
        assert after.last_no == record.no
        assert apply(after, record) is after
        assert after.last_at is not None
        assert after.last_at >= (state.last_at or AT)


@pytest.mark.parametrize("fact", EVERY, ids=lambda x: x.kind)
def test_every_fact_may_follow_any_other_in_a_journal(fact: f.Fact) -> None:
    """Whatever order a program appends in, the journal ends and still decides."""
    for other in EVERY:
        story = Story(AT).run(timedelta(hours=3))
        story.tell(other)
        story.tell(fact)
        story.decide()
        assert fold("lead-1", story.records) == story.state


def test_an_unknown_or_broken_fact_is_refused() -> None:
    for text in ('{"kind": "nonsense"}', '{"kind": "note"}', '{"kind": "note", "text": "a", "more": 1}', "{}"):
        with pytest.raises(ValidationError):
            StoredFact("note", 1, None, text).read()
    with pytest.raises(ValidationError):
        f.Paused(reason="x", until=datetime(2026, 6, 2))  # noqa: DTZ001 - a time without its zone


def test_words_of_a_person_are_in_no_repr() -> None:
    assert "secret" not in repr(f.Noted(text="secret"))
    assert "secret" not in repr(f.Disqualified(reason="secret"))
    assert "secret" not in repr(f.Paused(reason="secret"))
    assert "secret" not in repr(f.TaskClosed(task_id="k", state=f.TaskState.DONE, notes="secret"))


def a_long_life() -> Story:
    story = Story(ny("2026-03-02 22:00")).run("2026-03-03 08:05")
    story.claims(story.call("call1"))
    story.call_ends(story.call("call1"), Disposition.ANSWERED)
    story.completes(story.call("call1"), f.Outcome.REACHED)
    story.run("2026-03-03 12:00")
    story.replies()
    story.run("2026-03-03 13:00")
    story.answers()
    story.tell(f.Paused(reason="x", until=ny("2026-03-06 13:00")))
    story.run("2026-03-07 13:00")
    story.scheduler_says("booked", ny("2026-03-20 10:00"))
    story.run("2026-03-18 10:00")
    story.scheduler_says("cancelled")
    story.run("2026-03-18 11:00")
    story.provider_says("sorry", "sms", TouchStatus.DELIVERED)
    story.opts_out(confirmed=True)
    return story.run("2026-03-19 10:00")


def test_one_by_one_and_all_at_once_and_from_text_are_the_same() -> None:
    story = a_long_life()
    stored = [f.Recorded(r.no, r.at, r.by, StoredFact.of(r.fact).read()) for r in story.records]
    assert fold("lead-1", story.records) == story.state
    assert fold("lead-1", stored) == story.state
    doubled = [r for r in stored for _ in range(2)]
    assert fold("lead-1", doubled) == story.state
    state = LeadState("lead-1")
    for record in stored:  # an old one that comes again in between
        state = apply(apply(state, record), stored[0])
    assert state == story.state


def test_numbers_count_from_one_without_a_gap_and_time_never_goes_back() -> None:
    records = a_long_life().records
    assert [r.no for r in records] == list(range(1, len(records) + 1))
    assert all(a.at <= b.at for a, b in pairwise(records))


def test_the_zone_in_which_a_time_is_said_changes_nothing() -> None:
    """A database session or a facility says instants in its own zone; 24 h stay 24 h over a change of clocks."""
    zone = ZoneInfo("America/New_York")
    story = a_long_life()
    said = [f.Recorded(r.no, r.at.astimezone(zone), r.by, r.fact) for r in story.records]
    assert fold("lead-1", said) == story.state
    assert fold("lead-1", said).enrollment.started_at.tzinfo is not zone  # type: ignore[union-attr]
    fact = f.AppointmentChanged(
        event=f.BookingEvent.BOOKED, appointment_id="A", starts_at=AT.astimezone(zone), occurred_at=AT
    )
    assert fact.starts_at is not None
    assert fact.starts_at.utcoffset() == timedelta(0)


def test_now_is_never_before_the_newest_fact() -> None:
    story = Story(AT).run(timedelta(hours=5))
    journal = Journal(story.state, BOOK)
    record = journal.append(f.Noted(text="n"), AT, "late worker")
    assert record.at == story.state.last_at
    journal.decide(AT - timedelta(days=1))  # a worker whose clock is behind decides as of the newest fact
    assert all(r.at >= record.at for r in journal.appended)


def test_a_state_is_never_patched_in_place() -> None:
    story = Story(AT)
    before = story.state
    kept = (before.touches, dict(before.touches), before.tasks, dict(before.tasks))
    story.run(timedelta(days=10))
    assert (before.touches, dict(before.touches), before.tasks, dict(before.tasks)) == kept
    with pytest.raises(TypeError):
        before.touches[(1, "a", "b")] = None  # type: ignore[index]


def test_a_circle_of_reactions_is_broken() -> None:
    raw = {"key": "a", "code": "a", "title": "a", "steps": [{"key": "s", "after": "1 h", "sms": "s"}]}
    book = BOOK.with_({**raw, "exits": {"opted_out": "a"}})
    story = Story(AT, book=book, sequence="a")
    story.tell(f.OptedOut(channels=(Channel.EMAIL, Channel.SMS, Channel.VOICE), cause="c"))
    assert story.state.exit_reason is f.ExitReason.OPTED_OUT
