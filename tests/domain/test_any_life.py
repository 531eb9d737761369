"""Whatever happens to a lead, in whatever order: what must never be, never is."""

from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain import carry_out, commands, desk, task_commands
from domain import facts as f
from domain.consequences import task_id
from domain.contact_window import is_open
from domain.errors import InvalidInput, Refused
from domain.fold import apply, fold
from domain.foretell import upcoming
from domain.journal import Journal
from domain.lead_state import ESCALATED_AFTER, STAFF, STOP, LeadState, State
from domain.next_action import Finish, Touch, Wait
from domain.overdue import SPACING
from domain.ports import Remedy
from domain.standing import standing
from domain.stored_fact import StoredFact
from domain.touches import SENT, Channel, Disposition, TouchStatus
from tests.domain.any_life_fits import fits, under_review
from tests.domain.lead_story import COORDINATOR, LEASE, Story, nothing_waits, ny, resume
from tests.domain.sequences import BOOK

START = ny("2026-03-04 17:00")  # a Wednesday evening, four days before the clocks go forward

Act = Callable[[Story], Any]


def act(name: str, do: Act) -> tuple[str, Act]:
    return name, do


def _touch(story: Story, n: int, status: TouchStatus, remedy: Remedy | None) -> None:
    """A callback for one of the touches that there were."""
    if not story.state.touches:
        return
    touch = list(story.state.touches.values())[n % len(story.state.touches)]
    change = {"touch_id": touch.touch_id, "enrollment": touch.enrollment, "step": touch.step, "part": touch.part}
    story.tell(f.TouchChanged(**change, channel=touch.channel, status=status, remedy=remedy))


def _task(story: Story, n: int, do: Callable[[str], list[f.Fact]]) -> None:
    if story.state.tasks:
        facts = do(list(story.state.tasks)[n % len(story.state.tasks)])
        if facts:
            story.tell(*facts)


def _appointment(story: Story, event: f.BookingEvent, of: str, hours: int, told: int) -> None:
    occurred = story.now - timedelta(hours=told)
    story.scheduler_says(event.value, story.now + timedelta(hours=hours), of=of, occurred=occurred)


def _opt_out(story: Story, channels: tuple[Channel, ...]) -> None:
    if commands.opt_out(story.state, channels, "x"):
        story.opts_out(*channels, confirmed=Channel.SMS in channels)


def _who_wrote(story: Story, *candidates: str) -> None:
    """From a phone that is shared; whose the task is comes first."""
    message = f"who{len(story.records)}"
    who = task_id(story.state.lead_id, "who", message)
    story.tell(f.Replied(message_id=message, channel=Channel.SMS, task_id=who, candidates=candidates))


def _said_who(story: Story) -> None:
    for who in sorted(story.state.unanswered - story.state.tasks.keys()):
        story.tell(f.TaskClosed(task_id=who, state=f.TaskState.DONE))


def _at_the_desk(story: Story) -> None:
    """From now on lines that ring are answered, and one that rings already is."""
    story.at_the_desk = True
    if any(desk.rings(touch) for touch in story.state.touches.values()):
        story.presses_1()


plain = st.sampled_from(
    [
        act("reply", lambda s: s.replies(f"m{len(s.records)}")),
        act("answer", lambda s: s.answers(f"a{len(s.records)}")),
        act("resume", resume),
        act("catch up", lambda s: resume(s, "catch_up")),
        act("skip what expired", lambda s: resume(s, "skip_expired")),
        act("pause", lambda s: s.tell(*commands.pause(s.state, "x", None, s.now))),
        act("stop for review", under_review),
        act("skip", lambda s: s.tell(*commands.skip(s.state, BOOK.get(s.state.enrollment.sequence, 1), s.now))),  # type: ignore[union-attr]
        act("ask again", lambda s: s.tell(f.Inquired(source="x", zones=(), phone=True, email=True, repeat=True))),
        act("who wrote, ours to say", lambda s: _who_wrote(s, "lead-1", "lead-2")),
        act("who wrote, a relative's to say", lambda s: _who_wrote(s, "lead-2", "lead-1")),
        act("said who", _said_who),
        act("note", lambda s: s.tell(f.Noted(text="x"))),
        act("away from the desk", lambda s: setattr(s, "at_the_desk", False)),
        act("back at the desk", _at_the_desk),
    ]
)
rare = st.sampled_from(
    [
        act("disqualify", lambda s: s.tell(*commands.disqualify(s.state, "x"))),
        act("stop", lambda s: _opt_out(s, (Channel.SMS,))),
        act("unsubscribe", lambda s: _opt_out(s, (Channel.EMAIL,))),
        act("enroll", lambda s: s.tell(*commands.enroll(s.state, BOOK.latest("recovery"), s.now))),
        act("bounce", lambda s: s.tell(f.Suppressed(channels=(Channel.EMAIL,), cause="x"))),
    ]
)


def pause(hours: int) -> tuple[str, Act]:
    return act(
        f"pause {hours} h", lambda s: s.tell(*commands.pause(s.state, "x", s.now + timedelta(hours=hours), s.now))
    )


def claim(i: int) -> tuple[str, Act]:
    return act(
        f"claim {i}", lambda s: _task(s, i, lambda t: task_commands.claim(s.state, t, COORDINATOR, s.now, LEASE))
    )


def dial(i: int) -> tuple[str, Act]:
    return act(f"dial {i}", lambda s: _task(s, i, lambda t: [*task_commands.dial(s.state, t, COORDINATOR, s.now)]))


def call_ends(i: int, end: Disposition) -> tuple[str, Act]:
    return act(
        f"call {i} {end}", lambda s: _task(s, i, lambda t: [f.CallEnded(task_id=t, touch_id="x", disposition=end)])
    )


def complete(i: int, outcome: f.Outcome) -> tuple[str, Act]:
    def done(s: Story, task: str) -> list[f.Fact]:
        called = s.state.tasks[task].kind in (f.TaskKind.CALL, f.TaskKind.CALLBACK)
        ended = Disposition.ANSWERED if called else None
        return task_commands.complete(s.state, task, COORDINATOR, ended, outcome, None, None, s.now)

    return act(f"complete {i} {outcome}", lambda s: _task(s, i, lambda t: done(s, t)))


def scheduler(event: f.BookingEvent, of: str, hours: int, told: int) -> tuple[str, Act]:
    return act(f"{event} {of} +{hours} h, told {told} h ago", lambda s: _appointment(s, event, of, hours, told))


def callback(i: int, status: TouchStatus, remedy: Remedy | None) -> tuple[str, Act]:
    return act(f"callback {i} {status} {remedy}", lambda s: _touch(s, i, status, remedy))


def fitting(subject: int, kind: int, i: int) -> tuple[str, Act]:
    """What the story so far makes possible."""
    return act(f"what fits, {subject} {kind} {i}", lambda s: fits(subject, kind, i, s))


def flight(status: TouchStatus, remedy: Remedy | None, meanwhile: tuple[str, Act]) -> tuple[str, Act]:
    """The next request takes a while, and something comes while it is on its way."""

    def do(story: Story) -> None:
        story.slow = (status, remedy)
        story.run(timedelta(days=1))
        story.slow = None
        meanwhile[1](story)

    return act(f"{meanwhile[0]} before {status} {remedy}", do)


n = st.integers(0, 30)
SETTLES = [TouchStatus.ACCEPTED, TouchStatus.DELAYED, TouchStatus.FAILED, TouchStatus.UNKNOWN]
TOLD = sorted(SENT | {TouchStatus.FAILED})  # what a provider's callback can say
follows = st.builds(fitting, st.integers(0, 4), st.integers(0, 3), n)
acts = st.one_of(
    plain,
    rare,
    st.builds(pause, st.integers(1, 60)),
    st.builds(claim, n),
    st.builds(dial, n),
    st.builds(call_ends, n, st.sampled_from(Disposition)),
    st.builds(complete, n, st.sampled_from(f.Outcome)),
    st.builds(
        scheduler, st.sampled_from(f.BookingEvent), st.sampled_from("AB"), st.integers(-10, 90), st.integers(0, 6)
    ),
    st.builds(callback, n, st.sampled_from(TOLD), st.one_of(st.none(), st.sampled_from(Remedy))),
    follows,
    st.builds(
        flight,
        st.sampled_from(SETTLES),
        st.one_of(st.none(), st.sampled_from(Remedy)),
        st.one_of(plain, rare, st.builds(scheduler, st.just(f.BookingEvent.BOOKED), st.just("A"), n, st.just(0))),
    ),
)
pauses = st.one_of(st.integers(0, 20), st.integers(0, 1500), st.integers(0, 20_000))  # minutes
# Blindly drawn, nearly nothing would ever meet what it belongs to: a call its end, a pause its resume.
soon = st.integers(0, 8)
lives = st.lists(st.one_of(st.tuples(pauses, acts), st.tuples(soon, follows)), max_size=14)
leads = st.fixed_dictionaries(
    {"phone": st.just(True), "email": st.booleans(), "stopped": st.sampled_from([(), (Channel.SMS, Channel.VOICE)])}
)


def machine(state: LeadState, step: str, part: str, enrollment: int) -> bool:
    touch = state.touches.get((enrollment, step, part))
    return step not in (STAFF, STOP) and (touch is None or touch.task_id is None)


def never_while_a_person_has_the_turn(state: LeadState, touch: Touch) -> None:
    if not machine(state, touch.step, touch.part, touch.enrollment):
        return
    assert state.state not in (State.PAUSED, State.RESTING, State.FINISHED), touch
    assert state.enrollment is not None
    assert state.enrollment.number == touch.enrollment
    living = [t for t in state.tasks.values() if t.living]
    assert not state.unanswered
    assert not [t for t in living if t.kind is f.TaskKind.REPLY]
    if state.enrollment.appointment_id is None:
        assert not [t for t in living if t.disposition is Disposition.ANSWERED], touch


def live(lead: dict[str, Any], life: list[tuple[int, tuple[str, Act]]]) -> Story:
    story = Story(START, **lead)
    story.watch = never_while_a_person_has_the_turn
    for minutes, (_, do) in life:
        story.run(timedelta(minutes=minutes))
        try:
            do(story)
        except (Refused, InvalidInput):
            continue  # what a person may not do changes nothing
    return story.run(timedelta(days=40))


def _spaced(resumed: f.Resumed, at: datetime, last: datetime) -> datetime:
    """What is caught up with keeps its distance, and is not taken for overslept. `last`: the end of the last rest."""
    assert resumed.overslept is None or resumed.overslept >= last, "nobody overslept a rest"
    steps = {slot.step: slot.at for slot in resumed.slots}
    assert all(slot.at == steps[slot.step] >= at for slot in resumed.slots), "a step's parts go together"
    times = sorted(steps.values())
    assert all(later - earlier >= SPACING for earlier, later in pairwise(times))
    return last if resumed.overslept else at


@settings(max_examples=500, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(leads, lives)
def test_any_life(lead: dict[str, Any], life: list[tuple[int, tuple[str, Act]]]) -> None:
    story = live(lead, life)
    state = LeadState("lead-1")
    claimed: set[str] = set()
    last = START
    for record in story.records:
        state = apply(state, record)
        assert state.exit_reason is None or state.rest is None, "what is finished waits for nothing"
        match record.fact:
            case f.TouchChanged(status=TouchStatus.CLAIMED, channel=Channel() as channel) as touch:
                assert touch.touch_id not in claimed, "once, unless the provider did not take it"
                claimed.add(touch.touch_id)
                enrollment = state.enrollment
                assert enrollment is not None
                if touch.enrollment == enrollment.number and machine(state, touch.step, touch.part, touch.enrollment):
                    assert touch.step not in enrollment.skipped, "a person skipped it"
                    assert not (state.let_go and state.exit_reason), "a person let it go"
                if touch.step != STOP:
                    assert channel not in state.opted_out, "nothing after an opt-out on that channel"
                    assert channel not in state.closed
                if channel is not Channel.EMAIL and touch.step != STOP:
                    assert is_open(record.at, state.zones), "nothing by phone at night"
            case f.TouchChanged(status=TouchStatus.DELAYED) as touch:
                claimed.discard(touch.touch_id)
            case f.TaskClosed(state=f.TaskState.CANCELLED, task_id=task):
                closed = state.tasks.get(task)
                spoken = (
                    closed is not None and closed.closed_no == record.no and closed.disposition is Disposition.ANSWERED
                )
                assert not spoken, "what came of it is for a person to enter"
            case f.Resumed() as resumed:
                last = _spaced(resumed, record.at, last)
            case _:
                pass
    assert fold("lead-1", story.records) == story.state == state
    assert not [t for t in state.touches.values() if t.status is TouchStatus.CLAIMED], "every claim is settled"
    # to ask again changes nothing, and what is finished has nothing left to do
    records = len(story.records)
    action = story.decide()
    assert story.decide() == action
    assert len(story.records) == records
    if isinstance(action, Finish):
        nothing_waits(story.state)
    # forty days later nothing is left but what a person has in hand, was told of often enough, or has paused
    if isinstance(action, Wait) and action.until is None:
        open_ = [t for t in story.state.tasks.values() if t.living]
        waits = (
            any(t.escalation >= len(ESCALATED_AFTER) for t in open_)
            or story.state.unanswered - story.state.tasks.keys()
        )
        assert story.state.pause or waits, action
    if story.state.review is not None and story.state.exit_reason is None:
        assert any(story.state.tasks[asked].living for asked in story.state.review.tasks), (
            "nobody is asked to resume it"
        )
    # what is shown of it can always be shown
    enrollment = story.state.enrollment
    assert enrollment is not None
    sequence = BOOK.get(enrollment.sequence, enrollment.version)
    assert all(u.at is None or u.at >= story.now for u in upcoming(story.state, sequence, story.now))
    assert standing(story.state, sequence, story.now).state is story.state.state


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(leads, lives, st.integers(0, 200))
def test_a_worker_that_starts_anew_in_the_middle_knows_the_same(
    lead: dict[str, Any], life: list[tuple[int, tuple[str, Act]]], cut: int
) -> None:
    """From the stored text of the facts up to any point: the same state and the same decision."""
    story = live(lead, life)
    kept = story.records[: max(1, cut % len(story.records))]
    stored = [f.Recorded(r.no, r.at, r.by, StoredFact.of(r.fact).read()) for r in kept]
    anew, known = Journal(fold("lead-1", stored), BOOK), Journal(fold("lead-1", kept), BOOK)
    assert anew.state == known.state
    assert carry_out.decide(anew, kept[-1].at, frozenset()) == carry_out.decide(known, kept[-1].at, frozenset())
    assert anew.appended == known.appended, "and what time alone has decided"
