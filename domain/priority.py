"""What goes first where work waits in a queue: in the outbox, and in Temporal's task queues."""

from datetime import datetime, timedelta
from enum import IntEnum
from typing import Final

from domain.lead_state import STAFF, STOP, LeadState
from domain.next_action import Do, Touch


class Priority(IntEnum):
    """The lower number goes first; 1 to 5, as Temporal counts."""

    PERSON = 1  # somebody waits for it: a person's own words, a dialled call, the confirmation of a stop
    INQUIRY = 2  # somebody has just asked
    CADENCE = 3
    ANEW = 4  # everybody reckons anew, after a restart or a rebuild
    IMPORTED = 5  # lists of people who have not just asked


IMPORTS: Final = frozenset({"csv", "event", "partner"})
JUST: Final = timedelta(hours=1)  # product


def of_inquiry(source: str) -> Priority:
    return Priority.IMPORTED if source in IMPORTS else Priority.INQUIRY


def of_work(state: LeadState, do: Do, at: datetime) -> Priority:
    """Of one thing that is carried out at `at` (product time).

    Of inquiries the newest counts, from wherever it came; `store.outbox.who_just_asked` asks the database the same.
    """
    if isinstance(do, Touch):
        touch = state.touches.get((do.enrollment, do.step, do.part))
        if do.step in (STAFF, STOP) or (touch is not None and touch.task_id is not None):
            return Priority.PERSON
    if state.source in IMPORTS:
        return Priority.IMPORTED
    return Priority.INQUIRY if state.asked_at is not None and at - state.asked_at < JUST else Priority.CADENCE
