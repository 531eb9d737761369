"""Facts: what happened to a lead, appended once, never changed.

A fact holds ids, keys and times; the only words of a person in it are notes and reasons, and its data is sealed in the
database. `at` is product time (UTC); `no` counts from 1 for each lead, in the order of commits.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Protocol

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from domain.fact_words import AppointmentStatus as AppointmentStatus
from domain.fact_words import BookingEvent as BookingEvent
from domain.fact_words import ExitReason as ExitReason
from domain.fact_words import Outcome as Outcome
from domain.fact_words import TaskKind as TaskKind
from domain.fact_words import TaskState as TaskState
from domain.ports import Remedy
from domain.touches import Channel, Disposition, TouchStatus


def _utc(at: datetime) -> datetime:
    return at.astimezone(UTC)


# In UTC: hours added to a time that carries a zone's name would be hours of its wall clock, changes of clocks and all.
Instant = Annotated[AwareDatetime, AfterValidator(_utc)]


class _Fact(BaseModel):
    # the text of a validation error may reach a log: it must not quote what was given
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Inquired(_Fact):
    """A person asked. `zones` are all time zones they may be in; `stopped` the channels closed on their addresses.

    Of a repeat: `phone` and `email` that the lead has now, `zones` with what was known before (none: as before),
    `stopped` of addresses that are new with it, `same` names those that the lead had already, `other` those that differ
    from the lead's own, `perhaps` (ids) further living leads that may be this person.
    """

    kind: Literal["inquired"] = "inquired"
    source: str
    zones: tuple[str, ...]
    facility: str | None = None
    phone: bool
    email: bool
    stopped: tuple[Channel, ...] = ()
    repeat: bool = False
    same: tuple[Literal["phone", "email"], ...] = ()
    other: tuple[Literal["phone", "email"], ...] = ()
    perhaps: tuple[str, ...] = ()


class Consented(_Fact):
    kind: Literal["consent"] = "consent"
    channel: Channel
    purpose: str


class Enrolled(_Fact):
    """The lead begins (or changes to) a sequence version. `cause` is the event that led here."""

    kind: Literal["enrolled"] = "enrolled"
    enrollment: int
    sequence: str
    version: int
    cause: str
    appointment_id: str | None = None


class TouchName(Protocol):
    """What names a touch."""

    @property
    def touch_id(self) -> str: ...

    @property
    def enrollment(self) -> int: ...

    @property
    def step(self) -> str: ...

    @property
    def part(self) -> str: ...

    @property
    def channel(self) -> Channel | None: ...


class TouchChanged(_Fact):
    """A touch took a status. `until` for delayed; `rule` and `reason` for every delay, skip and failure.

    For unknown: `look_at` is when it is looked for at its provider next (None: no more), `looks` how often that was in
    vain.
    """

    kind: Literal["touch"] = "touch"
    touch_id: str
    enrollment: int
    step: str
    part: str
    channel: Channel | None = None
    status: TouchStatus
    due_at: Instant | None = None
    until: Instant | None = None
    rule: str | None = None
    reason: str | None = None
    code: str | None = None
    remedy: Remedy | None = None
    task_id: str | None = None
    message_id: str | None = None
    look_at: Instant | None = None
    looks: int = 0

    @classmethod
    def of(cls, touch: TouchName, status: TouchStatus, **more: Any) -> "TouchChanged":
        """`touch` takes this status; `more` are further fields of the fact."""
        return cls(
            touch_id=touch.touch_id,
            enrollment=touch.enrollment,
            step=touch.step,
            part=touch.part,
            channel=touch.channel,
            status=status,
            **more,
        )


class Replied(_Fact):
    """The lead wrote. With `candidates` nobody knows yet which lead sharing the address wrote it."""

    kind: Literal["reply"] = "reply"
    message_id: str
    channel: Channel
    task_id: str
    candidates: tuple[str, ...] = ()
    intent: Literal["opt_out"] | None = None
    stranger: bool = False  # the owner of a number that the lead had given wrongly
    told: bool = True  # once a person has said who wrote, be it resting or not; in version 1 only if it rested for that


class TaskOpened(_Fact):
    """Work for a person. Unclaimed at `claim_by` it is missed (None: it stays open)."""

    kind: Literal["task_opened"] = "task_opened"
    task_id: str
    task_kind: TaskKind
    due_at: Instant
    claim_by: Instant | None = None
    enrollment: int | None = None
    step: str | None = None
    part: str | None = None
    script: str | None = None
    reason: str | None = None
    message_id: str | None = None
    candidates: tuple[str, ...] = ()
    promised: bool = False  # the lead was told that it would be called
    refused: Channel | None = None  # an alert: the carrier takes nothing of our account on this channel


class TaskClaimed(_Fact):
    kind: Literal["task_claimed"] = "task_claimed"
    task_id: str
    by_id: str
    by_name: str
    lease_until: Instant


class TaskReturned(_Fact):
    """Back to the queue: released by its holder, or the lease ran out (`escalated`)."""

    kind: Literal["task_returned"] = "task_returned"
    task_id: str
    escalated: bool = False
    claim_by: Instant | None = None


class TaskEscalated(_Fact):
    """Nobody has taken it on long after it was due; it stays in the queue."""

    kind: Literal["task_escalated"] = "task_escalated"
    task_id: str


class TaskClosed(_Fact):
    """Done, missed or cancelled."""

    kind: Literal["task_closed"] = "task_closed"
    task_id: str
    state: TaskState
    disposition: Disposition | None = None
    outcome: Outcome | None = None
    callback_at: Instant | None = None
    notes: str | None = Field(default=None, repr=False)
    reason: str | None = None


class CallEnded(_Fact):
    kind: Literal["call"] = "call"
    task_id: str
    touch_id: str
    disposition: Disposition


class AppointmentChanged(_Fact):
    """What a scheduler said of one appointment; `occurred_at` decides between its events, not their arrival.

    `facility`: as it was told; in version 1 the lead's, where the first event named none.
    """

    kind: Literal["appointment"] = "appointment"
    event: BookingEvent
    appointment_id: str
    starts_at: Instant | None = None
    facility: str | None = None
    occurred_at: Instant
    elsewhere: bool = False  # the person asked again since, and another lead of theirs is contacted now


class OptedOut(_Fact):
    kind: Literal["opt_out"] = "opt_out"
    channels: tuple[Channel, ...]
    cause: str


class Suppressed(_Fact):
    """An address cannot be used on these channels: hard bounce, invalid, wrong number."""

    kind: Literal["suppressed"] = "suppressed"
    channels: tuple[Channel, ...]
    cause: str
    code: str | None = None


class Rested(_Fact):
    """A person's turn: no machine touch until the task is closed (and `resume_after` seconds more), or until `until`.

    Without `resume_after` the sequence ends when the task is closed.
    """

    kind: Literal["rested"] = "rested"
    cause: str
    task_id: str | None = None
    until: Instant | None = None
    resume_after: float | None = None


class Paused(_Fact):
    kind: Literal["paused"] = "paused"
    reason: str = Field(repr=False)
    until: Instant | None = None


class UnderReview(_Fact):
    """A restore does not know what the lead had: nothing automatic goes out until a person has looked, and resumes it.

    Beside a person's pause, which it leaves as it is. `task_id`: what asks for it. Of a finished lead too: what begins
    before that is done is held.
    """

    kind: Literal["under_review"] = "under_review"
    task_id: str


class Slot(_Fact):
    """Within a fact: when an overdue part of the present enrollment is carried out, instead of the time it had."""

    step: str
    part: str
    at: Instant


class Resumed(_Fact):
    """Review, pause and rest are over. In mode `shift` what was left of the plan moves by the time rested.

    In the others every time stays: `slots` say when what is overdue is carried out, or facts after this one that
    it is skipped. `of` review: a pause under it goes on; `of` pause: a rest under that does. Whatever it says, a rest
    goes on for a reply that waits for its answer. `overslept`: nothing rested, but from then until now nobody carried
    the cadence out.
    """

    kind: Literal["resumed"] = "resumed"
    mode: Literal["shift", "catch_up", "skip_expired"] = "shift"
    of: Literal["all", "pause", "review"] = "all"
    cause: str
    overslept: Instant | None = None
    slots: tuple[Slot, ...] = ()


class StepSkipped(_Fact):
    """A coordinator skipped the next step."""

    kind: Literal["skipped"] = "skipped"
    enrollment: int
    step: str


class Noted(_Fact):
    kind: Literal["note"] = "note"
    text: str = Field(repr=False)


class Assigned(_Fact):
    kind: Literal["assigned"] = "assigned"
    key_id: str
    name: str


class Disqualified(_Fact):
    kind: Literal["decision"] = "decision"
    decision: Literal["disqualified"] = "disqualified"
    reason: str = Field(repr=False)


class Finished(_Fact):
    kind: Literal["finished"] = "finished"
    exit_reason: ExitReason


Fact = Annotated[
    Inquired
    | Consented
    | Enrolled
    | TouchChanged
    | Replied
    | TaskOpened
    | TaskClaimed
    | TaskReturned
    | TaskEscalated
    | TaskClosed
    | CallEnded
    | AppointmentChanged
    | OptedOut
    | Suppressed
    | Rested
    | Paused
    | UnderReview
    | Resumed
    | StepSkipped
    | Noted
    | Assigned
    | Disqualified
    | Finished,
    Field(discriminator="kind"),
]


@dataclass(frozen=True, slots=True)
class Recorded:
    """A fact in its place: number, product time and who brought it."""

    no: int
    at: datetime
    by: str
    fact: Fact

    def __post_init__(self) -> None:
        object.__setattr__(self, "at", _utc(self.at))  # a database gives the zone of its session
