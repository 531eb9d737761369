"""What a transaction found of its lead, for its workflow."""

from domain.ledger import View
from domain.next_action import Action, ExpireTask, OpenTask, Touch, Wait
from domain.priority import Priority, of_work
from store.lead_unit import LeadUnit


def view(unit: LeadUnit, action: Action) -> View:
    sequence = unit.journal.sequence
    return View(
        action,
        unit.standing(),
        sequence.code if sequence else None,
        unit.state.facility,
        unit.now,
        _priority(unit, action),
    )


def _priority(unit: LeadUnit, action: Action) -> Priority:
    do, at = (action.then, action.until) if isinstance(action, Wait) else (action, unit.now)
    if not isinstance(do, Touch | OpenTask | ExpireTask):
        return Priority.CADENCE
    return of_work(unit.state, do, at or unit.now)
