"""Appending to a lead's facts: each fact with what follows from it, and what time alone decides."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from domain import facts as f
from domain.fold import apply
from domain.lead_state import LeadState
from domain.next_action import OVERSLEPT, Action, Record, next_action
from domain.reactions import Book, react
from domain.sequence import Sequence

_MOST = 200  # reactions in one transaction; more would be a circle


@dataclass
class Journal:
    """One lead's facts within one transaction: the state, and the records appended so far."""

    state: LeadState
    book: Book
    overslept: timedelta = OVERSLEPT
    appended: list[f.Recorded] = field(default_factory=list)

    @property
    def sequence(self) -> Sequence | None:
        enrollment = self.state.enrollment
        return self.book.get(enrollment.sequence, enrollment.version) if enrollment else None

    def append(self, fact: f.Fact, at: datetime, by: str) -> f.Recorded:
        """Appends `fact` and, in order, everything that follows from it. `at` is never before the newest fact."""
        at = max(at, self.state.last_at or at)
        record = f.Recorded(self.state.last_no + 1, at, by, fact)
        self.state = apply(self.state, record)
        self.appended.append(record)
        if len(self.appended) > _MOST:
            raise RuntimeError("reactions go in a circle")
        for consequence in react(self.state, record, self.book):
            self.append(consequence, at, "system")
        return record

    def decide(self, now: datetime) -> Action:
        """The next action at product time `now`; what time alone has decided is recorded on the way."""
        now = max(now, self.state.last_at or now)
        while isinstance(action := next_action(self.state, self.sequence, now, self.overslept), Record):
            for fact in action.facts:
                self.append(fact, now, "system")
        return action
