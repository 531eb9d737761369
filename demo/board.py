"""What the demo knows of its leads, read from the API: a row for each, and a line for each thing that happened."""

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

import httpx

from demo.cast import Guest
from demo.client import Client, Json

LOOKS_AGAIN = 0.8  # real seconds after which a timeline is read though the lead's row has not changed
CHANNEL_WORDS = {"sms": "text", "email": "e-mail", "voice": "call"}
_ON_THE_WAY = {"planned", "claimed"}


@dataclass(frozen=True, slots=True)
class Line:
    """Something that happened. `at` is product time."""

    at: datetime
    who: str
    what: str
    why: str = ""
    order: tuple[int, int] = (0, 0)  # of what happened at one time


@dataclass
class Watched:
    """One lead: its row in the list of leads and its timeline, as last read."""

    guest: Guest
    lead_id: str
    summary: Json = field(default_factory=dict)
    timeline: list[Json] = field(default_factory=list)
    reasons: dict[tuple[int, str], str] = field(default_factory=dict)  # why a step falls when it does
    seen: dict[str, int] = field(default_factory=dict)
    read_at: float = 0.0

    @property
    def finished(self) -> bool:
        return self.summary.get("state") == "finished"

    @property
    def enrollment(self) -> int:
        return int((self.summary.get("sequence") or {}).get("enrollment", 0))

    def touches(self) -> list[Json]:
        return [entry for entry in self.timeline if entry["kind"] == "touch"]

    def last_touch(self) -> Json | None:
        done = [touch for touch in self.touches() if touch["status"] not in _ON_THE_WAY]
        return max(done, key=lambda touch: str(touch["history"][-1]["at"]), default=None)


class Board:
    """All leads of the demo. `refresh` answers what is new since the last time."""

    def __init__(self, tend: Client) -> None:
        self._tend = tend
        self.leads: list[Watched] = []
        self.feed: list[Line] = []

    def add(self, guest: Guest, lead_id: str) -> None:
        self.leads.append(Watched(guest, lead_id))

    @property
    def finished(self) -> bool:
        return bool(self.leads) and all(lead.finished for lead in self.leads)

    async def refresh(self, *, thoroughly: bool = False) -> list[Line]:
        """Reads what may have changed (or all); nothing where the API is away for the moment."""
        try:
            page = await self._tend.leads()
            fresh = {row["id"]: row for row in page}
            await asyncio.gather(*(self._read(lead, fresh.get(lead.lead_id), thoroughly) for lead in self.leads))
        except httpx.HTTPError:
            return []
        new = sorted((line for lead in self.leads for line in self._news(lead)), key=lambda line: (line.at, line.order))
        self.feed += new
        return new

    async def _read(self, lead: Watched, row: Json | None, thoroughly: bool) -> None:
        if row is None:
            return
        before, changed = lead.enrollment, row != lead.summary
        lead.summary = row
        if lead.enrollment != before:
            for step in await self._tend.upcoming(lead.lead_id):
                lead.reasons.setdefault((lead.enrollment, step["step"]), step["reason"].partition(";")[0])
        if thoroughly or changed or time.monotonic() - lead.read_at > LOOKS_AGAIN:
            lead.timeline = await self._tend.timeline(lead.lead_id)
            lead.read_at = time.monotonic()

    def _news(self, lead: Watched) -> Iterable[Line]:
        """Lines for what the timeline holds beyond what was seen of it."""
        for entry in lead.timeline:
            key = entry.get("id") or f"fact {entry['no']}"
            steps = entry.get("history") or [entry]
            for number in range(lead.seen.get(key, 0), len(steps)):
                told = _tell(lead, entry, steps[number])
                if told is not None:
                    at = datetime.fromisoformat(steps[number]["at"])
                    last = 1000 if entry["kind"] == "finished" else 0
                    yield Line(at, lead.guest.name, *told, order=(last + number, entry["no"]))
            lead.seen[key] = len(steps)


def _tell(lead: Watched, entry: Json, step: Json) -> tuple[str, str] | None:  # noqa: PLR0912 - one case a kind
    """What happened and why, in a few words; None for what needs no line of its own."""
    match entry["kind"]:
        case "inquired":
            return "asks", f"by {entry.get('source', 'web_form').replace('_', ' ')}"
        case "enrolled":
            return f"begins {entry['sequence']} (version {entry['version']})", str(entry.get("cause", ""))
        case "touch":
            return _touch(lead, entry, step)
        case "task":
            return _task(entry, step)
        case "reply":
            return f'writes "{entry.get("body") or ""}"', ""
        case "call":
            return "call ended: " + entry["disposition"].replace("_", " "), ""
        case "appointment":
            when = entry.get("starts_at")
            return f"appointment {entry['event'].replace('_', ' ')}", f"for {when[:16]}Z" if when else ""
        case "opt_out":
            return f"opted out of {' and '.join(entry['channels'])}", str(entry.get("cause", ""))
        case "rested":
            return "cadence rests", str(entry.get("cause", ""))
        case "resumed":
            return "cadence goes on", str(entry.get("cause", ""))
        case "finished":
            return "finished", entry["exit_reason"].replace("_", " ")
        case "decision":
            return str(entry.get("decision", "decided")), str(entry.get("cause") or entry.get("reason") or "")
        case "paused" | "skipped" | "note" | "assigned" | "merged" as kind:
            return kind, str(entry.get("reason") or "")
        case _:
            return None


def _touch(lead: Watched, entry: Json, step: Json) -> tuple[str, str] | None:
    status, channel = step["status"], entry.get("channel")
    if status in _ON_THE_WAY:
        return None
    if status == "delivered" or (channel == "voice" and entry.get("task_id") and status != "accepted"):
        return None  # a call's end has a line of its own
    said = {"accepted": "dialled" if channel == "voice" else "sent"}.get(status, status)
    why = _why_then(lead, entry) if status == "accepted" else step.get("reason") or ""
    name = {"staff": "of a person", "stop": "confirming the stop"}.get(entry["step"], entry["step"])
    return f"{CHANNEL_WORDS.get(channel or '', 'step')} {name}: {said}", why


def _why_then(lead: Watched, entry: Json) -> str:
    """Why it went out when it did."""
    if entry["step"] in {"staff", "stop"}:
        return ""
    starts = [e["at"] for e in lead.timeline if e["kind"] == "enrolled" and e["enrollment"] == entry["enrollment"]]
    if entry.get("due_at") in starts:
        return "at the start of the sequence"
    if entry["part"] == "at_once":
        return f"at once, because {entry['step']} itself must wait"
    return lead.reasons.get((entry["enrollment"], entry["step"]), "")


def _task(entry: Json, step: Json) -> tuple[str, str]:
    kind, status = entry["task_kind"], step["status"]
    about = f" for {entry['step']}" if entry.get("step") else ""
    if status == "done" and entry.get("outcome"):
        return f"{kind} task{about}: done, {entry['outcome'].replace('_', ' ')}", step.get("reason") or ""
    by = f" by {entry['claimed_by']}" if status == "claimed" and entry.get("claimed_by") else ""
    return f"{kind} task{about}: {status}{by}", step.get("reason") or ""
