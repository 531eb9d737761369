"""The reference cadence on skipped time, with the production workflow, activities and ledger."""

import time
from datetime import timedelta

import pytest
from temporalio.api.enums.v1 import EventType

from domain import facts as f
from domain.contact_window import ALL_ZONES, is_open
from domain.lead_state import State
from domain.touches import TouchStatus
from store.engine import Store
from tests.workflows.world import NEW_YORK, UTC_TEN, open_world
from wire.keyring import KeyRing
from workflows.messages import Snapshot

SLACK = timedelta(seconds=2)


@pytest.mark.asyncio
async def test_a_silent_lead_gets_the_reference_cadence_and_a_short_history(store: Store, keyring: KeyRing) -> None:
    async with open_world(store, keyring) as world:
        lead = await world.inquire()
        began = time.monotonic()
        await world.deliver()
        assert await world.result(lead) == "exhausted"
        took = time.monotonic() - began
        due = {
            "sms": [timedelta(0), timedelta(hours=24)],
            "email": [timedelta(hours=1), timedelta(days=3), timedelta(days=7)],
        }
        for channel, offsets in due.items():
            times = world.sent(channel)
            assert len(times) == len(offsets), (channel, times)
            for at, offset in zip(times, offsets, strict=True):
                assert UTC_TEN + offset <= at <= UTC_TEN + offset + SLACK, (channel, at)
        assert world.sent("voice") == []
        state = await world.state(lead)
        calls = {t.step: t for t in state.touches.values() if t.part == "call"}
        assert {s: t.status for s, t in calls.items()} == dict.fromkeys(("call1", "call2", "end"), TouchStatus.MISSED)
        assert state.state is State.FINISHED
        history = await world.handle(lead).fetch_history()
        assert len(history.events) <= 140, len(history.events)
        upserts = [e for e in history.events if e.event_type == EventType.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES]
        assert upserts
        print(f"{len(history.events)} events, {len(upserts)} upserts, {took:.2f} s")


@pytest.mark.asyncio
@pytest.mark.parametrize(("hours", "zones"), [(-9, NEW_YORK), (10, NEW_YORK), (9, ALL_ZONES)])
async def test_who_asks_at_night_has_no_longer_history(
    store: Store, keyring: KeyRing, hours: int, zones: tuple[str, ...]
) -> None:
    """Nobody wakes at night to learn that a step must wait."""
    start = UTC_TEN + timedelta(hours=hours)
    async with open_world(store, keyring, start=start) as world:
        lead = await world.inquire(zones=zones)
        await world.deliver()
        assert await world.result(lead) == "exhausted"
        assert all(is_open(at, zones) for at in world.sent("sms"))
        history = await world.handle(lead).fetch_history()
        assert len(history.events) <= 140, len(history.events)


@pytest.mark.asyncio
async def test_a_forced_continue_as_new_changes_nothing(store: Store, keyring: KeyRing) -> None:
    async with open_world(store, keyring, renew_after=20) as world:
        lead = await world.inquire()
        await world.deliver()
        assert await world.result(lead) == "exhausted"
        started = (await world.handle(lead).fetch_history()).events[0].workflow_execution_started_event_attributes
        assert started.continued_execution_run_id
        assert started.continued_execution_run_id != started.first_execution_run_id  # renewed more than once
        assert [len(world.sent(c)) for c in ("sms", "email")] == [2, 3]


@pytest.mark.asyncio
async def test_signals_before_the_first_task_wake_the_plan(store: Store, keyring: KeyRing) -> None:
    async with open_world(store, keyring) as world:
        lead = await world.inquire()
        # the reply and its signal are there before Temporal has heard of the lead at all
        await world.reply("Hello, is this the clinic?")
        state = await world.until(lead, lambda s: s.rest is not None, "rest")
        assert [t.kind for t in state.tasks.values()] == [f.TaskKind.REPLY]
        await world.advance(days=20)
        assert world.sent("sms") == world.sent("email") == []  # nobody whose reply waits is written to
        shot = await world.handle(lead).query("snapshot", result_type=Snapshot)
        assert shot.state == "resting"
