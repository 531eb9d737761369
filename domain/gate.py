"""The gate's rules: may this touch go out now? Asked at the last moment before a provider, under the lead's lock."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime, timedelta

from domain.contact_window import WINDOW, next_open
from domain.facts import AppointmentStatus, TaskState
from domain.lead_state import STAFF, STOP, LeadState
from domain.next_action import Touch
from domain.patience import PATIENCE, Patience
from domain.schedule import NO_ADDRESS
from domain.sequence import FromAppointment, Sequence, Step
from domain.touches import SENT, Channel, Disposition, TouchStatus, first_of, is_second
from domain.unknown import OVERTAKEN, needless

A_MOMENT_AGO = timedelta(minutes=15)  # what has just been told is not told again

CONFIRMATION_LATE = ("stop.confirmation_late", "a confirmation of an opt-out goes out within 5 minutes or not at all")


@dataclass(frozen=True, slots=True)
class Allowed:
    pass


@dataclass(frozen=True, slots=True)
class Delayed:
    until: datetime
    rule: str
    reason: str


@dataclass(frozen=True, slots=True)
class Refused:
    rule: str
    reason: str


Verdict = Allowed | Delayed | Refused

_DID_NOT_ARRIVE = frozenset({TouchStatus.SKIPPED, TouchStatus.FAILED, TouchStatus.UNDELIVERED})


def check(  # noqa: PLR0917 - one answer from all that matters
    state: LeadState,
    sequence: Sequence | None,
    touch: Touch,
    now: datetime,
    closed: AbstractSet[Channel],
    due: datetime | None,
    patience: Patience = PATIENCE,
) -> Verdict:
    """`closed`: the channels stopped on the very address, as the database says now. Times are product time."""
    step_key, channel = touch.step, touch.channel
    if step_key == STOP:
        if due is not None and now - due > patience.confirmation:
            return Refused(*CONFIRMATION_LATE)
        return Allowed()
    if not (state.email if channel is Channel.EMAIL else state.phone):
        return Refused(NO_ADDRESS, f"the lead has no address for {channel}")
    if channel in closed or channel in state.closed:
        if channel in state.opted_out:
            return Refused("stop.opted_out", f"the lead opted out of {channel}")
        return Refused("stop.address", f"this address is closed for {channel}")
    planned = state.touches.get((touch.enrollment, touch.step, touch.part))
    if planned is not None and planned.task_id is not None:
        return _dialled(state, planned.task_id, now)
    machine = step_key != STAFF and sequence is not None and not sequence.anchored()
    if machine and state.opted_out & {Channel.SMS, Channel.VOICE}:
        return Refused("stop.opted_out", "the lead opted out: only e-mail that an appointment needs may go")
    if (overtaken := _overtaken(state, sequence, touch, now)) is not None:
        return overtaken
    if machine and state.booked(after=now) is not None:
        return Refused("booking.stands", "an appointment is booked")
    if channel is not Channel.EMAIL:
        opens = next_open(now, state.zones)
        if opens > now:
            if _useless_at(state, sequence, step_key, opens):
                return Refused("late.appointment", "the contact window opens only after the appointment")
            return Delayed(opens, "window.federal", WINDOW)
    return Allowed()


def _dialled(state: LeadState, task_id: str, now: datetime) -> Verdict:
    """A call that a person asked for goes out while that person is at the desk, or not at all.

    What waits is dropped as its task leaves a hand (`domain/task_reactions.py`); an earlier release left it waiting.
    """
    task = state.tasks.get(task_id)
    if task is None or task.state is not TaskState.CLAIMED:
        return Refused("task.over", "nobody has the task of this call in hand any more")
    if next_open(now, state.zones) > now:
        return Refused("window.federal", f"{WINDOW}; a call that is dialled does not wait for it")
    return Allowed()


def _in_touch_since(state: LeadState, touch: Touch) -> bool:
    """Whether what the first try says is no longer news: the lead wrote or was spoken with since.

    A person's own words are so by newer ones of theirs alone: they may have promised these on the phone.
    """
    first = state.touches.get((touch.enrollment, touch.step, first_of(touch.part)))
    if first is None or first.claimed_at is None:
        return False
    if touch.step == STAFF:
        written = (t for t in state.touches.values() if t.step == STAFF and t.task_id is None and not is_second(t.part))
        return any(t.first_no > first.first_no and t.status not in _DID_NOT_ARRIVE for t in written)
    spoken = (t.closed_at or t.opened_at for t in state.tasks.values() if t.disposition is Disposition.ANSWERED)
    news = [*spoken, *([state.last_reply_at] if state.last_reply_at else [])]
    return any(at > first.claimed_at for at in news)


def _useless_at(state: LeadState, sequence: Sequence | None, step_key: str, at: datetime) -> bool:
    """What was to come before the appointment (a reminder, its confirmation) is of no use once it has begun."""
    step = sequence.step(step_key) if sequence is not None and sequence.anchored() else None
    appointment, enrollment = state.anchor(), state.enrollment
    if step is None or enrollment is None or appointment is None or appointment.begins is None:
        return False
    there = appointment.status is not AppointmentStatus.BOOKED  # arrived before its time, or late after all
    if at < appointment.begins and not there:
        return False
    if isinstance(step.timing, FromAppointment):
        return step.timing.offset < timedelta(0)
    # counted from the booking: meant for before the appointment, or the booking was told only after it
    started, planned = enrollment.started_at, enrollment.started_at + step.timing.delay
    return step.timing.of is None and (there or planned < appointment.begins or started >= appointment.begins)


def _overtaken(state: LeadState, sequence: Sequence | None, touch: Touch, now: datetime) -> Refused | None:
    """What has lost its use: the appointment has begun, it was said already, the lead was reached meanwhile."""
    if _useless_at(state, sequence, touch.step, now):
        return Refused("late.appointment", "the appointment has begun")
    if (why := needless(state, touch.enrollment, touch.step, touch.part)) is not None:
        return Refused(*why)
    if is_second(touch.part) and _in_touch_since(state, touch):
        newer = "newer words of ours have gone to the lead since, or wait to go"
        return Refused(OVERTAKEN, newer if touch.step == STAFF else "the lead was reached in another way since")
    step, appointment, enrollment = sequence.step(touch.step) if sequence else None, state.anchor(), state.enrollment
    if sequence is None or step is None or appointment is None or appointment.starts_at is None or enrollment is None:
        return None
    timing = step.timing
    if not isinstance(timing, FromAppointment):
        told = timing.of is None and any(_reminded(state, other, touch) for other in sequence.steps)
        return Refused("late.superseded", "a reminder has told it already") if told else None
    if timing.offset >= timedelta(0):
        return None
    if appointment.starts_at + timing.offset < enrollment.started_at:
        return Refused("late.booked_after", "its time had passed when the appointment was booked")
    for other in sequence.steps:
        later = other.timing.offset if isinstance(other.timing, FromAppointment) else timedelta(0)
        on_channel = any(p.channel is touch.channel for p in other.parts)
        if timing.offset < later < timedelta(0) and on_channel and appointment.starts_at + later <= now:
            return Refused("late.superseded", "a later reminder is due already")
    if any(_just_confirmed(state, other, touch, now) for other in sequence.steps):
        return Refused("late.superseded", "its confirmation has just told it")
    return None


def _just_confirmed(state: LeadState, step: Step, touch: Touch, now: datetime) -> bool:
    """Whether this step, counted from the booking, went out on the touch's channel a moment ago."""
    if isinstance(step.timing, FromAppointment) or step.timing.of is not None:
        return False
    sent = (state.touches.get((touch.enrollment, step.key, part.name)) for part in step.parts)
    arrives = (TouchStatus.ACCEPTED, TouchStatus.DELIVERED)
    on_channel = (t for t in sent if t is not None and t.channel is touch.channel and t.status in arrives)
    return any(t.claimed_at is not None and now - t.claimed_at < A_MOMENT_AGO for t in on_channel)


def _reminded(state: LeadState, step: Step, touch: Touch) -> bool:
    """Whether a reminder of this step went out on the touch's channel."""
    timing = step.timing
    if not isinstance(timing, FromAppointment) or timing.offset >= timedelta(0):
        return False
    sent = (state.touches.get((touch.enrollment, step.key, part.name)) for part in step.parts)
    return any(t is not None and t.channel is touch.channel and t.status in SENT for t in sent)
