"""Mails of a sequence that time alone has begun in a lost time: of one appointment to the next. Pure.

Nobody tells of such a beginning anew, and it comes once more: so the lead is carried on from the copy as a worker would
have, each message taken and each task left alone, and what would have gone out by mail is unknown before it begins.
"""

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from datetime import datetime

from domain import carry_out
from domain import facts as f
from domain.consequences import Book
from domain.journal import Journal
from domain.lead_state import LeadState
from domain.next_action import ExpireTask, OpenTask, Touch, Wait
from domain.restored import perhaps
from domain.touches import Channel, TouchStatus

_MOST = 500  # actions; a lead of years has fewer in the time that a copy is old


def went_on(
    state: LeadState, book: Book, since: datetime, now: datetime, closed: AbstractSet[Channel]
) -> Iterator[f.Fact]:
    """`state`: of the copy, which was made at `since` and noticed at `now` (product). `closed`: see gate.check."""
    begun = state.enrollment_no
    if state.exit_reason is not None or state.anchor() is None or state.booked(after=since) is None:
        return  # only what turns on an appointment goes over to another by itself
    carried = _carried_on(state, book, since, now, closed)
    for touch in carried.touches.values():
        if touch.enrollment > begun and (touch.channel, touch.status) == (Channel.EMAIL, TouchStatus.ACCEPTED):
            yield from perhaps(f.TouchChanged.of(touch, touch.status, due_at=touch.due_at), None)


def _carried_on(
    state: LeadState, book: Book, since: datetime, until: datetime, closed: AbstractSet[Channel]
) -> LeadState:
    journal, at = Journal(state, book), since
    for _ in range(_MOST):
        match carry_out.decide(journal, at, closed):
            case Touch() as touch:
                if not carry_out.may_be_out(journal, touch):
                    carry_out.claim(journal, touch, at)
                carry_out.change(journal, touch, TouchStatus.ACCEPTED, at)
            case OpenTask() as task:
                carry_out.open_task(journal, task, at, closed)
            case ExpireTask(task_id):
                carry_out.expire_task(journal, task_id, at)
            case Wait(datetime() as then) if then <= until:
                at = max(at, then)
            case _:
                break
    return journal.state
