"""Rules 4 and 8: due times on the product's clock at any pace, claims and requests in real seconds."""

from datetime import UTC, datetime, timedelta

import pytest
from temporalio.api.history.v1 import HistoryEvent

from activities.touches import MARGIN, REQUEST_LIMIT
from domain.clock import Clock
from domain.touches import SENT
from store.engine import Store
from tests.workflows.history import kind
from tests.workflows.world import UTC_TEN, open_world
from wire.keyring import KeyRing

CLOSE = timedelta(seconds=0.5)  # real
CLAIM = timedelta(seconds=15)  # real
OFFSETS = {
    ("confirm", "sms"): timedelta(0),
    ("call1", "call"): timedelta(minutes=2),
    ("bio", "email"): timedelta(hours=1),
    ("call2", "call"): timedelta(hours=4),
    ("link", "sms"): timedelta(hours=24),
    ("edu", "email"): timedelta(days=3),
    ("end", "call"): timedelta(days=7),
    ("end", "email"): timedelta(days=7),
}


def rings(events: list[HistoryEvent]) -> list[datetime]:
    """When each timer is set to ring, in real time, as the workflow reckoned it: from the start of its task."""
    out, began = [], UTC_TEN
    for event in events:
        if kind(event) == "WORKFLOW_TASK_STARTED":
            began = event.event_time.ToDatetime(UTC)
        elif kind(event) == "TIMER_STARTED":
            out.append(began + event.timer_started_event_attributes.start_to_fire_timeout.ToTimedelta())
    return out


def missed(clock: Clock, at: datetime, dues: list[datetime]) -> timedelta:
    """How far a real time lies from the real time of the nearest product time of these."""
    return min(abs(at - clock.real(due)) for due in dues)


@pytest.mark.parametrize("pace", ["1", "360", "3600", "360:5h,3600"])
async def test_each_timer_rings_at_its_product_time(store: Store, keyring: KeyRing, pace: str) -> None:
    async with open_world(store, keyring, pace=pace) as world:
        lead = await world.inquire()
        began = world.time
        await world.deliver()
        assert await world.result(lead) == "exhausted"
        state = await world.state(lead)
        dues = [began + offset for offset in OFFSETS.values()]
        waits = [task.claim_by for task in state.tasks.values() if task.claim_by is not None]
        set_for = rings(await world.history(lead))
        assert [at for at in set_for if missed(world.clock, at, dues + waits) > CLOSE] == []
        assert len(set_for) >= 4  # where an activity takes longer than the next wait, that needs no timer
        touches = {(t.step, t.part): t for t in state.touches.values()}
        assert set(touches) == set(OFFSETS)
        sent = {key: touch.due_at for key, touch in touches.items() if touch.status in SENT}
        assert sent == {key: began + offset for key, offset in OFFSETS.items() if key[1] != "call"}
        for task in state.tasks.values():
            assert task.step is not None
            assert task.opened_at >= began + OFFSETS[task.step, "call"]


@pytest.mark.parametrize("pace", ["1", "360", "3600"])
async def test_no_touch_is_early(store: Store, keyring: KeyRing, pace: str) -> None:
    async with open_world(store, keyring, pace=pace) as world:
        lead = await world.inquire()
        began = world.time
        await world.deliver()
        assert await world.result(lead) == "exhausted"
        state = await world.state(lead)
        for touch in state.touches.values():
            if touch.status in SENT:
                assert touch.claimed_at is not None
                assert touch.claimed_at >= began + OFFSETS[touch.step, touch.part]


@pytest.mark.parametrize("pace", ["1", "3600"])
async def test_claims_and_requests_live_in_real_time(store: Store, keyring: KeyRing, pace: str) -> None:
    async with open_world(store, keyring, pace=pace) as world:
        lead = await world.inquire()
        await world.deliver()
        assert await world.result(lead) == "exhausted"
        limits = [at for channel in ("sms", "email") for at in world.channels[channel].limits]
        assert len(world.watched.claims) == len(limits) == 5
        for now, claim in world.watched.claims:
            assert now + CLAIM <= claim.deadline < now + 2 * CLAIM, "later by no more than it waited for the lock"
        for _, limit in limits:
            assert 0 < limit <= REQUEST_LIMIT
            assert limit + MARGIN < CLAIM.total_seconds()
