"""What the API answers. Times are ISO 8601 with offset and milliseconds, in product time unless said otherwise."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from api.fields import Time
from domain.facts import AppointmentStatus, ExitReason, TaskKind, TaskState
from domain.lead_state import Stage, State
from domain.touches import Channel

LEAD = "3f0c1d9e-5b1a-4c8e-9a53-0f6d2f1f7b11"
InFlight = Annotated[
    list[str],
    Field(description="Touches that may still arrive: claimed, unknown, or a person's own (words, a dialled call)."),
]


def example(**fields: Any) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": [fields]})


def example_of(model: type[BaseModel]) -> Any:
    """What is shown as an answer of this shape."""
    extra = model.model_config["json_schema_extra"]
    assert isinstance(extra, dict)
    examples = extra["examples"]
    assert isinstance(examples, list)
    return examples[0]


class TakenIn(BaseModel):
    """`duplicate_of`: a repeat inquiry of this living lead (never told to an intake key)."""

    model_config = example(
        lead_id=LEAD,
        workflow_id=f"lead/{LEAD}",
        state="starting",
        duplicate_of=None,
        sequence="consultation",
        sequence_version=1,
    )

    lead_id: str
    workflow_id: str
    state: State
    duplicate_of: str | None
    sequence: str
    sequence_version: int


class Applied(BaseModel):
    """What a command did. `workflow`: whether Temporal has heard of it within 200 ms; it holds either way."""

    model_config = example(
        lead_id=LEAD, state="paused", stage="contacted", paused=True, workflow="applied", in_flight=[]
    )

    lead_id: str
    state: State
    stage: Stage
    paused: bool
    workflow: Literal["applied", "pending"]
    in_flight: InFlight


class Written(BaseModel):
    model_config = example(touch_id="9a5b7f0e-2c65-5b0e-9c3b-7a4f1f2f9f55")

    touch_id: str


class Booked(BaseModel):
    """`changed`: false when the event told nothing new."""

    model_config = example(lead_id=LEAD, appointment_id="appt-1001", changed=True, state="active", in_flight=[])

    lead_id: Annotated[str | None, Field(description="Null: the event is kept until one tells whose it is.")]
    appointment_id: str
    changed: bool
    state: State | None
    in_flight: InFlight


class SequenceRef(BaseModel):
    key: str
    version: int
    enrollment: int


class NextStep(BaseModel):
    step: str | None
    kind: str | None = Field(description="sms, email, call, task, wait; pause or rest while held")
    channel: Channel | None
    at: Time | None
    reason: str | None


class Owner(BaseModel):
    id: str
    name: str | None


class LeadSummary(BaseModel):
    model_config = example(
        id=LEAD,
        first_name="Ada",
        last_name="Example",
        phone="+12125550142",
        email="ada@example.com",
        state="active",
        stage="contacted",
        paused=False,
        exit_reason=None,
        sequence={"key": "consultation", "version": 1, "enrollment": 1},
        next_step={
            "step": "call1",
            "kind": "call",
            "channel": "voice",
            "at": "2026-11-23T15:02:00.000+00:00",
            "reason": "2 min after the start of the sequence",
        },
        owner=None,
        urgency="routine",
        preferred_facility="main",
        is_test=False,
        created_at="2026-11-23T15:00:00.000+00:00",
    )

    id: str
    first_name: str
    last_name: str | None
    phone: str | None
    email: str | None
    state: State
    stage: Stage
    paused: bool
    exit_reason: ExitReason | None
    sequence: SequenceRef | None
    next_step: NextStep | None
    owner: Owner | None
    urgency: str
    preferred_facility: str | None
    is_test: bool
    created_at: Time


class LeadPage(BaseModel):
    model_config = example(items=[example_of(LeadSummary)], next_cursor=None)

    items: list[LeadSummary]
    next_cursor: str | None = Field(description="Give it as `cursor` for the next page; null at the end.")


class Stop(BaseModel):
    """A channel closed for an address; it holds for every lead that shares it."""

    channel: Channel
    cause: str
    at: Time


class Address(BaseModel):
    kind: Literal["phone", "email"]
    value: str
    wrong: bool = Field(description="A person found that it is not the lead's: nothing goes there.")
    stops: list[Stop]


class ConsentRecord(BaseModel):
    channel: Channel
    purpose: str
    text: str
    at: Time
    ip: str | None
    url: str | None


class SourceStamp(BaseModel):
    """One inquiry's origin, as stamped then."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, JsonValue]

    channel: str
    at: Time


class AppointmentView(BaseModel):
    id: str
    status: AppointmentStatus
    starts_at: Time | None
    facility: str | None


class OpenTask(BaseModel):
    id: str
    kind: TaskKind
    state: TaskState
    due_at: Time
    claimed_by: Owner | None


class Lead(LeadSummary):
    service_line: str | None
    inquired_at: Time = Field(description="The newest inquiry: the clock of the first answer runs from here.")
    concern: str | None = Field(
        description="Null, like `best_times`, `insurance` and an `ip`, for who may not read it."
    )
    postal_code: str | None
    timezone: str | None
    language: str | None
    channels: list[Channel]
    best_times: list[str] | None
    insurance: dict[str, str] | None
    addresses: list[Address]
    consents: list[ConsentRecord]
    score: float | None = Field(description="Not scored yet: null.")
    sources: list[SourceStamp]
    touchpoints: list[SourceStamp]
    appointments: list[AppointmentView]
    open_tasks: list[OpenTask]
    finished_at: Time | None


class Health(BaseModel):
    model_config = example(status="ok")

    status: Literal["ok"]


class Readiness(BaseModel):
    """Every dependency by name: ok, or what is wrong."""

    model_config = example(
        status="ready", checks={"postgres": "ok", "sequences": "ok", "temporal": "ok", "workers": "ok", "carrier": "ok"}
    )

    status: Literal["ready", "not ready"]
    checks: dict[str, str]
