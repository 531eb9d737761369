"""Rule 2: what a signal, a timer and an activity under way do to one another."""

from datetime import timedelta

import pytest

from domain.lead_state import State
from domain.touches import TouchStatus
from store.engine import Store
from tests.workflows.history import activities, count, kind
from tests.workflows.world import COORDINATOR, World, open_world
from wire.keyring import KeyRing
from workflows import names

TIMERS = ("TIMER_STARTED", "TIMER_CANCELED")


async def confirmed(world: World) -> str:
    """A lead whose first text is out; the timer for the first call, two minutes later, runs."""
    lead = await world.inquire()
    await world.deliver()
    assert count(await world.idle(lead), *TIMERS) == (1, 0)
    return lead


async def pause(world: World, lead: str, **length: float) -> None:
    await world.tick()
    await world.commands.pause(COORDINATOR, lead, "asked to wait", world.time + timedelta(**length))
    await world.deliver()


async def stop(world: World, lead: str) -> None:
    await world.tick()
    await world.commands.opt_out(COORDINATOR, lead, ())
    await world.deliver()


async def test_the_running_timer_is_kept_unless_the_new_time_is_earlier(store: Store, keyring: KeyRing) -> None:
    async with open_world(store, keyring) as world:
        lead = await confirmed(world)
        await world.signal(lead)
        assert count(await world.idle(lead), *TIMERS) == (1, 0), "the same time"
        await pause(world, lead, days=1)
        assert count(await world.idle(lead), *TIMERS) == (1, 0), "a later time"
        await pause(world, lead, seconds=90)
        assert count(await world.idle(lead), *TIMERS) == (2, 1), "an earlier time"
        await pause(world, lead, hours=2)
        await world.idle(lead)
        assert world.watched.asked == ["claim", "settle", "plan", "plan", "plan", "plan"]
        state = await world.state(lead)
        assert state.pause is not None
        resumes = state.pause.until
        await world.advance(hours=1)
        events = await world.idle(lead)
        assert count(events, *TIMERS, "TIMER_FIRED") == (3, 1, 1), "rung too early: another for what is left"
        assert world.watched.asked.count("plan") == 4
        await world.advance(hours=1, minutes=3)
        state = await world.until(lead, lambda s: bool(s.tasks), "the call")
        assert resumes is not None
        assert next(iter(state.tasks.values())).opened_at >= resumes


async def test_a_wait_without_an_end_starts_no_timer(store: Store, keyring: KeyRing) -> None:
    async with open_world(store, keyring) as world:
        lead = await confirmed(world)
        await world.commands.pause(COORDINATOR, lead, "asked to wait", None)
        await world.deliver()
        await world.idle(lead)
        await world.advance(days=30)
        events = await world.idle(lead)
        assert count(events, *TIMERS, "TIMER_FIRED") == (1, 0, 1)
        assert activities(events)[-1] == "TIMER_FIRED"
        assert (await world.state(lead)).state is State.PAUSED


async def test_a_timer_that_rings_unwoken_does_what_the_plan_said(store: Store, keyring: KeyRing) -> None:
    async with open_world(store, keyring) as world:
        lead = await world.inquire()
        await world.deliver()
        assert await world.result(lead) == "exhausted"
        happened = activities(await world.history(lead))
        rings = [i for i, what in enumerate(happened) if what == "TIMER_FIRED"]
        followed = [happened[i + 1] for i in rings]
        # the e-mail after an hour has a condition: what changes it would have been a signal, and the claim asks again
        assert followed == [
            *(names.OPEN_TASK, names.EXPIRE_TASK, names.TOUCH, names.OPEN_TASK, names.EXPIRE_TASK),
            *(names.TOUCH, names.TOUCH, names.OPEN_TASK, names.EXPIRE_TASK),
        ]
        assert names.PLAN not in happened, "it began with what the intake had decided"


@pytest.mark.parametrize("answer", ["settle", "open_task", "expire_task"])
async def test_a_signal_during_an_activity_leads_to_another_plan(store: Store, keyring: KeyRing, answer: str) -> None:
    async with open_world(store, keyring) as world:
        lead = await world.inquire()
        held = world.watched.hold(answer)
        await world.deliver()
        async with world.env.time_skipping_unlocked():
            await held.reached()
        await stop(world, lead)
        held.release()
        events = await world.until_event(lead, lambda e: kind(e[-1]) == "WORKFLOW_EXECUTION_COMPLETED", "its end")
        happened = [what for what in activities(events) if what not in TIMERS]
        assert happened[-2:] == ["WORKFLOW_EXECUTION_SIGNALED", names.PLAN]
        assert await world.handle(lead).result() == "opted_out"


async def test_a_signal_during_a_plan_leads_to_another_plan(store: Store, keyring: KeyRing) -> None:
    async with open_world(store, keyring) as world:
        lead = await confirmed(world)
        held = world.watched.hold("plan")
        await world.signal(lead)
        await held.reached()
        await stop(world, lead)
        held.release()
        events = await world.until_event(lead, lambda e: kind(e[-1]) == "WORKFLOW_EXECUTION_COMPLETED", "its end")
        assert activities(events)[-4:] == [*("WORKFLOW_EXECUTION_SIGNALED", names.PLAN) * 2]
        assert await world.handle(lead).result() == "opted_out"


async def test_a_next_thing_to_do_is_not_done_if_a_signal_came_meanwhile(store: Store, keyring: KeyRing) -> None:
    """The last step opens a call and sends an e-mail: the call's activity answers that the e-mail is next."""
    async with open_world(store, keyring) as world:
        lead = await world.inquire()
        await world.deliver()
        await world.advance(days=6)
        await world.idle(lead)
        held = world.watched.hold("open_task")
        async with world.env.time_skipping_unlocked():
            await held.reached()
        await stop(world, lead)
        held.release()
        events = await world.until_event(lead, lambda e: kind(e[-1]) == "WORKFLOW_EXECUTION_COMPLETED", "its end")
        assert activities(events)[-3:] == [names.OPEN_TASK, "WORKFLOW_EXECUTION_SIGNALED", names.PLAN]
        assert len(world.sent("email")) == 2


async def test_what_a_plan_says_to_do_is_not_done_if_a_signal_came_meanwhile(store: Store, keyring: KeyRing) -> None:
    async with open_world(store, keyring) as world:
        lead = await world.inquire()
        held = world.watched.hold("plan")
        await world.signal(lead)
        await held.reached()
        await stop(world, lead)
        held.release()
        events = await world.until_event(lead, lambda e: kind(e[-1]) == "WORKFLOW_EXECUTION_COMPLETED", "its end")
        assert activities(events) == [*("WORKFLOW_EXECUTION_SIGNALED", names.PLAN) * 2]


async def test_a_plan_that_a_signal_made_stale_sends_nothing(store: Store, keyring: KeyRing) -> None:
    async with open_world(store, keyring) as world:
        lead = await world.inquire()
        held = world.watched.hold("plan")  # its answer: send the first text
        await world.signal(lead)
        await held.reached()
        await pause(world, lead, days=1)
        held.release()
        events = await world.idle(lead)
        assert world.sent("sms") == world.sent("email") == []
        assert (await world.state(lead)).touches == {}
        assert count(events, *TIMERS) == (1, 0)
        await world.advance(days=1, seconds=1)
        await world.until(lead, lambda s: s.touches[1, "confirm", "sms"].status is TouchStatus.ACCEPTED)
        assert len(world.sent("sms")) == 1


async def test_a_timer_that_rings_during_a_plan_is_not_lost(store: Store, keyring: KeyRing) -> None:
    async with open_world(store, keyring) as world:
        lead = await confirmed(world)
        await pause(world, lead, seconds=1)
        await world.idle(lead)
        held = world.watched.hold("plan")
        await world.signal(lead)
        await held.reached()
        await world.until_event(lead, lambda e: count(e, "TIMER_FIRED") == (1,), "the ring")
        held.release()
        await world.until(lead, lambda s: s.pause is None, "the end of the pause")
        happened = activities(await world.idle(lead))
        assert happened[happened.index("TIMER_FIRED") + 1] == names.PLAN


async def test_many_signals_at_once_are_one_wake_after_the_last(store: Store, keyring: KeyRing) -> None:
    async with open_world(store, keyring) as world:
        lead = await confirmed(world)
        held = world.watched.hold("plan")
        await world.signal(lead)
        await held.reached()
        for name in names.SIGNALS:
            await world.signal(lead, name)
        await stop(world, lead)
        held.release()
        assert await world.result(lead) == "opted_out"
        assert world.watched.asked == ["claim", "settle", "plan", "plan"]


@pytest.mark.parametrize("name", names.SIGNALS)
async def test_every_signal_wakes(store: Store, keyring: KeyRing, name: str) -> None:
    async with open_world(store, keyring) as world:
        lead = await confirmed(world)
        await world.signal(lead, name)
        assert activities(await world.idle(lead))[-2:] == ["WORKFLOW_EXECUTION_SIGNALED", names.PLAN]
