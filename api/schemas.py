"""Bodies of the other requests."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, ValidationInfo, field_validator

from api.answers import example
from api.fields import Email, Id, Line, Moment, Opaque, Phone, Sought, Text, Word
from api.intake_form import Exact, Form
from domain.facts import BookingEvent, Outcome
from domain.lead_state import Stage, State
from domain.touches import Channel, Disposition

Limit = Annotated[int, Field(ge=1, le=200, description="How many at most.", examples=[50])]
Cursor = Annotated[
    str,
    StringConstraints(max_length=300),
    Field(description="`next_cursor` of the page before; absent: the first page.", examples=["eyJpZCI6IC4uLn0.c2ln"]),
]
LONGEST_SMS = 1600  # what Twilio takes (error 21617 above it)


class Search(Form):
    """The filters of `GET /v1/leads`, kept out of addresses. `q`: an exact phone, e-mail or name."""

    model_config = example(q="ada@example.com", state="active", limit=50)

    state: State | None = None
    stage: Stage | None = None
    facility: Annotated[Word, Field(examples=["main"])] | None = None
    q: Annotated[Sought, Field(examples=["ada@example.com"])] | None = None
    cursor: Cursor | None = None
    limit: Limit = 50


class Pause(Form):
    model_config = example(reason="asked for time to think", until="2036-11-30T15:00:00.000+00:00")

    reason: Line
    until: Annotated[Moment, Field(description="When it resumes by itself; absent: not before somebody resumes.")] | (
        None
    ) = None


class Resume(Exact):
    model_config = example(mode="shift")

    mode: Annotated[
        Literal["shift", "catch_up", "skip_expired"],
        Field(
            description="`shift`: what is left moves by the time rested. `catch_up`: what is overdue is done now, at "
            "least half an hour apart; `skip_expired`: it is left out, and says why. In both what is not yet due keeps "
            "its time."
        ),
    ]
    of: Annotated[
        Literal["review", "pause", "rest"] | None,
        Field(description="What is to end; 409 where something else holds the lead now. Absent: whatever does."),
    ] = None


class OptOut(Form):
    """No channels: all of them."""

    model_config = example(channels=["sms", "voice"])

    channels: Annotated[list[Channel], Field(min_length=1, max_length=3)] | None = None


class Disqualify(Form):
    model_config = example(reason="looks for a service we do not offer")

    reason: Line


class Enroll(Form):
    model_config = example(sequence="recovery")

    sequence: Word
    version: Annotated[int, Field(ge=1, le=1_000_000, description="Absent: the latest.")] | None = None


class Message(Form):
    """A person's own words to the lead."""

    model_config = example(channel="sms", body="Thank you for writing. We will call you today.")

    channel: Literal["sms", "email"]
    body: Annotated[Text, Field(description=f"An SMS holds at most {LONGEST_SMS} characters.")]
    read_to: Annotated[
        int | None, Field(ge=0, description="The `no` of the newest item on the timeline that the writer has read.")
    ] = None

    @field_validator("body")
    @classmethod
    def _fits(cls, body: str, info: ValidationInfo) -> str:
        units = len(body.encode("utf-16-le")) // 2  # as carriers count: most emoji are two
        if info.data.get("channel") == "sms" and units > LONGEST_SMS:
            raise ValueError(f"an SMS holds at most {LONGEST_SMS} characters, and this has {units}: use email")
        return body


class Note(Form):
    model_config = example(text="Prefers mornings.")

    text: Text


class Assign(Form):
    """`to` is the id of a key in use (`tend keys list`)."""

    model_config = example(to="3f0c1d9e-5b1a-4c8e-9a53-0f6d2f1f7b11")

    to: Id


class BookingForm(Form):
    """What a scheduler says of one appointment. Its first event names the lead: lead_id, phone or email."""

    model_config = example(
        event="booked",
        appointment_id="appt-1001",
        phone="+12125550142",
        starts_at="2026-11-30T15:00:00.000+00:00",
        facility="main",
        occurred_at="2026-11-23T15:00:00.000+00:00",
    )

    event: BookingEvent
    appointment_id: Annotated[
        Opaque, Field(description="The scheduler's own id, the same in all its events; nothing that tells of a person.")
    ]
    lead_id: Id | None = None
    phone: Phone | None = None
    email: Email | None = None
    starts_at: Moment | None = None
    facility: Annotated[Word, Field(description="Absent: the lead's at first, then as it was.")] | None = None
    occurred_at: Annotated[Moment, Field(description="Decides between events of one appointment, in any order.")]


class Complete(Form):
    """`lead_id`: for a reply that several leads may have written, whose it is."""

    model_config = example(disposition="answered_by_person", outcome="reached", notes="Would like to come next week.")

    disposition: Disposition | None = None
    outcome: Outcome | None = None
    notes: Text | None = None
    callback_at: Moment | None = None
    lead_id: Id | None = None
