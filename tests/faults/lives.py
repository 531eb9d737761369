"""The leads of a round, and the people who steer them, as they ask, write, stop, book: one coroutine a lead."""

import asyncio
import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from config.data_dir import DataDir
from domain.clock import Clock
from tests.faults.caller import Caller
from tests.faults.plan import Act, Life
from tests.faults.record import Json

STARTS_IN = timedelta(days=2)  # product time from a booking to its appointment
TOLD_BEFORE = timedelta(minutes=30)  # what was told too late happened so long before


@dataclass(slots=True)
class Lives:
    caller: Caller
    directory: DataDir
    began: float = field(default_factory=time.monotonic)

    async def live(self, life: Life) -> None:
        await self._at(life.asks_at)
        asked = await self.caller.ask("ask", life.number, f"ask-{life.number}", "/v1/leads", _inquiry(life))
        if not asked.accepted:
            return
        lead = _Lead(life, str(asked.answer["lead_id"]), self)
        for act in life.acts:
            await self._at(act.at)
            await lead.do(act)

    async def _at(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, self.began + seconds - time.monotonic()))


@dataclass(slots=True)
class _Lead:
    life: Life
    id: str
    lives: Lives
    events: dict[str, Json] = field(default_factory=dict)  # of its appointment, as told
    note: str = ""
    task: Json | None = None  # that a person means to work on

    async def do(self, act: Act) -> None:
        caller, number, mark = self.lives.caller, self.life.number, f"{act.verb}-{self.life.number}-{act.n}"
        match act.verb:
            case "ask_again":
                await caller.ask(act.verb, number, mark, "/v1/leads", _inquiry(self.life), lead_id=self.id)
            case "reply":
                await caller.text(act.verb, number, self.life.phone, f"A question, {mark}", self.id)
            case "stop_text":
                await caller.text(act.verb, number, self.life.phone, "STOP", self.id)
            case "note":
                self.note = mark
                await self._post(act, mark, "notes", {"text": mark})
            case "repeat":
                await self._post(act, self.note, "notes", {"text": self.note})
            case "answer" | "message":
                await self._post(act, mark, "messages", {"channel": "sms", "body": f"Our answer, {mark}"})
            case "pause" | "disqualify":
                await self._post(act, mark, act.verb, {"reason": mark})
            case "resume":
                await self._post(act, mark, "resume", {"mode": "shift"})
            case "skip":
                await self._post(act, mark, "skip", {})
            case "enroll":
                await self._post(act, mark, "enroll", {"sequence": "recovery"})
            case "claim":
                self.task = await caller.work(self.id)
                await self._at_work(act, mark, {})
            case "complete":
                called = self.task is not None and self.task["kind"] != "reply"
                await self._at_work(act, mark, {"notes": mark} | ({"disposition": "no_answer"} if called else {}))
            case "opt_out":
                await self._post(act, mark, "opt-out", {})
            case _:
                await caller.ask(act.verb, number, mark, "/v1/bookings", self._event(act.verb), lead_id=self.id)

    async def _post(self, act: Act, mark: str, path: str, body: Json) -> None:
        where = f"/v1/leads/{self.id}/{path}"
        await self.lives.caller.ask(act.verb, self.life.number, mark, where, body, lead_id=self.id)

    async def _at_work(self, act: Act, mark: str, body: Json) -> None:
        if self.task is not None:
            where = f"/v1/tasks/{self.task['id']}/{act.verb}"
            await self.lives.caller.ask(act.verb, self.life.number, mark, where, body, lead_id=self.id)

    def _event(self, event: str) -> Json:
        """The same body if it was told before; a booking told after its cancellation had come before it."""
        if event in self.events:
            return self.events[event]
        now = Clock.read(self.lives.directory.clock).now()
        occurred = now - TOLD_BEFORE if event == "booked" else now
        told: Json = {"event": event, "appointment_id": f"appt-{self.life.number}", "lead_id": self.id}
        told["occurred_at"] = occurred.isoformat(timespec="milliseconds")
        if event in ("booked", "rescheduled"):
            starts = now + STARTS_IN * (2 if event == "rescheduled" else 1)
            told |= {"starts_at": starts.replace(microsecond=0).isoformat(), "facility": "main"}
        if "cancelled" in self.events and event == "booked":
            before = min(e["occurred_at"] for e in self.events.values())
            told["occurred_at"] = _earlier(before)
        self.events[event] = told
        return told


def _earlier(moment: str) -> str:
    return (datetime.fromisoformat(moment) - TOLD_BEFORE).isoformat(timespec="milliseconds")


def _inquiry(life: Life) -> Json:
    return {
        "first_name": "Test",
        "last_name": f"Lead {life.number}",
        "phone": life.phone,
        "email": life.email,
        "postal_code": "10001",
        "source": {"channel": "web_form", "form": "faults"},
    }
