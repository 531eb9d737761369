"""Continue-as-new in the middle of everything: timers that run, and facts that come at that very moment."""

from datetime import timedelta

import pytest

from domain.lead_state import STOP
from domain.touches import TouchStatus
from store.engine import Store
from tests.workflows.held import Held
from tests.workflows.history import count, is_idle
from tests.workflows.world import UTC_TEN, World, open_world
from wire.keyring import KeyRing

SLACK = timedelta(seconds=10)  # what this machine may take, while time does not skip
RENEW_AFTER = 26
CADENCE = {
    "sms": [timedelta(0), timedelta(hours=24)],
    "email": [timedelta(hours=1), timedelta(days=3), timedelta(days=7)],
}


async def waiting(world: World) -> str:
    """A lead whose timer for the first call runs, in a first run that will renew at the next plan or the one after."""
    lead = await world.inquire()
    await world.deliver()
    assert count(await world.idle(lead), "TIMER_STARTED", "TIMER_FIRED") == (1, 0)
    return lead


async def renewed(world: World, lead: str) -> None:
    """Wakes it until it has renewed itself, with its timer still running."""
    run = await world.run_id(lead)
    for _ in range(RENEW_AFTER):
        await world.signal(lead)
        await world.idle(lead)
        if await world.run_id(lead) != run:
            return
    raise AssertionError("it never renewed itself")


def assert_cadence(world: World) -> None:
    for channel, offsets in CADENCE.items():
        times = world.sent(channel)
        assert len(times) == len(offsets), (channel, times)
        for at, offset in zip(times, offsets, strict=True):
            assert UTC_TEN + offset <= at <= UTC_TEN + offset + SLACK, (channel, at)


@pytest.mark.parametrize("times", [1, 3])
async def test_a_renewal_with_a_running_timer_keeps_every_time(store: Store, keyring: KeyRing, times: int) -> None:
    async with open_world(store, keyring, renew_after=RENEW_AFTER) as world:
        lead = await waiting(world)
        for _ in range(times):
            await renewed(world, lead)
        events = await world.idle(lead)
        assert count(events, "TIMER_STARTED", "TIMER_FIRED") == (1, 0)
        assert await world.result(lead) == "exhausted"
        assert_cadence(world)


async def renewing(world: World, lead: str) -> Held:
    """Wakes it until it has decided to renew itself; the server does not hear of it before the release."""
    held = world.codec.hold(lambda data: b'"renew_after"' in data)
    while not held.is_reached:
        await world.handle(lead).signal("staff_acted", {"fact": 0})  # a signal-with-start carries what is held up
        await world.until_event(lead, lambda events: held.is_reached or is_idle(events), "idle, or renewing")
    return held


@pytest.mark.parametrize("word", ["STOP", "Is this covered?"])
async def test_a_fact_as_it_renews_itself_is_not_lost(store: Store, keyring: KeyRing, word: str) -> None:
    """The fact comes when the workflow has decided to renew itself and the server has not yet heard of it."""
    async with open_world(store, keyring, renew_after=RENEW_AFTER) as world:
        lead = await waiting(world)
        run = await world.run_id(lead)
        renewal = await renewing(world, lead)
        await world.reply(word)
        assert await world.run_id(lead) == run, "it has not yet renewed itself"
        renewal.release()
        if word == "STOP":
            assert await world.result(lead) == "opted_out"
            touches = (await world.state(lead)).touches.values()
            assert [t.status for t in touches if t.step == STOP] == [TouchStatus.ACCEPTED]
            assert (len(world.sent("sms")), world.sent("email")) == (2, [])
        else:
            await world.until(lead, lambda s: s.rest is not None, "rest")
            await world.idle(lead)
            await world.advance(days=20)
            assert (len(world.sent("sms")), world.sent("email")) == (1, [])
        assert count(await world.history(lead, run), "WORKFLOW_TASK_FAILED") == (1,), "the renewal was taken back"
