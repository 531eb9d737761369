"""What the demo knows of its leads, read from the API: a row for each, and a line for each thing that happened."""

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

import httpx

from demo.cast import Guest
from demo.client import Client, Json

LOOKS_AGAIN = 0.8  # real seconds after which a timeline is read though the lead's row has not changed
STAFF = {"persona": "the coordinator"}  # whose key acts, by its name
OWN_TOUCHES = {"staff": "answer", "stop": "stop"}  # touches of no sequence
CHANNEL_WORDS = {"sms": "text", "email": "e-mail", "voice": "call"}
_ON_THE_WAY = {"planned", "claimed"}


@dataclass(frozen=True, slots=True)
class Line:
    """Something that happened. `at` is product time."""

    at: datetime
    who: str
    step: str
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

    def runs(self, sequence: str) -> set[int]:
        """The numbers of this lead's enrollments in a sequence."""
        return {int(e["enrollment"]) for e in self.timeline if e["kind"] == "enrolled" and e["sequence"] == sequence}

    def touches(self) -> list[Json]:
        """A call that became a person's task shows in the calls of that."""
        found = [entry for entry in self.timeline if entry["kind"] == "touch"]
        return [touch for touch in found if touch.get("rule") != "call.by_a_person"]

    def step_of(self, touch_id: object) -> str:
        return next((str(touch["step"]) for touch in self.touches() if touch["id"] == touch_id), "")

    def call_ended(self, touch_id: object) -> str:
        """How the call of this touch ended, in words."""
        calls = (entry for entry in self.timeline if entry["kind"] == "call" and entry.get("touch_id") == touch_id)
        return next((_disposition(entry) for entry in calls), "")

    def last_touch(self) -> Json | None:
        done = [t for t in self.touches() if t.get("channel") and t["status"] not in _ON_THE_WAY]
        return max(done, key=lambda touch: str(touch["history"][-1]["at"]), default=None)


class Board:
    """All leads of the demo, and what happened to them, oldest first."""

    def __init__(self, tend: Client, zone: ZoneInfo) -> None:
        self._tend = tend
        self._zone = zone
        self.leads: list[Watched] = []
        self.feed: list[Line] = []

    def add(self, guest: Guest, lead_id: str) -> None:
        self.leads.append(Watched(guest, lead_id))

    @property
    def finished(self) -> bool:
        return bool(self.leads) and all(lead.finished for lead in self.leads)

    async def refresh(self, *, thoroughly: bool = False) -> None:
        """Reads what may have changed (or all); nothing where the API is away for the moment."""
        try:
            page = await self._tend.leads()
            fresh = {row["id"]: row for row in page}
            await asyncio.gather(*(self._read(lead, fresh.get(lead.lead_id), thoroughly) for lead in self.leads))
        except httpx.HTTPError:
            return
        new = [line for lead in self.leads for line in self._news(lead)]
        self.feed = sorted([*self.feed, *new], key=lambda line: (line.at, line.order))

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
                told = _tell(lead, entry, steps[number], self._zone)
                if told is not None:
                    at = datetime.fromisoformat(steps[number]["at"])
                    last = 1000 if entry["kind"] == "finished" else 0
                    yield Line(at, lead.guest.first_name, *told, order=(last + number, entry["no"]))
            lead.seen[key] = len(steps)


def _tell(  # noqa: PLR0912 - one case a kind
    lead: Watched, entry: Json, step: Json, zone: ZoneInfo
) -> tuple[str, str, str] | None:
    """The step, what happened and why, in a few words; None for what needs no line of its own."""
    match entry["kind"]:
        case "inquired":
            return "", "asks", f"by {entry.get('source', 'web_form').replace('_', ' ')}"
        case "enrolled":
            return "", f"begins {entry['sequence']}, version {entry['version']}", _spaced(entry.get("cause"))
        case "touch":
            return _touch(lead, entry, step)
        case "task":
            return _task(entry, step)
        case "reply":
            return "", f'writes "{entry.get("body") or ""}"', ""
        case "call":
            return lead.step_of(entry.get("touch_id")), "call ended: " + _disposition(entry), ""
        case "appointment":
            starts = datetime.fromisoformat(entry["starts_at"]).astimezone(zone) if entry.get("starts_at") else None
            return "", f"appointment: {_spaced(entry['event'])}", f"for {starts:%a %H:%M}" if starts else ""
        case "opt_out":
            return "", f"opted out of {' and '.join(entry['channels'])}", _spaced(entry.get("cause"))
        case "rested":
            return "", "cadence rests", _spaced(entry.get("cause"))
        case "resumed":
            return "", "cadence goes on", _spaced(entry.get("cause"))
        case "finished":
            return "", f"finished: {_spaced(entry['exit_reason'])}", ""
        case "decision":
            return "", str(entry.get("decision", "decided")), _spaced(entry.get("cause") or entry.get("reason"))
        case "paused" | "skipped" | "note" | "assigned" | "merged" as kind:
            return "", kind, _spaced(entry.get("reason"))
        case _:
            return None


def _touch(lead: Watched, entry: Json, step: Json) -> tuple[str, str, str] | None:
    status, channel = step["status"], entry.get("channel")
    if status in _ON_THE_WAY or channel is None:
        return None  # a wait that ended sends nothing
    if (
        step.get("rule") == "call.by_a_person"
        or status == "delivered"
        or (channel == "voice" and entry.get("task_id") and status != "accepted")
    ):
        return None  # a call's end has a line of its own
    said = {"accepted": "dialled" if channel == "voice" else "sent"}.get(status, status)
    why = _why_then(lead, entry) if status == "accepted" else step.get("reason") or ""
    name = OWN_TOUCHES.get(str(entry["step"]), str(entry["step"]))
    return name, f"{CHANNEL_WORDS[channel]} {said}", why


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


def _task(entry: Json, step: Json) -> tuple[str, str, str] | None:
    kind, status, reason = entry["task_kind"], step["status"], step.get("reason") or ""
    name = entry.get("step") or ""
    if status == "done":
        outcome = entry.get("outcome")
        return (name, f"{kind} task done: {_spaced(outcome)}", reason) if outcome else None
    if status == "missed" and kind == "call":
        return None  # the touch has that line
    by = f" by {STAFF.get(entry['claimed_by'], 'a person')}" if status == "claimed" and entry.get("claimed_by") else ""
    return name, f"{kind} task {'opens' if status == 'open' else status}{by}", reason


def _disposition(call: Json) -> str:
    return _spaced(call["disposition"]).replace("answered by person", "answered")


def _spaced(word: object) -> str:
    return str(word or "").replace("_", " ")
