"""The words that facts are told in, as databases and answers have them: kinds, states, outcomes, reasons."""

from enum import StrEnum


class TaskKind(StrEnum):
    CALL = "call"
    REPLY = "reply"
    CALLBACK = "callback"
    APPROVAL = "approval"
    REVIEW = "review"


class TaskState(StrEnum):
    OPEN = "open"
    CLAIMED = "claimed"
    DONE = "done"
    MISSED = "missed"
    CANCELLED = "cancelled"


class Outcome(StrEnum):
    """What came out of a call or a conversation."""

    REACHED = "reached"
    BOOKED = "booked"
    CALL_BACK = "call_back"
    NOT_NOW = "not_now"
    NOT_A_FIT = "not_a_fit"
    WRONG_NUMBER = "wrong_number"
    DO_NOT_CALL = "do_not_call"


class AppointmentStatus(StrEnum):
    BOOKED = "booked"
    ARRIVED = "arrived"
    NO_SHOW = "no_show"
    COMPLETED = "completed"
    CANCELLED = "cancelled"


class BookingEvent(StrEnum):
    BOOKED = "booked"
    RESCHEDULED = "rescheduled"
    CANCELLED = "cancelled"
    ARRIVED = "arrived"
    NO_SHOW = "no_show"
    COMPLETED = "completed"


class ExitReason(StrEnum):
    REPLIED = "replied"
    BOOKED = "booked"
    CONVERTED = "converted"
    OPTED_OUT = "opted_out"
    EXHAUSTED = "exhausted"
    UNREACHABLE = "unreachable"
    DISQUALIFIED = "disqualified"
    STOPPED_BY_STAFF = "stopped_by_staff"
    MERGED = "merged"
