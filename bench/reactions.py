"""From the answer to what happened until the workflow has taken it up: a figure for each kind of reaction."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from temporalio.client import Client as Temporal
from temporalio.client import WorkflowExecutionStatus, WorkflowHandle
from temporalio.service import RPCError

from bench.figures import Figure, Row, percentiles
from bench.load import at_rate, lead, phone, stack, temporal_of, until
from demo.client import Client
from workflows.messages import Snapshot, UpcomingStep
from workflows.names import workflow_id

LEADS, RATE = 20, 5.0
GIVES_UP_AFTER = 20.0  # real seconds
LOOKS_EVERY = 0.01
TARGET = 1000.0  # ms

Handle = WorkflowHandle[Any, Any]


@dataclass(frozen=True)
class One:
    """A lead to react for."""

    tend: Client
    number: int
    id: str
    handle: Handle

    async def command(self, name: str, body: dict[str, Any] | None = None) -> None:
        await self.tend.post(f"/v1/leads/{self.id}/{name}", body)

    async def wrote(self, text: str) -> None:
        await self.tend.inbound(phone(self.number), text)

    async def booking(self, event: str, days: int | None = None) -> None:
        now = datetime.now(UTC)
        told = {
            "event": event,
            "appointment_id": f"bench-{self.id}",
            "lead_id": self.id,
            "occurred_at": now.isoformat(),
        }
        if days is not None:
            told |= {"starts_at": _in(days).isoformat(), "facility": "main"}
        await self.tend.post("/v1/bookings", told | {"lead_id": self.id})

    async def snapshot(self) -> Snapshot:
        found: Snapshot = await self.handle.query("snapshot", result_type=Snapshot)
        return found


Act = Callable[[One], Awaitable[None]]
Seen = Callable[[One], Awaitable[bool]]


def _in(days: int) -> datetime:
    return datetime.now(UTC).replace(hour=16, minute=0, second=0, microsecond=0) + timedelta(days=days)


def _shows(**wanted: Any) -> Seen:
    async def look(one: One) -> bool:
        shot = await one.snapshot()
        return all(getattr(shot, name) == value for name, value in wanted.items())

    return look


async def _closed(one: One) -> bool:
    return (await one.handle.describe()).status is WorkflowExecutionStatus.COMPLETED


async def _moved(one: One) -> bool:
    coming: list[UpcomingStep] = await one.handle.query("upcoming", result_type=list[UpcomingStep])
    return any(u.step == "remind_day" and u.at == _in(8) - timedelta(days=1) for u in coming)


async def _end_known(one: One) -> bool:
    """Of a rest, whose end counts from the answer."""
    return (await one.snapshot()).next_at is not None


async def _skipped(one: One) -> bool:
    return (await one.snapshot()).step == "bio"


# Each line goes on from where the one above has left its leads.
STORIES: tuple[tuple[tuple[str, Act, Seen], ...], ...] = (
    (
        ("reply", lambda one: one.wrote("Please tell me more"), _shows(state="resting")),
        (
            "a person's answer",
            lambda one: one.command("messages", {"channel": "sms", "body": "We will call you today."}),
            _end_known,
        ),
        ("STOP", lambda one: one.wrote("STOP"), _closed),
    ),
    (
        ("pause", lambda one: one.command("pause", {"reason": "on holiday"}), _shows(paused=True)),
        ("resume", lambda one: one.command("resume", {"mode": "shift"}), _shows(paused=False, state="active")),
        ("skip", lambda one: one.command("skip"), _skipped),
        ("enroll", lambda one: one.command("enroll", {"sequence": "recovery"}), _shows(sequence="s12")),
        ("disqualify", lambda one: one.command("disqualify", {"reason": "no fit"}), _closed),
    ),
    (
        ("booked", lambda one: one.booking("booked", 6), _shows(sequence="s11")),
        ("rescheduled", lambda one: one.booking("rescheduled", 8), _moved),
        ("cancelled", lambda one: one.booking("cancelled"), _shows(sequence="s12")),
        ("opt-out", lambda one: one.command("opt-out"), _closed),
    ),
    (
        ("booked", lambda one: one.booking("booked", 6), _shows(sequence="s11")),
        ("no-show", lambda one: one.booking("no_show"), _shows(sequence="s12")),
        ("completed", lambda one: one.booking("completed"), _closed),
    ),
)


async def run() -> Figure:
    took: dict[str, list[float]] = {}
    async with stack() as (launched, tend):
        temporal = await temporal_of(launched)
        ones: dict[int, One] = {}

        async def take_in(number: int) -> None:
            lead_id = str((await tend.take_in(lead(number)))["lead_id"])
            ones[number] = One(tend, number, lead_id, _handle(temporal, lead_id))

        await at_rate(LEADS * len(STORIES), 20.0, take_in)

        async def all_texted() -> bool:
            return len(await tend.outbox(channel="sms")) >= len(ones)

        await until(all_texted, 60.0)
        for group, story in enumerate(STORIES):
            for name, act, seen in story:
                each = partial(_measured, [ones[group * LEADS + i] for i in range(LEADS)], act, seen)
                times = took.setdefault(name, [])
                await at_rate(LEADS, RATE, partial(each, times))
    rows: list[Row] = []
    for name, seconds in took.items():
        half, most = percentiles(seconds, 50, 100)
        rows += [Row(f"{name} p50", half * 1000), Row(f"{name} slowest of {len(seconds)}", most * 1000, "ms", TARGET)]
    return Figure(
        "reactions",
        f"From the answer to what happened until the workflow has taken it up, {RATE:g}/s",
        tuple(rows),
        (
            "The answer is the product's: to the carrier's signed webhook, the scheduler's event or the command. Until "
            "Temporal's query shows the new plan, or the workflow has ended.",
            "In the database, and so for the gate, each is in effect with its answer.",
        ),
    )


def _handle(temporal: Temporal, lead_id: str) -> Handle:
    return temporal.get_workflow_handle(workflow_id(lead_id))


async def _measured(ones: list[One], act: Act, seen: Seen, times: list[float], i: int) -> None:
    times.append(await _until(ones[i], act, seen))


async def _until(one: One, act: Act, seen: Seen) -> float:
    """Real seconds from the answer until it was seen; infinite if it never was."""
    await act(one)
    answered = time.monotonic()
    while time.monotonic() - answered < GIVES_UP_AFTER:
        try:
            if await seen(one):
                return time.monotonic() - answered
        except RPCError:
            pass
        await asyncio.sleep(LOOKS_EVERY)
    return math.inf
