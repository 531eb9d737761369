"""The story that the end-to-end tests tell: who asks, how each persona reacts, and the waiting for it."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import httpx
import pytest

from demo.client import Client, Json
from demo.launch import Launched

SENT = {"accepted", "delivered", "undelivered"}
BEGINS = datetime(2026, 3, 3, 15, 0, tzinfo=UTC)  # a Tuesday, 10:00 in New York

# name and concern are words that nothing but these leads would hold
PEOPLE = (
    ("Mondragora", "Testford", "voicemail"),
    ("Quillandra", "Testfield", "eager"),
    ("Oxbertha", "Testbrook", "opts_out"),
    ("Wyndelle", "Testwell", "books"),
    ("Jorvinia", "Testham", "no_show"),
    ("Kestrelle", "Testwick", "answers"),
    ("Zephyrine", "Testmark", "silent"),
    ("Ulfgarda", "Testdale", "silent"),
)


@dataclass(frozen=True)
class Person:
    first_name: str
    last_name: str
    persona: str
    number: int

    @property
    def phone(self) -> str:
        return f"+121255501{self.number:02}"

    @property
    def email(self) -> str:
        return f"{self.first_name}.{self.last_name}@example.com".lower()

    @property
    def concern(self) -> str:
        return f"Wonders about matter {self.last_name.lower()}-{self.number} and its remedy"

    def inquiry(self) -> Json:
        return {
            "first_name": self.first_name,
            "last_name": self.last_name,
            "phone": self.phone,
            "email": self.email,
            "concern": self.concern,
            "service_line": "consultation",
            "postal_code": "10001",
            "insurance": {"payer": "Sample Payer", "member_id": f"MEMBER-{self.last_name}-{self.number}"},
            "source": {"channel": "web_form", "form": "contact"},
            "consents": [
                {
                    "channel": "sms",
                    "purpose": "care",
                    "text": "You may text me about my request.",
                    "at": "2026-03-03T10:00:00.000-05:00",
                    "ip": "192.0.2.77",
                }
            ],
        }


@dataclass
class Told:
    """One lead as the API tells it at the end."""

    person: Person
    lead_id: str
    summary: Json = field(default_factory=dict)
    timeline: list[Json] = field(default_factory=list)

    def kind(self, kind: str) -> list[Json]:
        return [entry for entry in self.timeline if entry["kind"] == kind]

    @property
    def enrollment(self) -> int:
        return int(self.summary["sequence"]["enrollment"])

    @property
    def touches(self) -> list[Json]:
        """Touches that go by a channel; a wait is none."""
        return [touch for touch in self.kind("touch") if touch.get("channel")]

    def sent(self, enrollment: int | None = None) -> Counter[tuple[str, str]]:
        """Step and channel of what went out."""
        return Counter(
            (touch["step"], touch["channel"])
            for touch in self.touches
            if touch["status"] in SENT and enrollment in (None, touch["enrollment"])
        )

    def called(self, step: str) -> bool:
        """Whether the call of a step was made, or missed because nobody claimed it."""
        found = [touch for touch in self.touches if touch["step"] == step and touch["channel"] == "voice"]
        return any(touch["status"] in SENT | {"missed", "unknown"} for touch in found)

    def describe(self) -> str:
        rows = [
            f"{t['no']:3} {t['at'][5:19]} {t['enrollment']} {t['step']}/{t['part']} {t['status']} {t.get('rule') or ''}"
            for t in self.touches
        ]
        return f"{self.person.persona}: {self.summary.get('state')}\n  " + "\n  ".join(rows)


@dataclass
class Story:
    """What happened, with the stack still up."""

    launched: Launched
    leads: list[Told]
    outbox: list[Json]

    def of(self, persona: str) -> list[Told]:
        return [lead for lead in self.leads if lead.person.persona == persona]

    @property
    def words(self) -> Iterable[str]:
        """All that is of a person: who they are, and what was written to and by them."""
        for lead in self.leads:
            person = lead.person
            yield from (person.first_name, person.last_name, person.phone, person.email, person.concern)
            yield f"MEMBER-{person.last_name}-{person.number}"
            for entry in lead.timeline:
                yield from (text for text in (entry.get("body"), entry.get("notes")) if text and len(text) > 7)
        for item in self.outbox:
            yield from (text for text in (item.get("body"), item.get("text"), item.get("html")) if text)


async def until(holds: Callable[[], Awaitable[bool]], what: str, within: float) -> None:
    """Waits until it holds; fails after a generous time, saying what never came. A part that is away is waited for."""
    deadline = time.monotonic() + within
    while True:
        try:
            if await holds():
                return
        except httpx.HTTPError:
            pass
        if time.monotonic() > deadline:
            pytest.fail(f"not within {within:.0f} s: {what}")
        await asyncio.sleep(0.1)


async def read(tend: Client, told: list[Told]) -> None:
    """The leads' rows and timelines anew."""
    rows = {row["id"]: row for row in await tend.leads()}
    for lead in told:
        lead.summary = rows[lead.lead_id]
        lead.timeline = await tend.timeline(lead.lead_id)
