"""No order of facts leads to a touch after a stop, a lost appointment, two living enrollments, or another state later.

Callbacks come late, twice and out of order, bookings before and after their cancellations, stops at any place, and all
of it also while a request is on its way. Each promise is checked at every commit by what the facts alone say, not by
the rules that keep it.
"""

from datetime import datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from domain import facts as f
from domain.appointment_fold import appointed, tells_more
from domain.errors import InvalidInput, Refused
from domain.fold import apply, fold
from domain.journal import Journal
from domain.lead_state import STAFF, STOP, LeadState
from domain.next_action import next_action
from domain.sequence import Sequence
from domain.stored_fact import StoredFact
from domain.touches import Channel, TouchStatus
from tests.domain.any_life_fits import under_review
from tests.domain.lead_story import Story
from tests.domain.test_any_life import START, TOLD, Act, act, acts, callback, flight, leads, pauses, scheduler

S = TouchStatus
_EVENT_ORDER = (
    "booked",
    "rescheduled",
    "arrived",
    "no_show",
    "cancelled",
    "completed",
)  # at one instant the later holds
LET_GO = frozenset({f.ExitReason.DISQUALIFIED, f.ExitReason.STOPPED_BY_STAFF})


class Commits(Story):
    """A story that looks at every commit: the facts of one transaction, and what stood before it."""

    def _keep(self, journal: Journal) -> None:
        before = len(self.records)
        super()._keep(journal)
        for i in range(before, len(self.records)):
            _no_touch_after_a_stop(self.records[:i], self.records[i], self.state)
        if len(self.records) > before:
            _one_living_enrollment(self.records, self.state)
            _no_appointment_is_lost(self.records, self.state, self.now, self._sequence())

    def _sequence(self) -> Sequence | None:
        enrollment = self.state.enrollment
        return self.book.get(enrollment.sequence, enrollment.version) if enrollment else None


def _is_of_cadence(fact: f.TouchChanged, past: list[f.Recorded]) -> bool:
    if fact.step in (STAFF, STOP):
        return False
    planned = (r.fact for r in past if isinstance(r.fact, f.TouchChanged) and r.fact.touch_id == fact.touch_id)
    return not any(p.task_id is not None for p in planned)


def _no_touch_after_a_stop(past: list[f.Recorded], record: f.Recorded, state: LeadState) -> None:
    """A claim, or a call task of the cadence, after a stop that was committed before it."""
    fact = record.fact
    claim = isinstance(fact, f.TouchChanged) and fact.status is S.CLAIMED
    call = isinstance(fact, f.TaskOpened) and fact.task_kind is f.TaskKind.CALL and fact.step is not None
    if not claim and not call:
        return
    assert isinstance(fact, f.TouchChanged | f.TaskOpened)
    channel = fact.channel if isinstance(fact, f.TouchChanged) else Channel.VOICE
    stopped: set[Channel] = set()
    paused = over = reviewed = False
    asked: set[str] = set()
    turns_on: str | None = None
    for r in past:
        match r.fact:
            case f.OptedOut(channels=channels) | f.Suppressed(channels=channels):
                stopped |= set(channels)
            case f.Inquired(stopped=channels):
                stopped |= set(channels)
            case f.Paused():
                paused = True
            case f.UnderReview(task_id=task_id):
                reviewed, asked = True, asked | {task_id}
            case f.TaskClosed(task_id=task_id):
                asked.discard(task_id)
            case f.Resumed(overslept=None, of=of):
                reviewed, paused = False, paused and of == "review"
            case f.Finished():
                over, paused = True, False
            case f.Disqualified():
                over = True
            case f.Enrolled(appointment_id=appointment):
                over, turns_on = False, appointment
            case _:
                pass
        reviewed = reviewed and (not over or bool(asked))
    if fact.step == STOP:
        return  # the one confirmation of an opt-out
    assert channel not in stopped, "after a stop on its channel"
    if isinstance(fact, f.TouchChanged) and not _is_of_cadence(fact, past):
        return  # a person's own message or call
    assert not paused, "while a person has paused it"
    assert not reviewed, "while nobody has looked at what it had"
    assert not over, "after its end"
    standing = [a for a in _told(past).values() if a[0] == "booked" and a[1] is not None and a[1] > record.at]
    assert turns_on is not None or not standing, "a cadence towards a booking, with one standing"


def _told(records: list[f.Recorded]) -> dict[str, tuple[str, datetime | None]]:
    """Status and start of each appointment by what occurred last, in whatever order it was told."""
    events: dict[str, list[f.AppointmentChanged]] = {}
    for r in records:
        if isinstance(r.fact, f.AppointmentChanged):
            events.setdefault(r.fact.appointment_id, []).append(r.fact)
    out: dict[str, tuple[str, datetime | None]] = {}
    for key, of in events.items():
        last = max(of, key=_occurred)
        status = {"rescheduled": "booked"}.get(last.event.value, last.event.value)
        out[key] = (status, last.starts_at)
    return out


def _occurred(e: f.AppointmentChanged) -> tuple[datetime, int, str, str]:
    """Of two that are alike at one instant the later time holds, then the place."""
    return e.occurred_at, _EVENT_ORDER.index(e.event), e.starts_at.isoformat() if e.starts_at else "", e.facility or ""


def _one_living_enrollment(records: list[f.Recorded], state: LeadState) -> None:
    numbers = [r.fact.enrollment for r in records if isinstance(r.fact, f.Enrolled)]
    assert numbers == list(range(1, len(numbers) + 1)), "each run has the next number"
    living = numbers[-1] if numbers and state.exit_reason is None else None
    for touch in state.touches.values():
        if touch.step in (STAFF, STOP) or touch.task_id is not None:
            continue
        waits = touch.status in (S.PLANNED, S.DELAYED)
        assert not waits or touch.enrollment == living, "what waits is of the living run"
    for task in state.tasks.values():
        # one that was answered, or promised, is finished by the person who has it in hand
        loose = task.kind is f.TaskKind.CALL and task.step and task.state is f.TaskState.OPEN and not task.disposition
        assert not loose or task.enrollment == living, "nobody is asked to call for a run that is over"


def _no_appointment_is_lost(
    records: list[f.Recorded], state: LeadState, now: datetime, sequence: Sequence | None
) -> None:
    told = _told(records)
    assert {k: a.status.value for k, a in state.appointments.items()} == {k: s for k, (s, _) in told.items()}
    standing = {k: at for k, (s, at) in told.items() if s == "booked" and at is not None and at > now}
    for key, at in standing.items():
        assert state.appointments[key].starts_at == at, "its newest time"
    if not standing or state.let_go or state.exit_reason in LET_GO:
        return
    assert state.exit_reason is None, f"over, though {standing} stands"
    assert sequence is not None
    assert sequence.anchored(), "a run around it"
    anchor = state.anchor()
    assert anchor is not None
    # the first that stands; or one that has begun, or to which the lead has come, until it is told what came of it
    first = min(standing, key=lambda k: (standing[k], k))
    begun = anchor.status is f.AppointmentStatus.ARRIVED or (anchor.begins is not None and anchor.begins <= now)
    assert anchor.id == first or begun, (anchor, standing)


def again(back: int) -> tuple[str, Act]:
    """Something from outside that was told before is told once more, just as it was."""

    def do(story: Story) -> None:
        outside = [r.fact for r in story.records if _is_from_outside(r.fact)]
        if outside:
            story.tell(outside[-1 - back % len(outside)])

    return act(f"again {back}", do)


def _is_from_outside(fact: f.Fact) -> bool:
    match fact:
        case f.TouchChanged(status=status):
            return status in TOLD
        case f.AppointmentChanged() | f.CallEnded() | f.OptedOut() | f.Suppressed():
            return True
        case _:
            return False


def _review_done(story: Story) -> None:
    asked = story.state.review.tasks if story.state.review is not None else ()
    for task in [i for i in sorted(asked) if story.state.tasks[i].living][:1]:
        story.tell(f.TaskClosed(task_id=task, state=f.TaskState.DONE))


n = st.integers(0, 30)
reviews = st.sampled_from([act("stop for review", under_review), act("its review is done", _review_done)])
bookings = st.builds(
    scheduler, st.sampled_from(f.BookingEvent), st.sampled_from("AB"), st.integers(-10, 400), st.integers(0, 30)
)
callbacks = st.builds(callback, n, st.sampled_from(TOLD), st.none())
interleaved = st.one_of(
    acts,
    bookings,
    callbacks,
    reviews,
    st.builds(again, n),
    st.builds(flight, st.sampled_from([S.ACCEPTED, S.DELAYED, S.UNKNOWN]), st.none(), st.one_of(acts, bookings)),
)
lives = st.lists(st.tuples(pauses, interleaved), max_size=16)


def live(lead: dict[str, Any], life: list[tuple[int, tuple[str, Act]]]) -> Commits:
    story = Commits(START, **lead)
    for minutes, (_, do) in life:
        story.run(timedelta(minutes=minutes))
        try:
            do(story)
        except (Refused, InvalidInput):
            continue  # what a person may not do changes nothing
    story.run(timedelta(days=60))
    return story


@settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(leads, lives)
def test_no_order_of_facts_breaks_a_promise(lead: dict[str, Any], life: list[tuple[int, tuple[str, Act]]]) -> None:
    story = live(lead, life)
    _of_every_appointment_somebody_was_asked(story)


@st.composite
def told(draw: st.DrawFn) -> list[tuple[int, tuple[str, Act]]]:
    """What became of two appointments, told in any order, some twice, with other things beside.

    An event a minute, or several in the same one, as of a scheduler that tells no seconds.
    """
    both = [(f.BookingEvent.BOOKED, "A"), (f.BookingEvent.BOOKED, "B")]
    happened = both + draw(st.lists(st.tuples(st.sampled_from(f.BookingEvent), st.sampled_from("AB")), max_size=4))
    order = draw(st.permutations(range(len(happened))))
    order += draw(st.lists(st.sampled_from(range(len(happened))), max_size=3))
    in_a_minute = draw(st.sampled_from([1, 2, 3, 6]))
    starts = {"A": START + timedelta(hours=draw(st.integers(30, 300))), "B": START + timedelta(hours=200)}
    out: list[tuple[int, tuple[str, Act]]] = []
    for i in order:
        what, of = happened[i]
        later = timedelta(days=i) if what is f.BookingEvent.RESCHEDULED else timedelta(0)
        occurred = START - timedelta(hours=1) + timedelta(minutes=i // in_a_minute)
        tells = _tells(what, of, starts[of] + later, occurred)
        out.append((draw(st.integers(0, 600)), tells))
    other = draw(st.lists(st.tuples(st.integers(0, 600), st.one_of(callbacks, acts)), max_size=2))
    return [*out, *other] if draw(st.booleans()) else [*other, *out]


def _tells(what: f.BookingEvent, of: str, starts: datetime, occurred: datetime) -> tuple[str, Act]:
    return act(f"{what} {of}", lambda s: s.scheduler_says(what.value, starts, of=of, occurred=occurred))


@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(leads, told())
def test_appointments_told_in_any_order_are_kept(lead: dict[str, Any], life: list[tuple[int, tuple[str, Act]]]) -> None:
    _of_every_appointment_somebody_was_asked(live(lead, life))


seldom_named = st.none() | st.integers(1, 2)
of_one_appointment = st.builds(
    lambda event, minute, starts, place: f.AppointmentChanged(
        event=event,
        appointment_id="A",
        occurred_at=START + timedelta(minutes=minute),
        starts_at=START + timedelta(days=starts) if starts else None,
        facility=f"place-{place}" if place else None,
    ),
    st.sampled_from(f.BookingEvent),
    st.integers(0, 1),
    seldom_named,
    seldom_named,
)


@settings(max_examples=500, deadline=None, derandomize=True)
@given(st.lists(of_one_appointment, min_size=2, max_size=5), st.none() | st.sampled_from(["place-1", "own"]), st.data())
def test_events_of_two_instants_end_the_same_in_whatever_order_they_come(
    events: list[f.AppointmentChanged], own: str | None, data: st.DataObject
) -> None:
    """Whether all are recorded, or, as in production, those that tell more; and one that lost tells nothing again.

    `own`: the lead's facility, where it is if none of them names a place.
    """
    placed = [e for e in events if e.facility]
    expected = (
        max(events, key=_occurred).event,
        max((e for e in events if e.starts_at), key=_occurred, default=events[0]).starts_at,
        max(placed, key=_occurred).facility if placed else own,
    )
    order = data.draw(st.permutations(events)) + data.draw(st.lists(st.sampled_from(events), max_size=2))
    for every in (True, False):
        state = LeadState("lead-1", facility=own)
        for no, fact in enumerate(order, 1):
            if every or tells_more(state, fact):
                state = appointed(state, fact, no)
        a = state.appointments["A"]
        assert (a.event, a.starts_at, a.facility) == expected
        assert not any(tells_more(state, fact) for fact in order)


def _of_every_appointment_somebody_was_asked(story: Story) -> None:
    """Sixty days later: who had a run around an appointment, and let it pass, had a person asked what came of it."""
    state = story.state
    if state.hold_spans or state.exit_reason is not f.ExitReason.EXHAUSTED:
        return
    run = state.enrollment
    anchor = state.anchor()
    if run is None or anchor is None or _told(story.records)[anchor.id][0] != "booked":
        return
    event("nobody has told what came of it")
    asked = [t for t in state.tasks.values() if t.kind is f.TaskKind.REVIEW and t.enrollment == run.number]
    assert (
        [t.step for t in asked if t.step] == ["ask_outcome"] or "ask_outcome" in run.skipped or "outcome" in run.skipped
    )


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(leads, lives)
def test_replayed_from_any_point_it_is_the_same(lead: dict[str, Any], life: list[tuple[int, tuple[str, Act]]]) -> None:
    """From the stored text, in one go or with every fact told twice: the same state and the same next action."""
    story = live(lead, life)
    stored = [f.Recorded(r.no, r.at, r.by, StoredFact.of(r.fact).read()) for r in story.records]
    state = LeadState("lead-1")
    for i, record in enumerate(stored, 1):
        state = apply(state, record)
        assert apply(state, record) is state, "a fact already applied changes nothing"
        assert apply(state, stored[max(0, i - 3)]) is state
        if i % 7 == 0 or i == len(stored):
            anew = fold("lead-1", story.records[:i])
            assert anew == state
            run = state.enrollment
            sequence = story.book.get(run.sequence, run.version) if run else None
            assert next_action(anew, sequence, record.at) == next_action(state, sequence, record.at)
    assert state == story.state
