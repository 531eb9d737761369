"""What happened to a lead and what is to come, as the API answers it. Product time unless said otherwise."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from api.answers import LEAD, example, example_of
from api.fields import Time
from domain.facts import ExitReason, Outcome, TaskKind, TaskState
from domain.touches import Channel, Disposition, TouchStatus


class HistoryEntry(BaseModel):
    """A status that a touch took, or a state of a task."""

    status: TouchStatus | TaskState
    at: Time
    by: str
    reason: str | None = None
    rule: str | None = None
    until: Time | None = None


class InquiryDetails(BaseModel):
    """What a person sent with one inquiry, as it was sent; of a repeat it may differ from what the lead shows."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"first_name": "Ada", "phone": "+12125550143", "concern": "Evenings, please"}]}
    )

    first_name: str | None = None
    last_name: str | None = None
    phone: str | None = None
    email: str | None = None
    service_line: str | None = None
    concern: str | None = None
    urgency: str | None = None
    preferred_facility: str | None = None
    postal_code: str | None = None
    timezone: str | None = None
    language: str | None = None
    channels: list[Channel] | None = None
    best_times: list[str] | None = None
    insurance: dict[str, str] | None = None


class TimelineEntry(BaseModel):
    """One thing that happened. Which fields are there depends on `kind`; `no` is the fact's number."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "no": 4,
                    "at": "2026-11-23T15:00:00.210+00:00",
                    "kind": "touch",
                    "by": "system",
                    "id": "9a5b7f0e-2c65-5b0e-9c3b-7a4f1f2f9f55",
                    "enrollment": 1,
                    "step": "confirm",
                    "part": "sms",
                    "channel": "sms",
                    "status": "delivered",
                    "due_at": "2026-11-23T15:00:00.000+00:00",
                    "claimed_at": "2026-11-23T15:00:00.210+00:00",
                    "body": "Hello Ada ...",
                    "history": [{"status": "claimed", "at": "2026-11-23T15:00:00.210+00:00", "by": "system"}],
                }
            ]
        }
    )

    no: int
    at: Time = Field(description="For a touch: when it was claimed, else when it was decided.")
    kind: Literal[
        "inquired",
        "touch",
        "reply",
        "task",
        "call",
        "appointment",
        "consent",
        "opt_out",
        "paused",
        "resumed",
        "skipped",
        "enrolled",
        "note",
        "assigned",
        "decision",
        "rested",
        "finished",
    ]
    by: str = Field(description="A key's name, or system, lead, carrier.")

    id: str | None = Field(None, description="Of the touch or task.")
    enrollment: int | None = None
    step: str | None = None
    part: str | None = None
    channel: Channel | None = None
    status: TouchStatus | None = None
    rule: str | None = None
    reason: str | None = None
    code: str | None = Field(None, description="The provider's code.")
    due_at: Time | None = None
    claimed_at: Time | None = Field(None, description="Real time at which the touch was handed to a provider.")
    until: Time | None = None
    subject: str | None = None
    body: str | None = Field(None, description="What was written, for roles that may read it.")
    history: list[HistoryEntry] | None = None

    task_id: str | None = None
    task_kind: TaskKind | None = None
    state: TaskState | None = None
    claimed_by: str | None = None
    claim_by: Time | None = None
    disposition: Disposition | None = None
    outcome: Outcome | None = None
    notes: str | None = None
    script: str | None = None
    callback_at: Time | None = None

    message_id: str | None = None
    candidates: list[str] | None = None
    intent: str | None = None
    touch_id: str | None = None
    event: str | None = None
    in_flight: list[str] | None = Field(
        default=None,
        description="Of a stop, a pause or a booking: touches claimed, unknown or a person's own; they may arrive.",
    )
    appointment_id: str | None = None
    starts_at: Time | None = None
    occurred_at: Time | None = None
    facility: str | None = None
    purpose: str | None = None
    channels: list[Channel] | None = None
    cause: str | None = None
    mode: str | None = None
    of: Literal["all", "pause", "review"] | None = Field(
        None, description="What alone ended, over what holds on; `all`: nothing holds any more."
    )
    resume_after: float | None = Field(None, description="Product seconds.")
    sequence: str | None = None
    version: int | None = None
    text: str | None = None
    key_id: str | None = None
    name: str | None = None
    decision: str | None = None
    exit_reason: ExitReason | None = None
    source: str | None = None
    repeat: bool | None = None
    details: InquiryDetails | None = Field(None, description="Of an inquiry, for roles that may read it.")
    stopped: list[Channel] | None = None


class Timeline(BaseModel):
    model_config = example(lead_id=LEAD, items=[example_of(TimelineEntry)])

    lead_id: str
    items: list[TimelineEntry]


class UpcomingStep(BaseModel):
    model_config = example(
        step="link",
        part="sms",
        channel="sms",
        kind="sms",
        at="2026-11-24T15:00:00.000+00:00",
        reason="24 h after the start of the sequence",
    )

    step: str
    part: str
    channel: Channel | None
    kind: str
    at: Time | None
    reason: str


class Upcoming(BaseModel):
    """`held`: why nothing moves at present. The times are those after `until`.

    Where that is not known, because a person has the turn, only what turns on an appointment has a time.
    """

    model_config = example(lead_id=LEAD, held=None, until=None, items=[example_of(UpcomingStep)])

    lead_id: str
    held: str | None
    until: Time | None
    items: list[UpcomingStep]
