"""What a coordinator hears on their own line. Of the lead nothing is said: who picks up may be anybody."""

NOT_CONNECTED = "You were not connected."
GOODBYE = "Goodbye."
NO_KEY = f"No key was pressed. {GOODBYE}"

_WHY = {
    "stop.opted_out": "This person has asked not to be called.",
    "stop.address": "This number may not be called.",
    "address.none": "There is no number to call any more.",
    "window.federal": "At the place of this person it is too early or too late for a call.",
    "booking.stands": "An appointment has been booked meanwhile.",
    "task.over": "The task of this call is not in your hands any more.",
    "claim.open": "Another call to this number is still on its way. Please try again in a few minutes.",
    "desk.over": "This call is over. Please dial again from its task.",
}
_ENDED = {
    "busy": "The line was busy.",
    "no_answer": "Nobody answered.",
    "failed": "The call could not be placed.",
}


def whisper(organization: str) -> str:
    return f"This is {organization}, with the call that you asked for. Press 1 to be connected."


def not_connected(rule: str) -> str:
    """Why the gate kept the lead from being dialled."""
    return f"{NOT_CONNECTED} {_WHY.get(rule, 'See the timeline for the reason.')} {GOODBYE}"


def ended(disposition: str) -> str | None:
    """How the lead's call ended, for who waited for it; None where they know."""
    words = _ENDED.get(disposition)
    return f"{words} {GOODBYE}" if words is not None else None
