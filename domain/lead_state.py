"""The state of a lead, as `fold.py` makes it of facts. Frozen, replaced, never patched."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Literal, TypeVar

from domain import facts as f
from domain.touches import Channel, Disposition, TouchStatus

K = TypeVar("K")
V = TypeVar("V")

TouchKey = tuple[int, str, str]  # enrollment, step, part
Span = tuple[datetime, datetime]
Hold = Literal["review", "pause", "rest"]  # the one before stands over the next

# Work that nobody takes on is escalated so long after it was due, and again after that.
ESCALATED_AFTER = (timedelta(minutes=15), timedelta(hours=1), timedelta(days=1))

# Steps outside any sequence: a person's own message, a call that a person dials, the confirmation of an opt-out.
STAFF, STOP = "staff", "stop"
DIAL = "dial."  # how the part of a dialled call begins


class State(StrEnum):
    STARTING = "starting"
    ACTIVE = "active"
    RESTING = "resting"
    PAUSED = "paused"
    FINISHED = "finished"


class Stage(StrEnum):
    NEW = "new"
    CONTACTED = "contacted"
    QUALIFIED = "qualified"
    BOOKED = "booked"
    SHOWN = "shown"
    CONVERTED = "converted"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Touch:
    touch_id: str
    enrollment: int
    step: str
    part: str
    channel: Channel | None
    status: TouchStatus
    at: datetime
    due_at: datetime | None
    delayed_at: datetime | None = None  # when it was first delayed
    delay: timedelta = timedelta(0)  # the sum of its delays before the present one
    until: datetime | None = None
    until_set: datetime | None = None  # when `until` was said
    was_due: datetime | None = None  # the time of its own that `until` put off: rests move this one
    rule: str | None = None
    reason: str | None = None
    code: str | None = None
    claimed_at: datetime | None = None
    task_id: str | None = None
    message_id: str | None = None
    look_at: datetime | None = None  # unknown: when it is looked for at its provider next
    looks: int = 0  # so often in vain
    tries: int = 0  # so often it was claimed, or its coordinator's line rung
    no: int = 0  # of the fact that gave it this status
    first_no: int = 0  # of the fact that first told of it


@dataclass(frozen=True, slots=True)
class Task:
    id: str
    kind: f.TaskKind
    state: f.TaskState
    opened_at: datetime
    due_at: datetime
    claim_by: datetime | None
    claim_within: timedelta | None
    enrollment: int | None
    step: str | None
    part: str | None
    script: str | None
    reason: str | None
    message_id: str | None
    candidates: tuple[str, ...]
    promised: bool = False  # see facts.TaskOpened
    refused: Channel | None = None
    claimed_by: str | None = None
    claimed_name: str | None = None
    lease_until: datetime | None = None
    lease: timedelta | None = None  # its length
    escalation: int = 0
    open_since: datetime | None = None  # since when anybody could take it on, or was last told that nobody has
    disposition: Disposition | None = None
    ended: frozenset[str] = frozenset()  # its calls of which it is known how they ended
    outcome: f.Outcome | None = None
    notes: str | None = field(default=None, repr=False)
    closed_at: datetime | None = None
    closed_no: int = 0  # of the fact that closed it

    @property
    def living(self) -> bool:
        return self.state in (f.TaskState.OPEN, f.TaskState.CLAIMED)

    def expires_at(self) -> datetime | None:
        """When its time is over if nothing happens: the lease's, the one to be claimed in, or it is escalated."""
        if self.state is f.TaskState.CLAIMED:
            return self.lease_until
        if self.state is not f.TaskState.OPEN:
            return None
        if self.claim_by is not None:
            return self.claim_by
        if self.open_since is None or self.escalation >= len(ESCALATED_AFTER):
            return None
        return self.open_since + ESCALATED_AFTER[self.escalation]


@dataclass(frozen=True, slots=True)
class Enrollment:
    number: int
    sequence: str
    version: int
    started_at: datetime
    appointment_id: str | None
    cause: str
    rests: tuple[Span, ...] = ()
    kept: tuple[Span, ...] = ()  # rests that have moved nothing
    overslept: tuple[Span, ...] = ()  # when nobody carried it out
    # By step and part: when it was said that what was overdue goes at another time, and that time.
    slots: Mapping[tuple[str, str], Span] = field(default_factory=lambda: MappingProxyType({}))
    skipped: frozenset[str] = frozenset()

    @classmethod
    def begun(cls, fact: f.Enrolled, at: datetime) -> "Enrollment":
        return cls(fact.enrollment, fact.sequence, fact.version, at, fact.appointment_id, fact.cause)

    def rested(self, since: datetime) -> timedelta:
        """How long it rested from `since` on."""
        return _length(self.rests, since)

    def due(self, touch: Touch) -> datetime | None:
        """When a touch that was put off is due: its own time, moved by rests, and not before what it was put off to."""
        if touch.until is None or touch.until_set is None or touch.was_due is None:
            return None
        return max(touch.until, touch.was_due + self.rested(touch.until_set))

    def delay(self, touch: Touch) -> timedelta:
        """By how much a touch was put off in all: of the present delay what is no rest."""
        if touch.until is None or touch.until_set is None or touch.was_due is None:
            return touch.delay
        return touch.delay + max(touch.until - touch.was_due - self.rested(touch.until_set), timedelta(0))

    def slot(self, step: str, part: str) -> datetime | None:
        """When a part that was overdue is carried out, moved by what was lost since that was said."""
        said, at = self.slots.get((step, part), (None, None))
        return at + self.lost(said) if said is not None and at is not None else None

    def lost(self, since: datetime) -> timedelta:
        """By how much what was planned from `since` on has moved: rests, and times when nobody carried it out."""
        return _length(self.rests, since) + _length(self.overslept, since)


def _length(spans: tuple[Span, ...], since: datetime) -> timedelta:
    return sum((end - max(start, since) for start, end in spans if end > since), timedelta(0))


@dataclass(frozen=True, slots=True)
class Rest:
    """Since when, for which open tasks, and when it ends.

    While it waits for tasks, its end counts from their closing (`resume_after` seconds) and is never before `until`; or
    the sequence ends with them (`is_last`).
    """

    since: datetime
    cause: str
    waits: frozenset[str]
    until: datetime | None
    resume_after: float
    is_last: bool = False

    def is_over(self, now: datetime) -> bool:
        """Whether its time has passed, and nothing but a pause keeps it from ending."""
        return not self.waits and self.until is not None and self.until <= now

    @property
    def ends_at(self) -> datetime | None:
        """None while nobody knows, for it waits for a person."""
        return None if self.waits else self.until


@dataclass(frozen=True, slots=True)
class Pause:
    """`since`: moved back by the resume of a review over it, to when that began, so that no time counts twice."""

    since: datetime
    reason: str = field(repr=False)
    until: datetime | None

    def is_over(self, now: datetime) -> bool:
        return self.until is not None and self.until <= now


@dataclass(frozen=True, slots=True)
class Review:
    """`tasks`: what asks for it. It stands until a person resumes; in a finished lead while one of them is open."""

    since: datetime
    tasks: frozenset[str]


@dataclass(frozen=True, slots=True)
class Appointment:
    id: str
    status: f.AppointmentStatus
    starts_at: datetime | None
    facility: str | None
    occurred_at: datetime
    event: f.BookingEvent = f.BookingEvent.BOOKED
    no: int = 0  # of the fact that last changed its status, time or place
    first_no: int = 0  # of the first that told of it
    # The events that decide it: the last, the last that named a time, and a place.
    told: tuple[f.AppointmentChanged, ...] = field(default=(), repr=False)

    @property
    def begins(self) -> datetime | None:
        """Its start; where nobody told one, when something had become of it."""
        return self.starts_at or (None if self.status is f.AppointmentStatus.BOOKED else self.occurred_at)


@dataclass(frozen=True)
class LeadState:
    lead_id: str
    last_no: int = 0
    last_at: datetime | None = None
    zones: tuple[str, ...] = ()
    facility: str | None = None
    source: str = ""  # of the newest inquiry
    asked_at: datetime | None = None  # when that was
    phone: bool = False
    email: bool = False
    closed: frozenset[Channel] = frozenset()  # channels no machine may use: opt-outs and suppressions
    opted_out: frozenset[Channel] = frozenset()
    enrollment: Enrollment | None = None
    touches: Mapping[TouchKey, Touch] = field(default_factory=lambda: MappingProxyType({}))
    tasks: Mapping[str, Task] = field(default_factory=lambda: MappingProxyType({}))
    appointments: Mapping[str, Appointment] = field(default_factory=lambda: MappingProxyType({}))
    rest: Rest | None = None
    pause: Pause | None = None
    review: Review | None = None
    exit_reason: f.ExitReason | None = None
    finished_at: datetime | None = None
    let_go: bool = False  # a person has said that the practice does not go on with it
    stage: Stage = Stage.NEW
    owner: str | None = None
    last_reply_at: datetime | None = None
    last_reply_no: int = 0  # of the fact on the timeline
    unanswered: frozenset[str] = frozenset()  # the tasks of its replies (facts.Replied.told), a relative's too

    def waits_for(self, task_id: str) -> bool:
        """Whether something is held back until that task is over: a reply of the lead's, or a rest."""
        return task_id in self.unanswered or (self.rest is not None and task_id in self.rest.waits)

    @property
    def state(self) -> State:
        if self.exit_reason is not None:
            return State.FINISHED
        if self.hold is not None:
            return State.RESTING if self.hold == "rest" else State.PAUSED
        return State.ACTIVE if self.touches or self.tasks else State.STARTING

    @property
    def hold(self) -> Hold | None:
        """What holds the cadence now; a resume ends it, and what lies under it goes on: a pause, a rest."""
        if self.review is not None:
            return "review"
        if self.pause is not None:
            return "pause"
        return "rest" if self.rest is not None else None

    def beneath(self, now: datetime) -> Hold | None:
        """What lies under the hold, and is not over: it goes on after it, whatever it waits for."""
        if self.hold == "review" and self.pause is not None and not self.pause.is_over(now):
            return "pause"
        return "rest" if self.hold != "rest" and self.rest is not None and not self.rest.is_over(now) else None

    @property
    def hold_spans(self) -> tuple[tuple[datetime, datetime | None], ...]:
        """What holds the cadence: since when, and when it ends by itself. None: nobody knows."""
        review = ((self.review.since, None),) if self.review else ()
        pause = ((self.pause.since, self.pause.until),) if self.pause else ()
        rest = ((self.rest.since, self.rest.ends_at),) if self.rest else ()
        return *review, *pause, *rest

    def reachable(self, channel: Channel) -> bool:
        has = self.email if channel is Channel.EMAIL else self.phone
        return has and channel not in self.closed

    @property
    def enrollment_no(self) -> int:
        """The number of the present enrollment, or the last; 0 before the first."""
        return self.enrollment.number if self.enrollment else 0

    def anchor(self) -> Appointment | None:
        """The appointment that the present enrollment turns on."""
        wanted = self.enrollment.appointment_id if self.enrollment else None
        return self.appointments.get(wanted) if wanted else None

    def booked(self, after: datetime | None = None) -> Appointment | None:
        """The next appointment still standing, if any; with `after`, the next that begins later than that.

        One whose time has passed and whose outcome nobody has told still stands.
        """
        standing = [
            (a.starts_at, a.id)
            for a in self.appointments.values()
            if a.status is f.AppointmentStatus.BOOKED and a.starts_at is not None
        ]
        found = min((s for s in standing if after is None or s[0] > after), default=None)
        return self.appointments[found[1]] if found else None


_ORDER = [Stage.LOST, Stage.NEW, Stage.CONTACTED, Stage.QUALIFIED, Stage.BOOKED, Stage.SHOWN, Stage.CONVERTED]


def staged(state: LeadState, stage: Stage) -> LeadState:
    """Stages only go forward; a lost lead that moves again is not lost."""
    return replace(state, stage=stage) if _ORDER.index(stage) > _ORDER.index(state.stage) else state


def put(old: Mapping[K, V], key: K, value: V) -> Mapping[K, V]:
    return MappingProxyType({**old, key: value})
