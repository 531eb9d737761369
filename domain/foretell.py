"""What comes next for a lead, when and why: foretold by the schedule and by the gate's own rules. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from domain import gate
from domain.contact_window import WINDOW, next_open
from domain.lead_state import LeadState
from domain.next_action import Touch
from domain.schedule import Due, outcome_known, over_at, pending
from domain.sequence import After, CallTask, FromAppointment, Sequence, StaffTask, Step, WaitFor, named
from domain.touches import Channel, TouchStatus

_ZERO = timedelta(0)
_FOR_THE_WINDOW = "; waits for the contact window, 8:00 to 21:00 at the lead's place"


@dataclass(frozen=True, slots=True)
class Upcoming:
    """A step to come, with its expected product time and why then."""

    step: str
    part: str
    channel: Channel | None
    kind: str
    at: datetime | None
    reason: str


def upcoming(state: LeadState, sequence: Sequence, now: datetime) -> list[Upcoming]:
    """The steps to come as they would fall if nothing else happened, contact windows included.

    What the gate would refuse by then is left out.
    """
    out: list[Upcoming] = []
    waits: list[tuple[Channel, int, timedelta]] = []  # for the window: of which channel, after which step, how long
    ends: dict[str, datetime] = {}  # when a step is carried out and, if it is a call, may have been missed
    # those that wait for another step last: that one's time is known by then
    for due in sorted(pending(state, sequence), key=lambda due: due.condition is None):
        at, reason = due.at, _why(due)
        if at is not None:
            reason += _moved(state, due)
            place = sequence.order.get(due.step, -1)
            if due.movable:  # only what stands before it in the file moves it, as in the schedule
                at += sum((w for channel, of, w in waits if channel is due.channel and of < place), _ZERO)
            at = max(at, now)
            if due.condition is None and due.spec is not None:
                at = max([at, *_not_before(state, due.spec, ends)])
            at = _waited_for(state, due, at)
            reason += _put_off_to(state, due, at)
            if due.channel in (Channel.SMS, Channel.VOICE) and (opens := next_open(at, state.zones)) > at:
                reason += _FOR_THE_WINDOW
                if due.movable:
                    waits.append((due.channel, place, opens - at))
                at = opens
        if due.condition is False or not _may_go(state, sequence, due, at or now):
            continue
        if at is not None:
            ends[due.step] = max(ends.get(due.step, at), at + _claimed_within(due))
        if due.condition is None and due.spec is not None and due.spec.when_text is not None:
            reason += f"; only if {due.spec.when_text}"
        out.append(Upcoming(due.step, due.part, due.channel, _kind(due), at, reason))
    far = datetime.max.replace(tzinfo=now.tzinfo)
    return sorted(out, key=lambda u: u.at or far)


def _may_go(state: LeadState, sequence: Sequence, due: Due, at: datetime) -> bool:
    if due.channel is None:
        return True
    number = state.enrollment_no
    touch = Touch(number, due.step, due.part, due.channel, "")
    return not isinstance(gate.check(state, sequence, touch, at, frozenset(), due.at), gate.Refused)


def _put_off_to(state: LeadState, due: Due, at: datetime) -> str:
    number = state.enrollment_no
    touch = state.touches.get((number, due.step, due.part))
    if touch is None or touch.status is not TouchStatus.DELAYED or touch.until != at or not touch.reason:
        return ""
    return _FOR_THE_WINDOW if touch.reason == WINDOW else f"; put off: {touch.reason}"


def _moved(state: LeadState, due: Due) -> str:
    """By how much it comes later than its sequence says by itself, or that it is caught up with."""
    timing, enrollment = due.spec.timing if due.spec is not None else None, state.enrollment
    if enrollment is not None and not due.put_off and enrollment.slot(due.step, due.part) is not None:
        return "; it was overdue, and is caught up with at a distance from others"
    if due.at is None or due.put_off or enrollment is None or not isinstance(timing, After) or timing.of is not None:
        return ""
    later = due.at - (enrollment.started_at + timing.delay)
    later -= timedelta(seconds=later.total_seconds() % 60)
    return f"; {_span(later)} later, for what rested, had to wait or was held up before it" if later > _ZERO else ""


def _span(delta: timedelta) -> str:
    hours, minutes = divmod(int(delta.total_seconds()) // 60, 60)
    return " ".join([*([f"{hours} h"] if hours else []), *([f"{minutes} min"] if minutes else [])])


def _not_before(state: LeadState, step: Step, ends: dict[str, datetime]) -> list[datetime]:
    """When the steps that it waits for are carried out, or their open calls would be missed."""
    number = state.enrollment_no
    steps = named(step)
    open_ = (t for t in state.tasks.values() if t.living and t.enrollment == number and t.step in steps)
    return [*(ends[name] for name in steps if name in ends), *(at for t in open_ if (at := t.expires_at()) is not None)]


def _waited_for(state: LeadState, due: Due, at: datetime) -> datetime:
    """A wait shows when it ends."""
    if due.action is None or not isinstance(due.action.action, WaitFor) or due.at is None or outcome_known(state):
        return at
    return max(at, over_at(state, due.at, due.action.action))


def _claimed_within(due: Due) -> timedelta:
    work = due.action.action if due.action is not None else None
    return work.claim_within if isinstance(work, CallTask) else _ZERO


def _kind(due: Due) -> str:
    if due.action is None:
        return str(due.channel)
    match due.action.action:
        case CallTask():
            return "call"
        case StaffTask():
            return "task"
        case WaitFor():
            return "wait"
        case message:
            return message.channel.value


def _why(due: Due) -> str:
    if due.part == "at_once":
        return f"at once, because {due.step} itself must wait"
    if due.spec is None:
        return "second try"
    timing = due.spec.timing
    if isinstance(timing, FromAppointment):
        side = "before" if timing.offset < _ZERO else "after"
        return f"{_length(abs(timing.offset))} {side} the appointment"
    return f"{_length(timing.delay)} after {timing.of or 'the start of the sequence'}"


def _length(delta: timedelta) -> str:
    seconds = int(delta.total_seconds())
    for unit, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds and seconds % unit == 0:
            return f"{seconds // unit} {name}"
    return f"{seconds} s"
