"""Mails of a lead whose database was put back from a copy, which may have gone out in the time that is lost.

Nobody lists them, so what would have been due is unknown: each has its review task, and the cadence goes on. Pure.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

from domain import facts as f
from domain.lead_state import Enrollment, LeadState, Pause, Review
from domain.restored import perhaps
from domain.schedule import Due, direct, pending, ready
from domain.sequence import After, Sequence, Step
from domain.standing import held_until, once_over
from domain.touches import SETTLED, Channel, TouchStatus, second_of, touch_id
from domain.unknown import given_up_after, may_be_resent

_Held = TypeVar("_Held", Pause, Review)


def perhaps_mailed(
    state: LeadState,
    sequence: Sequence | None,
    now: datetime,
    *,
    since: datetime,
    wrote_at: datetime | None = None,
    copied: LeadState | None = None,
    told_at: datetime | None = None,
) -> Iterator[f.Fact]:
    """Of the time from `since`, when the copy was made, to `now`, when it was noticed (product).

    `wrote_at` (product): when the lead wrote first in the lost time.
    `copied`: the state before anything was entered anew or compared, if that was another one.
    `told_at` (product): when that occurred by which a sequence has begun since, as far as somebody tells: a scheduler's
    event, or an inquiry.
    """
    for touch in direct(state):
        if touch.channel is Channel.EMAIL and ready(touch) <= now:
            yield from perhaps(f.TouchChanged.of(touch, touch.status, due_at=touch.due_at), touch.status)
    enrollment, copied = state.enrollment, copied or state
    if sequence is None or enrollment is None or state.exit_reason is not None:
        return
    if not state.reachable(Channel.EMAIL):  # the gate refuses it, then as now
        return
    if copied.enrollment is None or copied.enrollment.number != enrollment.number:
        wrote = wrote_at if enrollment.cause == "replied" else None
        began = max(since, told_at or wrote or since)
        due_then = _had_it_begun(_as_held(copied, state), enrollment, sequence, began, now)
    else:
        due_then = _due_then(copied, sequence, now, state)
    to_come = {(due.step, due.part) for due in pending(state, sequence) if due.condition is not False}
    to_come |= {(due.step, due.part) for due in _second_tries(state, sequence)}
    due_then = [due for due in due_then if (due.step, due.part) in to_come]
    mails = [due for due in due_then if due.channel is Channel.EMAIL]
    for due in [*mails, *_at_once(copied, due_then)]:
        known = state.touches.get((enrollment.number, due.step, due.part))
        if known is not None and known.status in SETTLED:
            continue
        name = f.TouchChanged(
            touch_id=touch_id(state.lead_id, enrollment.number, due.step, due.part),
            enrollment=enrollment.number,
            step=due.step,
            part=due.part,
            channel=due.channel,
            status=TouchStatus.CLAIMED,
            due_at=due.at,
        )
        yield from perhaps(name, known.status if known is not None else None)


def _as_held(copied: LeadState, state: LeadState) -> LeadState:
    """By what stood in the copy, and stands still: what was entered since, or stops the lead now, held nothing then.

    A pause that the resume of a review has moved back counts as entered since, so its mails as unknown.
    """

    def still(then: _Held | None, now: _Held | None) -> _Held | None:
        return then if then is not None and now is not None and now.since == then.since else None

    return replace(state, pause=still(copied.pause, state.pause), review=still(copied.review, state.review))


def _due_then(copied: LeadState, sequence: Sequence, now: datetime, state: LeadState) -> list[Due]:
    """What fell due by `now` before a review, pause or rest of the copy held the cadence.

    One that ended by itself by then has moved what it held, as it will move it again: what counts is the time so moved.
    What the lead wrote since has held nothing for certain: it may have been answered, and the lead gone on. An
    appointment of which more was entered since may have been moved in the lost time: what turns on it counts by its
    time as it is now, too.
    """
    held = min((since for since, _ in copied.hold_spans), default=None)
    end = held_until(copied)
    if end is not None and end <= now:
        copied, held = once_over(copied, end), None
    to_come = [*pending(copied, sequence), *_second_tries(copied, sequence)]
    if (moved := state.anchor()) is not None and moved != copied.anchor() and moved.occurred_at <= now:
        to_come += [due for due in pending(state, sequence) if _turns_on_an_appointment(due.spec, sequence)]
    found = {
        (due.step, due.part): due
        for due in to_come
        if due.at is not None and due.at <= now and (held is None or due.at < held)
    }
    return list(found.values())


def event_of(records: Iterable[f.Recorded], enrollment: int) -> datetime | None:
    """When that occurred (product) of which a scheduler told, and by which this sequence began, if it did so."""
    told: dict[datetime, datetime] = {}  # by when it was told: in one transaction with what follows from it
    for record in records:
        if isinstance(record.fact, f.AppointmentChanged):
            told[record.at] = record.fact.occurred_at
        elif isinstance(record.fact, f.Enrolled) and record.fact.enrollment == enrollment:
            return told.get(record.at)
    return None


def all_stamped(records: Iterable[f.Recorded]) -> bool:
    """Whether a permission came with each of its inquiries, which says when that was: any may be of the lost time."""
    asked, given = set[datetime](), set[datetime]()  # by when they were told: in one transaction
    for record in records:
        if isinstance(record.fact, f.Inquired):
            asked.add(record.at)
        elif isinstance(record.fact, f.Consented):
            given.add(record.at)
    return asked <= given


def _had_it_begun(
    state: LeadState, enrollment: Enrollment, sequence: Sequence, began: datetime, now: datetime
) -> list[Due]:
    """What would have fallen due by `now` of a sequence that has begun since, had it begun at `began`.

    If that is after `now`, it is new.
    """
    if began > now:
        return []
    if any(since <= now and (end is None or end > now) for since, end in state.hold_spans):
        return []
    later = enrollment.started_at - began
    return [
        due
        for due in pending(state, sequence)
        if due.at is not None and due.at <= (now if _turns_on_an_appointment(due.spec, sequence) else now + later)
    ]


def _turns_on_an_appointment(step: Step | None, sequence: Sequence) -> bool:
    """Itself, or by the steps that it follows."""
    while step is not None and isinstance(step.timing, After):
        step = sequence.step(step.timing.of) if step.timing.of is not None else None
    return step is not None


def _at_once(copied: LeadState, due_then: list[Due]) -> Iterator[Due]:
    """The mails that went at once if their text or call was put off: the copy knows of none.

    Put off by the night, a day's limit, a carrier that was busy: the copy knows none of these.
    """
    known = {(due.step, due.part) for due in due_then}
    for due in due_then:
        at_once = due.spec.at_once if due.spec is not None and due.channel is not None else None
        if at_once is None or at_once.channel is not Channel.EMAIL or (due.step, at_once.name) in known:
            continue
        if due.channel not in copied.closed:  # else it is refused, not put off
            known.add((due.step, at_once.name))
            yield replace(due, part=at_once.name, channel=Channel.EMAIL)


def _second_tries(state: LeadState, sequence: Sequence) -> list[Due]:
    """Mails of unknown outcome that their step has sent once more; not those that wait to be."""
    firsts = (t for t in state.touches.values() if t.status in (TouchStatus.CLAIMED, TouchStatus.UNKNOWN))
    after = given_up_after(Channel.EMAIL)
    return [
        Due(t.step, second_of(t.part), t.channel, (t.claimed_at or t.at) + after, spec=None, action=None)
        for t in firsts
        if t.channel is Channel.EMAIL
        and may_be_resent(state, sequence, t)
        and (t.enrollment, t.step, second_of(t.part)) not in state.touches
    ]
