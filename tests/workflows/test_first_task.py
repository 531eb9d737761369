"""Signals that are there before the workflow's first task: nothing of them is lost, nothing breaks."""

from datetime import timedelta

from domain import facts as f
from domain.lead_state import STOP
from domain.touches import TouchStatus
from store.bookings import Booking
from store.engine import Store
from tests.workflows.history import activities, kind
from tests.workflows.world import COORDINATOR, UTC_TEN, World, open_world
from wire.keyring import KeyRing
from workflows import names


async def heard_before_the_first_task(world: World, lead: str) -> int:
    """How many signals lie in the history, all of them before any worker has begun."""
    kinds = [kind(event) for event in await world.history(lead)]
    assert "WORKFLOW_TASK_STARTED" not in kinds
    return kinds.count("WORKFLOW_EXECUTION_SIGNALED")


async def test_a_stop_before_the_first_task_is_obeyed(store: Store, keyring: KeyRing) -> None:
    async with open_world(store, keyring, working=False) as world:
        lead = await world.inquire()
        await world.deliver()
        await world.reply("Hello?")
        await world.reply("STOP")
        assert await heard_before_the_first_task(world, lead) == 2
        async with world.working():
            assert await world.result(lead) == "opted_out"
        assert world.sent("email") == []
        state = await world.state(lead)
        assert [(t.step, t.status) for t in state.touches.values()] == [(STOP, TouchStatus.ACCEPTED)]


async def test_a_booking_before_the_first_task_is_obeyed(store: Store, keyring: KeyRing) -> None:
    async with open_world(store, keyring, working=False) as world:
        lead = await world.inquire()
        starts = UTC_TEN + timedelta(days=3, hours=1)
        booked = Booking(f.BookingEvent.BOOKED, "A1", world.time, lead, starts_at=starts, facility="main")
        await world.commands.booking(COORDINATOR, booked)
        await world.deliver()
        assert await heard_before_the_first_task(world, lead) == 1
        async with world.working():
            state = await world.until(lead, lambda s: bool(world.sent("sms")), "the booking's confirmation")
            assert state.enrollment is not None
            assert state.enrollment.sequence == "booked"
            assert not [t for t in state.touches.values() if t.enrollment == 1 and t.status is TouchStatus.ACCEPTED]


async def test_a_wake_without_a_start_starts_the_workflow(store: Store, keyring: KeyRing) -> None:
    """The start may still wait in the outbox, or be lost with Temporal: the first wake will do."""
    async with open_world(store, keyring, working=False) as world:
        lead = await world.inquire()
        await world.signal(lead)
        async with world.working():
            assert await world.result(lead) == "exhausted"
        assert len(world.sent("sms")) == 2


async def test_signals_before_the_first_task_need_no_plan(store: Store, keyring: KeyRing) -> None:
    async with open_world(store, keyring, working=False) as world:
        lead = await world.inquire()
        await world.deliver()
        for name in names.SIGNALS:
            await world.signal(lead, name)
        assert await heard_before_the_first_task(world, lead) == len(names.SIGNALS)
        async with world.working():
            happened = activities(await world.idle(lead))
        assert happened[len(names.SIGNALS) :] == [names.TOUCH, "TIMER_STARTED"]
        assert len(world.sent("sms")) == 1


async def test_a_pause_before_the_first_task_holds_what_it_begins_with(store: Store, keyring: KeyRing) -> None:
    async with open_world(store, keyring, working=False) as world:
        lead = await world.inquire()
        await world.deliver()  # with the first text to begin with
        await world.tick()
        await world.commands.pause(COORDINATOR, lead, "asked to wait", None)
        async with world.working():
            happened = activities(await world.idle(lead))
        assert happened == [names.TOUCH]
        assert world.sent("sms") == world.sent("email") == []


async def test_by_night_it_begins_with_what_may_go_at_once(store: Store, keyring: KeyRing) -> None:
    async with open_world(store, keyring, start=UTC_TEN.replace(hour=6)) as world:
        lead = await world.inquire()
        await world.deliver()
        await world.until(lead, lambda _: len(world.sent("email")) == 1, "the mail")
        happened = activities(await world.idle(lead))
        assert happened[:2] == [names.TOUCH, names.TOUCH] and names.PLAN not in happened
        assert world.sent("sms") == []
