"""What a run looks like from outside once it is at rest: the carrier's outbox, and what the API shows."""

import json
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path

from domain.commands import RESUMED
from domain.touches import is_second
from tests.faults.record import Json

SPACING = timedelta(minutes=30)  # product time


@dataclass(frozen=True, slots=True)
class Violation:
    """`kind` is a word of `checker.KINDS`; `what` names steps and ids, nothing of a person."""

    kind: str
    lead_id: str
    what: str


@dataclass(frozen=True)
class Lead:
    """`row` as `GET /v1/leads/{id}` shows it."""

    id: str
    row: Json
    timeline: list[Json]

    @property
    def state(self) -> str:
        return str(self.row["state"])

    @property
    def touches(self) -> list[Json]:
        return self.of("touch")

    def of(self, kind: str) -> list[Json]:
        return [entry for entry in self.timeline if entry["kind"] == kind]


@dataclass(frozen=True)
class Seen:
    """`restless`: leads of which something is overdue, with where they stand. `tasks` as `GET /v1/tasks` lists them."""

    outbox: list[Json]
    leads: dict[str, Lead]
    tasks: dict[str, Json]
    restless: dict[str, str]
    now: str  # product time

    @cached_property
    def by_touch(self) -> dict[str, list[Json]]:
        found: dict[str, list[Json]] = {}
        for item in self.outbox:
            found.setdefault(str(item["touch_id"]), []).append(item)
        return found

    @cached_property
    def touches(self) -> dict[str, tuple[Lead, Json]]:
        return {touch["id"]: (lead, touch) for lead in self.leads.values() for touch in lead.touches}

    @cached_property
    def by_number(self) -> dict[int, Lead]:
        """By the number that the driver gave the lead, which its last name says."""
        return {number_of(lead): lead for lead in self.leads.values()}

    @cached_property
    def homes(self) -> dict[str, list[Lead]]:
        """By the phone: relatives share one."""
        found: dict[str, list[Lead]] = {}
        for lead in self.leads.values():
            found.setdefault(str(lead.row.get("phone")), []).append(lead)
        return found

    def bearing(self, mark: str) -> int:
        """How many texts at the carrier end with these words, second tries of one that failed left out."""
        found = [item["touch_id"] for item in self.outbox if str(item.get("body") or "").endswith(mark)]
        return sum(id_ not in self.touches or not is_second(self.touches[id_][1]["part"]) for id_ in found)

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self)))

    @classmethod
    def read(cls, path: Path) -> "Seen":
        raw = json.loads(path.read_text())
        return cls(**(raw | {"leads": {key: Lead(**value) for key, value in raw["leads"].items()}}))


def number_of(lead: Lead) -> int:
    return int(str(lead.row["last_name"]).rpartition(" ")[2])


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def claimed_at(touch: Json) -> datetime | None:
    """Real time; None if it never was."""
    return moment(touch["claimed_at"]) if touch.get("claimed_at") else None


def gone_on(lead: Lead) -> list[Json]:
    """When a person ended its pauses. What nobody carried out in time, and the end of a rest, are `resumed` too."""
    return [entry for entry in lead.of("resumed") if entry.get("cause") == RESUMED]


def own(touch: Json) -> bool:
    """A person's own message, or a call that a person dials."""
    return touch["step"] == "staff" or bool(touch.get("task_id"))


def waits(touch: Json, now: datetime) -> bool:
    """Put off, and its time has not come."""
    return touch["status"] == "delayed" and moment(touch.get("until") or touch["due_at"]) > now


def own_words_wait(timeline: list[Json], now: datetime) -> bool:
    """A person's message waits for the morning: it goes before anything that the machine would write."""
    return any(e["kind"] == "touch" and own(e) and waits(e, now) for e in timeline)


def in_hand(lead: Lead, touch: Json, now: datetime) -> bool:
    """A call that was put off for the night, and whose task a person may still take on, or has."""
    return any(
        task["state"] == "claimed"
        or (task["state"] == "open" and task.get("claim_by") and moment(task["claim_by"]) > now)
        for task in lead.of("task")
        if (task.get("step"), task.get("enrollment")) == (touch["step"], touch["enrollment"])
    )


def just_gone_on(lead: Lead, now: datetime) -> bool:
    """After an outage what had been put off goes half an hour apart."""
    return any(now - moment(entry["at"]) < SPACING for entry in lead.of("resumed"))


def unfinished(lead: Lead, touch: Json, now: datetime) -> bool:
    """Whether something should still become of the touch, and no person or later hour is waited for."""
    ended = lead.state == "finished" and not own(touch)
    held = lead.state not in ("finished", "active") or own_words_wait(lead.timeline, now)
    overdue = not (held or waits(touch, now) or in_hand(lead, touch, now) or just_gone_on(lead, now))
    return touch["status"] in ("claimed", "planned") or (touch["status"] == "delayed" and (ended or overdue))
