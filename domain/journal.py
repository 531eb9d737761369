"""Appending to a lead's facts: each fact with what follows from it, and what time alone decides."""

from dataclasses import dataclass, field
from datetime import datetime

from domain import facts as f
from domain.consequences import Book
from domain.fold import apply
from domain.lead_state import LeadState
from domain.next_action import Action, Record, next_action
from domain.patience import PATIENCE, Patience
from domain.reactions import react
from domain.restored import ask_on, stop_as_lost
from domain.sequence import Sequence

_DEEPEST = 20  # reactions to reactions; more would be a circle


@dataclass
class Journal:
    """One lead's facts within one transaction: the state, and the records appended so far.

    `lost_at`: when (real) a number of the lead's was lost in a restore; what begins there is stopped for review.
    """

    state: LeadState
    book: Book
    patience: Patience = PATIENCE
    lost_at: datetime | None = None
    appended: list[f.Recorded] = field(default_factory=list)

    @property
    def sequence(self) -> Sequence | None:
        enrollment = self.state.enrollment
        return self.book.get(enrollment.sequence, enrollment.version) if enrollment else None

    def append(self, fact: f.Fact, at: datetime, by: str) -> f.Recorded:
        """Appends `fact` and, in order, everything that follows from it. `at` is never before the newest fact."""
        return self._append(fact, max(at, self.state.last_at or at), by, 0)

    def _append(self, fact: f.Fact, at: datetime, by: str, depth: int) -> f.Recorded:
        if depth > _DEEPEST:
            raise RuntimeError("reactions go in a circle")
        record = f.Recorded(self.state.last_no + 1, at, by, fact)
        self.state = apply(self.state, record)
        self.appended.append(record)
        for consequence in react(self.state, record, self.book):
            if isinstance(consequence, f.Rested) and self.state.exit_reason is not None:
                continue  # a consequence before it has ended the lead
            self._append(consequence, at, "system", depth + 1)
        for further in self._of_a_restore(fact, at, depth):
            self._append(further, at, "system", depth + 1)
        return record

    def _of_a_restore(self, fact: f.Fact, at: datetime, depth: int) -> list[f.Fact]:
        """What follows once all else has: in what sequence the lead is then, and whether it lives.

        A restore's review is closed by people alone; a task that is closed as a consequence may come before an end.
        """
        match fact:
            case f.Enrolled() if self.lost_at is not None:
                return stop_as_lost(self.state, self.lost_at, at)
            case f.TaskClosed() if depth == 0:
                return ask_on(self.state, at)
            case _:
                return []

    def decide(self, now: datetime) -> Action:
        """The next action at product time `now`; what time alone has decided is recorded on the way."""
        now = max(now, self.state.last_at or now)
        while isinstance(action := next_action(self.state, self.sequence, now, self.patience), Record):
            for fact in action.facts:
                self.append(fact, now, "system")
        return action
