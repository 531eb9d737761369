"""A running stack to try one reaction after the other on: what the API tells, the workflow knows, the carrier got."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from temporalio.client import Client as Temporal
from temporalio.client import WorkflowExecutionStatus
from temporalio.service import RPCError

from demo.client import Client, Json
from demo.launch import Launched
from domain.clock import Clock
from tests.e2e.story import until
from workflows.messages import Snapshot
from workflows.names import workflow_id

PACE = 60  # a product minute a real second: two until the first call, a real minute until the first mail
WITHIN = 30.0  # real seconds, generous: how fast it is, `python -m bench reactions` measures
NUMBERS = itertools.count()


@dataclass
class Clinic:
    """The running stack, and one lead after the other."""

    launched: Launched
    tend: Client
    temporal: Temporal

    @property
    def now(self) -> datetime:
        """Product time."""
        return Clock.read(self.launched.directory.clock).now()

    async def lead(self, persona: str | None = None, **more: Any) -> "Lead":
        """A lead whose first text is at the carrier."""
        number = next(NUMBERS)
        area, rest = divmod(number, 100)
        phone = f"+1{(212, 646)[area]}55501{rest:02}"
        if persona is not None:
            await self.tend.set_persona(phone, persona)
        asked = {"first_name": "Test", "last_name": f"Person {number}", "phone": phone, "postal_code": "10001"}
        asked |= {"email": f"person{number}@example.com", "source": {"channel": "web_form"}} | more
        lead = Lead(self, (await self.tend.take_in(asked))["lead_id"], phone, str(asked["email"]))
        await lead.until("its first text", lambda s: "confirm" in s.sent("sms"))
        return lead


@dataclass
class Seen:
    """What is told of a lead at one moment."""

    lead: Json
    timeline: list[Json]
    snapshot: Snapshot | None
    closed: bool
    arrived: list[Json]

    def of(self, kind: str) -> list[Json]:
        return [entry for entry in self.timeline if entry["kind"] == kind]

    def touches(self, step: str) -> list[Json]:
        return [t for t in self.of("touch") if t["step"] == step]

    def sent(self, channel: str) -> list[str]:
        """Steps of the touches of this channel that the carrier holds."""
        ids = {item["touch_id"] for item in self.arrived if item["channel"] == channel}
        return [t["step"] for t in self.of("touch") if t["id"] in ids]

    def tasks(self, kind: str, *states: str) -> list[Json]:
        return [t for t in self.of("task") if t["task_kind"] == kind and (not states or t["state"] in states)]

    def stands(self, state: str, sequence: str | None = None) -> bool:
        """Whether database and workflow both say so."""
        if self.lead["state"] != state or (sequence and self.lead["sequence"]["key"] != sequence):
            return False
        return self.closed if state == "finished" else self.snapshot is not None and self.snapshot.state == state


@dataclass
class Lead:
    clinic: Clinic
    id: str
    phone: str
    email: str

    async def see(self) -> Seen:
        tend, handle = self.clinic.tend, self.clinic.temporal.get_workflow_handle(workflow_id(self.id))
        try:
            closed = (await handle.describe()).status is WorkflowExecutionStatus.COMPLETED
            snapshot = None if closed else await handle.query("snapshot", result_type=Snapshot)
        except RPCError:
            closed, snapshot = False, None  # not begun yet, or just being renewed
        arrived = await tend.outbox(to=self.phone) + await tend.outbox(to=self.email)
        timeline = await tend.timeline(self.id)
        return Seen(await tend.lead(self.id), timeline, snapshot, closed, arrived)  # the row is the newest of all

    async def until(self, what: str, holds: Callable[[Seen], bool]) -> Seen:
        seen: list[Seen] = []

        async def look() -> bool:
            seen.append(await self.see())
            return holds(seen[-1])

        await until(look, what, WITHIN)
        return seen[-1]

    async def post(self, command: str, body: Json | None = None) -> Json:
        return await self.clinic.tend.post(f"/v1/leads/{self.id}/{command}", body)

    async def reply(self, body: str) -> None:
        assert (await self.clinic.tend.inbound(self.phone, body))["status"] == 200

    async def book(self, event: str, appointment: str, starts: timedelta | None = None) -> datetime | None:
        """Tells an event of an appointment; `starts` counts from now."""
        now = self.clinic.now
        told = {"event": event, "appointment_id": f"{appointment}-{self.phone[-7:]}", "occurred_at": now.isoformat()}
        starts_at = (now + starts).replace(microsecond=0) if starts is not None else None
        if starts_at is not None:
            told |= {"starts_at": starts_at.isoformat(), "facility": "main"}
        await self.clinic.tend.post("/v1/bookings", told | {"lead_id": self.id})
        return starts_at

    async def open_call(self) -> str:
        seen = await self.until("its first call", lambda s: bool(s.tasks("call", "open")))
        return str(seen.tasks("call", "open")[0]["id"])

    async def task(self, task_id: str, verb: str, body: Json | None = None) -> Json:
        return await self.clinic.tend.post(f"/v1/tasks/{task_id}/{verb}", body)
