"""What a person may do with a lead: each command decided by one function, under the lead's lock.

Each answers the facts to append, or raises Refused with the reason and the state.
"""

from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import Literal

from domain import facts as f
from domain.access import Actor, Role
from domain.appointment_reactions import LET_GO
from domain.consequences import BOOKING_EXPECTED, PHONE, stopped
from domain.consequences import enroll as enrolled
from domain.consequences import task_id as task_id_of
from domain.errors import InvalidInput, Refused
from domain.foretell import upcoming
from domain.lead_state import STAFF, STOP, Hold, LeadState, Rest, State
from domain.overdue import resumed
from domain.sequence import Sequence
from domain.task_commands import texts
from domain.touches import Channel, Disposition, TouchStatus, is_second, touch_id
from domain.unknown import reviews

Mode = Literal["shift", "catch_up", "skip_expired"]
RESUMED = "a person resumed it"


def _living(state: LeadState, what: str) -> None:
    if state.exit_reason is not None:
        raise Refused(f"cannot {what}: the lead is finished ({state.exit_reason})", state.state)


def pause(state: LeadState, reason: str, until: datetime | None, now: datetime) -> list[f.Fact]:
    _living(state, "pause")
    if until is not None and until <= now:
        raise InvalidInput("until", "must lie in the future, on the product's clock")
    return [f.Paused(reason=reason, until=until)]


def resume(
    state: LeadState, sequence: Sequence | None, now: datetime, mode: Mode, of: Hold | None = None
) -> list[f.Fact]:
    """Ends the review, where none stands the pause, with what is under it and whose time has passed; else the rest,
    unless that waits for somebody.

    `mode`: see facts.Resumed. `of`: the one that is meant. Raises Refused with what stands if that is another.
    """
    _living(state, "resume")
    stands = state.hold
    if stands is None:
        raise Refused("cannot resume: the lead is neither paused nor resting", state.state)
    if of is not None and of != stands:
        raise Refused(f"cannot resume the {of}: the {stands} is what holds it now", state.state)
    under = state.beneath(now)
    if under is not None and stands != "rest":
        if mode != "shift" and sequence is not None:
            raise Refused(
                f"cannot resume with {mode}: a {under} stands under the {stands} and goes on after it; resume with "
                f"shift ends the {stands} alone, and the {under} is then resumed by itself, in any mode",
                state.state,
            )
        return [f.Resumed(cause=RESUMED, of=stands)]
    if state.rest is not None:
        _waits_for_nobody(state, state.rest)
    if mode == "shift" or sequence is None:
        return [f.Resumed(cause=RESUMED)]
    return resumed(state, sequence, now, mode, RESUMED)


def _waits_for_nobody(state: LeadState, rest: Rest) -> None:
    """Raises Refused with what has to be done before a rest can end, if anything has."""
    # a task that is not ours is a relative's: nobody knows yet which of them wrote
    waiting = [state.tasks.get(i) for i in rest.waits]
    expected = state.tasks.get(task_id_of(state.lead_id, BOOKING_EXPECTED))
    if expected is not None and expected.living and expected in waiting:
        raise Refused("cannot resume: a booking agreed on the phone is awaited; complete its task first", state.state)
    if any(t is not None and t.living and t.promised for t in waiting):
        raise Refused("cannot resume: a call was promised; make it, or complete its task first", state.state)
    held = next((t for t in waiting if t is not None and t.living and t.id in reviews(state)), None)
    if held is not None:
        raise Refused(f"cannot resume: it is {held.reason}; find out and complete its task first", state.state)
    if any(t is None or (t.living and t.kind in (f.TaskKind.REPLY, f.TaskKind.REVIEW)) for t in waiting):
        raise Refused("cannot resume: a reply of the lead waits for an answer; answer it first", state.state)
    if any(t is not None and t.living and t.disposition is Disposition.ANSWERED for t in waiting):
        raise Refused("cannot resume: the lead was spoken with; enter what came of the call", state.state)


def skip(
    state: LeadState, sequence: Sequence | None, now: datetime, step: str | None = None
) -> list[f.StepSkipped | f.TaskClosed]:
    """Skips the step that is shown as next: an open call of it is cancelled, otherwise the step is left out.

    `step`: the one that is meant. Raises Refused with the next one's name if that is another.
    """
    _living(state, "skip")
    number = state.enrollment.number if state.enrollment else None
    # what else a step asks of people may lie open for days, beside the steps that follow
    calls = (t for t in state.tasks.values() if t.kind is f.TaskKind.CALL)
    ours = [t for t in calls if t.step and t.enrollment == number]
    open_call = next((t for t in ours if t.state is f.TaskState.OPEN), None)
    if open_call is not None and open_call.disposition is Disposition.ANSWERED:
        raise Refused("cannot skip: the lead was spoken with; enter what came of it", state.state)
    if open_call is not None:
        _meant(state, step, open_call.step)
        return [f.TaskClosed(task_id=open_call.id, state=f.TaskState.CANCELLED, reason="skipped by a person")]
    if any(t.state is f.TaskState.CLAIMED for t in ours):
        raise Refused("cannot skip: a coordinator is at the call; release or complete it", state.state)
    to_come = upcoming(state, sequence, now) if sequence else []
    if not to_come or state.enrollment is None:
        raise Refused("cannot skip: no step is to come", state.state)
    following = to_come[0].step
    _meant(state, step, following)
    touches = (t for t in state.touches.values() if (t.enrollment, t.step) == (number, following))
    if any(t.status is TouchStatus.CLAIMED for t in touches):
        raise Refused(f"cannot skip: {following} is on its way already", state.state)
    return [f.StepSkipped(enrollment=state.enrollment.number, step=following)]


def _meant(state: LeadState, step: str | None, following: str | None) -> None:
    if step is not None and step != following:
        raise Refused(f"cannot skip {step}: the next step is {following}", state.state)


def left_out(state: LeadState, fact: f.StepSkipped | f.TaskClosed) -> str:
    """The step that `skip` leaves out by this fact."""
    step = fact.step if isinstance(fact, f.StepSkipped) else state.tasks[fact.task_id].step
    assert step is not None  # a call that no step asked for is not skipped
    return step


def opt_out(
    state: LeadState, channels: tuple[Channel, ...], cause: str, closed: AbstractSet[Channel] | None = None
) -> list[f.Fact]:
    """Repeating a stop changes nothing. SMS and voice are one number: a stop on either covers both.

    `closed`: the channels stopped on the lead's addresses, where the database was asked: an address that was given
    after the lead's stop has none of its own yet.
    """

    def known(channel: Channel) -> bool:
        has = state.email if channel is Channel.EMAIL else state.phone
        return channel in state.opted_out and (closed is None or not has or channel in closed)

    new = tuple(c for c in both_of_a_number(channels) if not known(c))
    return [f.OptedOut(channels=new, cause=cause)] if new else []


def confirmation(state: LeadState, now: datetime) -> f.TouchChanged:
    """The one text that may follow a stop: planned, for the gate."""
    part = f"confirm{state.last_no}"
    return f.TouchChanged(
        touch_id=touch_id(state.lead_id, state.enrollment_no, STOP, part),
        enrollment=state.enrollment_no,
        step=STOP,
        part=part,
        channel=Channel.SMS,
        status=TouchStatus.PLANNED,
        due_at=now,
    )


def both_of_a_number(channels: tuple[Channel, ...]) -> tuple[Channel, ...]:
    """SMS and voice are one number: of a stop on either both."""
    return tuple(c for c in Channel if c in channels or (c in PHONE and set(PHONE) & set(channels)))


def disqualify(state: LeadState, reason: str) -> list[f.Fact]:
    """Of a finished lead too: what becomes of its appointment then brings nothing back."""
    if state.let_go or state.exit_reason in LET_GO:
        _living(state, "disqualify")
    return [f.Disqualified(reason=reason)]


def enroll(state: LeadState, sequence: Sequence, now: datetime, *selves: str) -> list[f.Fact]:
    """`selves`: the person's other living leads. A finished one beside them would contact them twice."""
    if state.exit_reason is not None and selves:
        raise Refused(f"cannot enroll: the person asked again and is contacted as lead {selves[0]}", state.state)
    if stopped(state) and not sequence.anchored():
        raise Refused("cannot enroll: the lead opted out; only what serves an appointment may go", state.state)
    anchor = None
    if not sequence.anchored() and state.booked(after=now) is not None:
        raise Refused(
            f"cannot enroll in {sequence.key}: an appointment stands, and its reminders would stop; cancel it first",
            state.state,
        )
    if sequence.anchored():
        appointment = state.booked(after=now)
        if appointment is None:
            raise Refused(f"cannot enroll in {sequence.key}: it needs a booked appointment to come", state.state)
        anchor = appointment.id
    return [enrolled(state, sequence, "a person enrolled it", anchor)]


def assign(to: Actor | None) -> list[f.Fact]:
    """`to`: the bearer of the key, if there is one in use."""
    if to is None or to.role is Role.INTAKE:  # which sees no lead
        raise InvalidInput("to", "no key in use that sees leads has this id")
    return [f.Assigned(key_id=to.id, name=to.name)]


def message(  # noqa: PLR0917
    state: LeadState,
    channel: Channel,
    message_id: str,
    now: datetime,
    read_to: int | None = None,
    by: Actor | None = None,
) -> tuple[f.TouchChanged, *tuple[f.TaskClosed, ...]]:
    """A person's own words: first a planned touch for the gate, then the open reply tasks that it answers.

    `read_to`: the newest number on the timeline that the person had read. Raises Refused if the lead or the
    practice wrote since, or somebody else than `by` has its texts in hand.
    """
    in_hand = next((t for t in texts(state) if t.state is f.TaskState.CLAIMED), None)
    overrules = by is None or by.role in (Role.ADMIN, Role.MANAGER)
    if in_hand is not None and by is not None and not overrules and in_hand.claimed_by != by.id:
        raise Refused(f"nothing was sent: {in_hand.claimed_name} answers this lead", state.state)
    written = (t for t in state.touches.values() if t.step == STAFF and t.task_id is None and not is_second(t.part))
    if read_to is not None and state.last_reply_no > read_to:
        raise Refused(
            f"nothing was sent: the lead has written since (timeline no {state.last_reply_no}); read it first",
            state.state,
        )
    if read_to is not None and any(t.first_no > read_to for t in written):
        raise Refused("nothing was sent: the practice has written to the lead since; read that first", state.state)
    if channel is Channel.VOICE:
        raise InvalidInput("channel", "a message goes by sms or email")
    has = state.email if channel is Channel.EMAIL else state.phone
    if not has:
        raise Refused(f"cannot write: the lead has no address for {channel}", state.state)
    if channel in state.closed:
        raise Refused(f"cannot write: {channel} is closed (opted out or not usable)", state.state)
    number = state.enrollment_no
    planned = f.TouchChanged(
        touch_id=touch_id(state.lead_id, number, STAFF, message_id),
        enrollment=number,
        step=STAFF,
        part=message_id,
        channel=channel,
        status=TouchStatus.PLANNED,
        due_at=now,
        message_id=message_id,
    )
    answered = (
        f.TaskClosed(task_id=t.id, state=f.TaskState.DONE, reason="answered by a message") for t in texts(state)
    )
    return planned, *answered


def snapshot(state: LeadState) -> dict[str, object]:
    """What an answer to a command says of the lead."""
    return {"state": state.state.value, "stage": state.stage.value, "paused": state.state is State.PAUSED}
