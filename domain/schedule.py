"""When each part of a sequence that is still to come falls due. Pure: state and sequence in, times out."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from domain import desk
from domain.condition import Question, evaluate
from domain.contact_window import next_open
from domain.facts import AppointmentStatus, TaskState
from domain.lead_state import STAFF, STOP, Enrollment, LeadState, Touch
from domain.sequence import After, CallTask, FromAppointment, Part, Sequence, StaffTask, Step, WaitFor
from domain.touches import SENT, SETTLED, Channel, Disposition, TouchStatus

_ZERO = timedelta(0)
A_MOMENT = timedelta(minutes=1)
# So long after one appointment its outcome is asked for, where the lead has another to be reminded of.
LONGEST_BEFORE_ANOTHER = timedelta(hours=4)
EXPIRED = "resume.expired"  # the rule by which a step is left out whose time passed while the lead rested
NO_ADDRESS = "address.none"  # the gate's rule for a channel the lead cannot be reached on at all
_UNSETTLED = frozenset({TouchStatus.PLANNED, TouchStatus.DELAYED, TouchStatus.CLAIMED})


@dataclass(frozen=True, slots=True)
class Due:
    """A part still to come. `at` is None while its appointment has no time."""

    step: str
    part: str
    channel: Channel | None
    at: datetime | None
    spec: Step | None  # None: a touch outside the sequence file (a retry, a person's message, a confirmation)
    action: Part | None
    condition: bool | None = True  # False: skip it; None: waits for another step
    movable: bool = True  # moves later parts of its channel when a window delays it
    put_off: bool = False  # its time is no longer the plan's, but what a window or a provider made it


def opens(state: LeadState, due: Due) -> datetime | None:
    """The opening that a part to come will have to wait for, if it falls outside the contact window.

    Not where another channel answers at once meanwhile: that begins when it is put off.
    """
    spec = due.spec  # one with a condition may be left out
    counted = due.movable and spec is not None and spec.at_once is None and spec.when is None and not due.put_off
    if due.at is None or not counted or due.channel not in (Channel.SMS, Channel.VOICE):
        return None
    if not state.reachable(due.channel):  # it is refused, and waits for nothing
        return None
    opening = next_open(due.at, state.zones)
    return opening if opening > due.at else None


def direct(state: LeadState) -> list[Touch]:
    """Touches that a person or a stop asked for: they go out whatever the cadence does."""
    return [
        t
        for t in state.touches.values()
        if t.status in _UNSETTLED and (t.step in (STAFF, STOP) or t.task_id is not None)
    ]


def left_claimed(state: LeadState) -> list[Touch]:
    """Touches whose claim nobody has settled: whoever plans while one stands has lost the activity that held it."""
    return [t for t in state.touches.values() if t.status is TouchStatus.CLAIMED]


def looked_for(state: LeadState) -> list[Touch]:
    """Touches of which nobody knows whether they went out, and for which the provider's list is searched again."""
    return [t for t in state.touches.values() if t.status is TouchStatus.UNKNOWN and t.look_at is not None]


def asked_for(state: LeadState, now: datetime) -> list[Touch]:
    """What a person asked for and is not claimed yet: no pause, no booking and no end of the sequence keeps it back.

    Without what the gate refuses by now: on a closed channel, or a call that is in nobody's hands any more.
    """

    def goes(touch: Touch) -> bool:
        if touch.channel is None or not state.reachable(touch.channel):
            return False
        return touch.task_id is None or _in_hand(state, touch, touch.task_id, now)

    waiting = (t for t in direct(state) if t.step != STOP and t.status is not TouchStatus.CLAIMED)
    return [touch for touch in waiting if goes(touch)]


def _in_hand(state: LeadState, call: Touch, task_id: str, now: datetime) -> bool:
    """Whether who dialled is still at it: with the task, and a line that, if it rings, rings yet."""
    task = state.tasks.get(task_id)
    silent = desk.rings(call) and (call.until is None or call.until <= now)
    return task is not None and task.state is TaskState.CLAIMED and not silent


def in_flight(state: LeadState, now: datetime) -> list[str]:
    """The ids of touches that may still arrive, whatever was stopped a moment ago.

    Claimed; of unknown outcome, also if nobody looks for it any more; or a person's own doing that waits.
    """
    unknown = (t for t in state.touches.values() if t.status is TouchStatus.UNKNOWN)
    return [t.touch_id for t in [*left_claimed(state), *unknown, *asked_for(state, now)]]


def ready(touch: Touch) -> datetime:
    """When a touch that a person or a stop asked for may go."""
    return touch.until or touch.due_at or touch.at


def pending(state: LeadState, sequence: Sequence) -> list[Due]:
    """What is still to come of the present enrollment, earliest first; ties in the order of the file."""
    enrollment = state.enrollment
    if enrollment is None:
        return []
    out: list[Due] = []
    for step in sequence.steps:
        if step.key in enrollment.skipped:
            continue
        for part in _parts(state, enrollment, step):
            if _is_pending(state, enrollment, step, part):
                condition = _condition(state, sequence, step)
                out.append(
                    Due(
                        step.key,
                        part.name,
                        part.channel,
                        due_at(state, sequence, step, part),
                        step,
                        part,
                        condition,
                        isinstance(step.timing, After),
                        _put_off(state, enrollment, step, part),
                    )
                )
    known = {(s.key, p.name) for s in sequence.steps for p in _parts(state, enrollment, s)}
    for touch in state.touches.values():
        extra = touch.enrollment == enrollment.number and (touch.step, touch.part) not in known
        if extra and touch.status in _UNSETTLED and touch.step not in (STAFF, STOP) and touch.task_id is None:
            planned = touch.due_at or touch.at
            moved = enrollment.due(touch) or enrollment.slot(touch.step, touch.part)
            at = moved or planned + enrollment.rested(touch.at)
            out.append(Due(touch.step, touch.part, touch.channel, at, None, None, movable=False))
    far = datetime.max.replace(tzinfo=enrollment.started_at.tzinfo)
    return sorted(out, key=lambda d: (d.at or far, sequence.order.get(d.step, -1)))


def _parts(state: LeadState, enrollment: Enrollment, step: Step) -> Iterator[Part]:
    yield from step.parts
    own = (state.touches.get((enrollment.number, step.key, p.name)) for p in step.parts)
    if step.at_once is not None and any(_kept_waiting(touch) for touch in own if touch is not None):
        yield step.at_once


def _kept_waiting(touch: Touch) -> bool:
    """Put off for more than a moment, or refused as the lead has no such address: the answer must go another way."""
    if touch.delayed_at is not None and touch.until is not None:
        return touch.until - touch.delayed_at >= A_MOMENT
    return touch.status is TouchStatus.SKIPPED and touch.rule == NO_ADDRESS


def _put_off(state: LeadState, enrollment: Enrollment, step: Step, part: Part) -> bool:
    touch = state.touches.get((enrollment.number, step.key, part.name))
    return part.name == "at_once" or (touch is not None and touch.until is not None)


def _is_pending(state: LeadState, enrollment: Enrollment, step: Step, part: Part) -> bool:
    touch = state.touches.get((enrollment.number, step.key, part.name))
    if touch is not None and touch.status in SETTLED:
        return False
    if isinstance(part.action, CallTask | StaffTask):
        return not any(
            t.enrollment == enrollment.number and t.step == step.key and t.part == part.name
            for t in state.tasks.values()
        )
    return True


def due_at(state: LeadState, sequence: Sequence, step: Step, part: Part) -> datetime | None:
    """Due time of a part: its anchor and delay, moved by rests and by what windows did to its channel before."""
    enrollment = state.enrollment
    if enrollment is None:
        return None
    own = state.touches.get((enrollment.number, step.key, part.name))
    until = own.until if own else None
    if isinstance(step.timing, FromAppointment):
        appointment = state.anchor()
        if appointment is None or appointment.begins is None:
            return None
        at = appointment.begins + step.timing.offset
        return max(at, until) if until is not None else at
    if own is not None and until is not None:
        return enrollment.due(own)
    if (slot := enrollment.slots.get((step.key, part.name))) is not None:
        said, at = slot
        return at + enrollment.lost(said) + _moved(state, sequence, step, part, said)
    if part.name == "at_once":  # as soon as it is known that the step itself must wait
        return max(
            t.delayed_at or t.at for p in step.parts if (t := state.touches.get((enrollment.number, step.key, p.name)))
        )
    anchor = enrollment.started_at
    if step.timing.of is not None:
        above = sequence.step(step.timing.of)
        settled = settled_at(state, above) if above else None
        expected = settled or (due_at(state, sequence, above, above.parts[0]) if above else anchor)
        if expected is None:
            return None
        anchor = expected
    return anchor + step.timing.delay + enrollment.lost(anchor) + _moved(state, sequence, step, part, anchor)


def _moved(state: LeadState, sequence: Sequence, step: Step, part: Part, since: datetime) -> timedelta:
    """By how much what windows and providers did since to earlier steps of its channel moves a part."""
    enrollment = state.enrollment
    assert enrollment is not None
    order = sequence.order
    return sum(
        (
            enrollment.delay(t)
            for t in state.touches.values()
            if t.enrollment == enrollment.number
            and t.channel is part.channel
            and t.delayed_at is not None
            and t.delayed_at >= since
            and t.step in order
            and order[t.step] < order[step.key]
            and _moves(sequence.step(t.step), t.part)
            and not (t.status is TouchStatus.SKIPPED and t.due_at is not None and t.at < t.due_at)  # before its time
        ),
        _ZERO,
    )


def _moves(step: Step | None, part: str) -> bool:
    """Whether a delay of this part moves later ones: not that of a reminder, nor of a second try."""
    return step is not None and isinstance(step.timing, After) and any(p.name == part for p in step.parts)


def settled_at(state: LeadState, step: Step) -> datetime | None:
    """When a step was carried out (sent, opened, skipped), or None. One that expired counts at the time it had."""
    enrollment = state.enrollment
    if enrollment is None:
        return None
    times = [
        (t.until or t.due_at if t.rule == EXPIRED else t.claimed_at) or t.at
        for p in step.parts
        if (t := state.touches.get((enrollment.number, step.key, p.name))) and t.status in SETTLED
    ]
    times += [t.opened_at for t in state.tasks.values() if t.enrollment == enrollment.number and t.step == step.key]
    return min(times, default=None)


def _condition(state: LeadState, sequence: Sequence, step: Step) -> bool | None:
    if isinstance(step.timing, After) and step.timing.of is not None and state.enrollment is not None:
        above = sequence.step(step.timing.of)
        if above is not None and settled_at(state, above) is None and above.key not in state.enrollment.skipped:
            return None  # its time counts from a step that is still to come
    if step.when is None:
        return True
    return evaluate(step.when, lambda q: _answer(state, sequence, q))


def _answer(state: LeadState, sequence: Sequence, question: Question) -> bool | None:
    if question.name == "replied":
        return state.last_reply_at is not None
    if question.name == "booked":
        return state.booked() is not None
    enrollment, step = state.enrollment, sequence.step(question.step or "")
    if enrollment is None or step is None:
        return False
    tasks = [t for t in state.tasks.values() if t.enrollment == enrollment.number and t.step == step.key]
    touches = [t for (n, s, _), t in state.touches.items() if n == enrollment.number and s == step.key]
    if question.name == "answered" and any(t.disposition is Disposition.ANSWERED for t in tasks):
        return True
    if question.name == "sent" and any(t.status in SENT for t in touches):
        return True
    waiting = any(_is_pending(state, enrollment, step, p) for p in step.parts) and step.key not in enrollment.skipped
    if waiting or any(t.living for t in tasks):
        return None
    if question.name == "missed":
        return any(t.state is TaskState.MISSED for t in tasks) or any(t.status is TouchStatus.MISSED for t in touches)
    return False


def outcome_known(state: LeadState) -> bool:
    """Whether it is known what became of the appointment that the enrollment turns on."""
    appointment = state.anchor()
    return appointment is not None and appointment.status is not AppointmentStatus.BOOKED


def over_at(state: LeadState, since: datetime, wait: WaitFor) -> datetime:
    """When a wait ends without what it is for. Where a further appointment stands, the next reminders wait for it."""
    further = state.booked(after=since)
    if further is None or further.starts_at is None:
        return since + wait.up_to
    free = further.starts_at - since - LONGEST_BEFORE_ANOTHER
    return since + max(_ZERO, min(wait.up_to, LONGEST_BEFORE_ANOTHER, free))
