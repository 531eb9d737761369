"""The body of `POST /v1/leads`, checked and turned into what the store takes in."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from api.fields import Email, Ip, Line, Moment, Name, Phone, Plain, Text, Url, Word
from content.facilities import Facilities
from content.places import candidate_zones
from domain.errors import InvalidInput
from domain.sources import SourceChannel
from domain.touches import Channel
from store.intake import Intake


class Exact(BaseModel):
    """A request body: what is not known is refused, so that a slip of the pen is seen. An empty text is a value."""

    model_config = ConfigDict(extra="forbid")


class Form(Exact):
    """Of which an empty text counts as absent."""

    @model_validator(mode="before")
    @classmethod
    def _empty_is_absent(cls, raw: Any) -> Any:
        """Forms send empty texts for what was not filled in."""
        return {k: v for k, v in raw.items() if v != ""} if isinstance(raw, dict) else raw


class Insurance(Form):
    payer: Line | None = None
    member_id: Word | None = None


class Source(Form):
    """Where the inquiry came from."""

    channel: SourceChannel
    form: Line | None = None
    page: Url | None = None
    variant: Line | None = None
    campaign: Line | None = None
    ad_group: Line | None = None
    keyword: Line | None = None
    creative: Line | None = None
    referrer: Url | None = None
    click_ids: Annotated[dict[Word, Line], Field(max_length=20)] | None = None
    visitor_id: Line | None = None


class Touchpoint(BaseModel):
    """Something the person met before asking; fields of its own are kept."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[Word, Plain]

    channel: Word
    campaign: Line | None = None
    at: Moment


class Consent(Form):
    """A permission with its evidence: the text as shown."""

    channel: Channel
    purpose: Literal["care", "marketing"]
    text: Text
    at: Moment
    ip: Ip | None = None
    url: Url | None = None


class IntakeForm(Form):
    """An inquiry. Required: first_name, source.channel, and one of phone and email."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "first_name": "Ada",
                    "last_name": "Example",
                    "phone": "+12125550142",
                    "email": "ada@example.com",
                    "service_line": "medical_spa",
                    "concern": "Would like a first consultation",
                    "urgency": "routine",
                    "preferred_facility": "main",
                    "postal_code": "10001",
                    "channels": ["sms", "voice", "email"],
                    "source": {"channel": "web_form", "form": "contact", "campaign": "spring"},
                    "consents": [
                        {
                            "channel": "sms",
                            "purpose": "care",
                            "text": "You may text me about my request.",
                            "at": "2026-11-23T15:00:00.000+00:00",
                            "ip": "192.0.2.10",
                            "url": "https://clinic.example.com/contact",
                        }
                    ],
                }
            ]
        }
    )

    first_name: Name
    last_name: Name | None = None
    phone: Phone | None = None
    email: Email | None = None
    service_line: Line | None = None
    concern: Text | None = None
    urgency: Literal["routine", "soon", "urgent", "crisis"] = "routine"
    preferred_facility: (
        Annotated[
            Word, Field(description="A key of config/facilities.yaml; absent: the key's own, else the default one.")
        ]
        | None
    ) = None
    postal_code: Annotated[str, StringConstraints(pattern=r"^[0-9]{5}(-?[0-9]{4})?$")] | None = None
    timezone: Annotated[Word, Field(description="IANA name.", examples=["America/New_York"])] | None = None
    language: Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}$")] | None = None
    channels: Annotated[list[Channel], Field(max_length=3, description="How the person likes to be met.")] = []
    best_times: Annotated[list[Line], Field(max_length=20)] | None = None
    insurance: Insurance | None = None
    source: Source
    touchpoints: Annotated[list[Touchpoint], Field(max_length=50)] = []
    consents: Annotated[list[Consent], Field(max_length=20)] = []
    sequence: Annotated[Word, Field(description="One that does not turn on an appointment.")] | None = None
    is_test: bool = False

    @field_validator("best_times", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    def intake(self, facilities: tuple[str, ...], known: Facilities) -> Intake:
        """For the store. `facilities` are those of the key: it takes in leads for them alone. Raises InvalidInput."""
        if self.preferred_facility is not None:
            known.check("preferred_facility", self.preferred_facility)
        if self.phone is None and self.email is None:
            raise InvalidInput("phone", "give a phone or an email: without either nobody can answer")
        return Intake(
            first_name=self.first_name,
            last_name=self.last_name,
            phone=self.phone,
            email=self.email,
            service_line=self.service_line,
            concern=self.concern,
            urgency=self.urgency,
            preferred_facility=self._facility(facilities) or known.default,
            postal_code=self.postal_code,
            timezone=self.timezone,
            language=self.language,
            zones=candidate_zones(self.postal_code, self.timezone),
            channels=tuple(dict.fromkeys(c.value for c in self.channels)),
            details=self._details(),
            source=self.source.model_dump(exclude_none=True),
            touchpoints=[_stored(p) for p in self.touchpoints],
            consents=[c.model_dump() for c in self.consents],
            sequence=self.sequence,
            is_test=self.is_test,
        )

    def _facility(self, facilities: tuple[str, ...]) -> str | None:
        if not facilities:
            return self.preferred_facility
        if self.preferred_facility is None and len(facilities) == 1:
            return facilities[0]
        if self.preferred_facility not in facilities:
            raise InvalidInput("preferred_facility", f"this key takes in leads for {', '.join(facilities)}")
        return self.preferred_facility

    def _details(self) -> dict[str, Any]:
        details = {"insurance": self.insurance, "best_times": self.best_times}
        return {
            k: v.model_dump(exclude_none=True) if isinstance(v, BaseModel) else v
            for k, v in details.items()
            if v is not None
        }


def _stored(point: Touchpoint) -> dict[str, Any]:
    return point.model_dump(exclude_none=True)
