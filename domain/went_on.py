"""A sequence that time alone has begun in a lost time: that of a further appointment, where nobody told what became of
the one before. Pure.

Nobody tells of such a beginning anew, and it would come once more: so the lead is carried on from the copy as a worker
would have, each message taken and each task left alone, and where it has gone over by then it goes over at once. What
went out by mail is unknown; a text that the carrier lists has stopped the lead, and its step can be left out.
"""

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime

from domain import carry_out
from domain import facts as f
from domain.consequences import Book
from domain.journal import Journal
from domain.lead_state import Appointment, LeadState, Touch
from domain.next_action import ExpireTask, OpenTask, Wait
from domain.next_action import Touch as Send
from domain.restored import perhaps
from domain.touches import SETTLED, Channel, TouchStatus, touch_id

_MOST = 500  # actions; a lead of years has fewer in the time that a copy is old


@dataclass(frozen=True, slots=True)
class WentOver:
    """To the sequence of this number. `asked`: what people were to be asked by then; `mailed`: of that sequence.

    `enrolled`: as it begins now; None where it has begun already, by what was told since.
    """

    number: int
    asked: tuple[f.TaskOpened, ...]
    enrolled: f.Enrolled | None
    mailed: tuple[Touch, ...]

    def facts(self, state: LeadState) -> Iterator[f.Fact]:
        if self.enrolled is not None:
            yield from self.asked
            yield self.enrolled
        for touch in self.mailed:
            known = state.touches.get((self.number, touch.step, touch.part))
            if known is not None and known.status in SETTLED:
                continue
            own = touch_id(state.lead_id, self.number, touch.step, touch.part)
            name = f.TouchChanged.of(touch, touch.status, due_at=touch.due_at)
            name = name.model_copy(update={"enrollment": self.number, "touch_id": own})
            yield from perhaps(name, known.status if known is not None else None)


def went_over(
    copied: LeadState, present: LeadState, book: Book, closed: AbstractSet[Channel], *, since: datetime, until: datetime
) -> WentOver | None:
    """If it did so between `since`, when the copy was made, and `until`, when it was noticed (product).

    `present`: with all that was told since. `closed`: see gate.check. None too where that has brought something else.
    """
    begun, anchor = copied.enrollment, copied.anchor()
    if begun is None or copied.exit_reason is not None or anchor is None or copied.booked(after=since) is None:
        return None  # only what turns on an appointment goes over to another by itself
    number = begun.number + 1
    if present.exit_reason is not None or present.enrollment_no not in (begun.number, number):
        return None
    journal = _carried_on(copied, book, since, until, closed)
    over = [r.fact for r in journal.appended if isinstance(r.fact, f.Enrolled)]
    turns_on = journal.state.anchor()
    if not over or turns_on is None or not _stands(present, turns_on):
        return None
    begins = present.enrollment_no == begun.number
    if not _stands(present, anchor) if begins else present.anchor() != present.appointments[turns_on.id]:
        return None
    opened = [r.fact for r in journal.appended if isinstance(r.fact, f.TaskOpened)]
    return WentOver(
        number,
        tuple(t for t in opened if t.enrollment == begun.number and t.task_kind is not f.TaskKind.CALL),
        over[-1].model_copy(update={"enrollment": number}) if begins else None,
        tuple(
            touch
            for touch in journal.state.touches.values()
            if touch.enrollment == over[-1].enrollment
            and (touch.channel, touch.status) == (Channel.EMAIL, TouchStatus.ACCEPTED)
        ),
    )


def _stands(state: LeadState, appointment: Appointment) -> bool:
    """As it was; told once more it may be of a later time."""
    known = state.appointments.get(appointment.id)
    return known is not None and (known.status, known.starts_at) == (appointment.status, appointment.starts_at)


def _carried_on(
    state: LeadState, book: Book, since: datetime, until: datetime, closed: AbstractSet[Channel]
) -> Journal:
    journal, at = Journal(state, book), since
    for _ in range(_MOST):
        match carry_out.decide(journal, at, closed):
            case Send() as touch:
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
    return journal
