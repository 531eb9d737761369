"""Whether a fact wakes the lead's workflow, and by which signal: from the fact alone, never from live state.

It is asked for what comes from outside. What a plan decides, and what follows from another fact, is known to whoever
plans next.
"""

from domain import facts as f
from domain.touches import TouchStatus

WITNESS = "carrier.witness"  # the rule of a touch of unknown fate that the provider has told of

_OF_KIND: dict[type[f.Fact], str | None] = {
    f.Inquired: "staff_acted",
    f.Consented: None,
    f.Enrolled: "staff_acted",
    f.Replied: "lead_replied",
    f.TaskOpened: "staff_acted",
    f.TaskClaimed: "staff_acted",
    f.TaskReturned: "staff_acted",
    f.TaskEscalated: "staff_acted",
    f.CallEnded: "call_completed",
    f.AppointmentChanged: "appointment_changed",
    f.OptedOut: "lead_opted_out",
    f.Suppressed: "touch_updated",
    f.Rested: "staff_acted",
    f.Paused: "staff_acted",
    f.UnderReview: "staff_acted",
    f.Resumed: "staff_acted",
    f.StepSkipped: "staff_acted",
    f.Disqualified: "staff_acted",
    f.Noted: None,  # nobody waits for a note, nor for an owner
    f.Assigned: None,
    f.Finished: "staff_acted",
}
# What became of a touch: a message asked for, or one that went wrong. One that goes well wakes nobody.
_OF_STATUS = {
    TouchStatus.PLANNED: "staff_acted",
    TouchStatus.UNDELIVERED: "touch_updated",
    TouchStatus.FAILED: "touch_updated",
}


def signal_of(fact: f.Fact) -> str | None:
    """The name of the signal; None if nobody waits for a fact like this."""
    match fact:
        case f.Replied(intent="opt_out"):
            return None  # its opt-out does
        case f.TouchChanged(rule=rule) if rule == WITNESS:
            return "touch_updated"  # the sequence may wait for it, and looking ends
        case f.TouchChanged(status=status):
            return _OF_STATUS.get(status)
        case f.TaskClosed(disposition=disposition):
            return "call_completed" if disposition is not None else "staff_acted"
        case _:
            return _OF_KIND[type(fact)]
