"""Rule 6: a start or a wake may come at any time and as often as it likes; nothing is lost when a workflow closes."""

import pytest

from domain.lead_state import STOP, State
from domain.touches import TouchStatus
from store.engine import Store
from tests.workflows.history import activities, count, kind
from tests.workflows.world import COORDINATOR, World, open_world
from wire.keyring import KeyRing
from workflows import names


async def exhausted(world: World) -> str:
    lead = await world.inquire()
    await world.deliver()
    assert await world.result(lead) == "exhausted"
    await world.tick()
    return lead


async def test_a_start_of_a_running_workflow_changes_nothing(store: Store, keyring: KeyRing) -> None:
    async with open_world(store, keyring) as world:
        lead = await world.inquire()
        await world.deliver()
        before, run = await world.idle(lead), await world.run_id(lead)
        await world.delivery.start(lead)
        await world.delivery.start(lead)
        assert await world.idle(lead) == before
        assert await world.run_id(lead) == run


async def test_a_wake_of_a_running_workflow_starts_no_second_run(store: Store, keyring: KeyRing) -> None:
    async with open_world(store, keyring) as world:
        lead = await world.inquire()
        await world.deliver()
        await world.idle(lead)
        run = await world.run_id(lead)
        await world.signal(lead)
        assert activities(await world.idle(lead))[-2:] == ["WORKFLOW_EXECUTION_SIGNALED", names.PLAN]
        assert await world.run_id(lead) == run
        assert len(world.sent("sms")) == 1


@pytest.mark.parametrize("name", [None, "lead_replied"], ids=["start", "wake"])
async def test_one_too_many_after_the_end_plans_and_finishes(store: Store, keyring: KeyRing, name: str | None) -> None:
    async with open_world(store, keyring) as world:
        lead = await exhausted(world)
        sent, run = [world.sent(c) for c in world.channels], await world.run_id(lead)
        asked = len(world.watched.asked)
        for _ in range(2):
            await (world.delivery.signal(lead, name, 7) if name else world.delivery.start(lead))
            assert await world.result(lead) == "exhausted"
        assert await world.run_id(lead) != run
        assert world.watched.asked[asked:] == ["plan", "plan"]
        assert [world.sent(c) for c in world.channels] == sent


async def test_a_fact_after_the_end_is_carried_out_by_a_new_run(store: Store, keyring: KeyRing) -> None:
    async with open_world(store, keyring) as world:
        lead = await exhausted(world)
        run, sent = await world.run_id(lead), len(world.sent("sms"))
        await world.reply("STOP")
        assert await world.result(lead) == "exhausted"
        assert await world.run_id(lead) != run
        assert len(world.sent("sms")) == sent + 1
        state = await world.state(lead)
        assert [t.status for t in state.touches.values() if t.step == STOP] == [TouchStatus.ACCEPTED]


async def test_a_start_before_the_commit_of_the_end_is_harmless(store: Store, keyring: KeyRing) -> None:
    async with open_world(store, keyring) as world:
        lead = await world.inquire()
        await world.deliver()
        await world.idle(lead)
        held = world.watched.hold("plan")
        await world.commands.disqualify(COORDINATOR, lead, "not a patient")
        await world.deliver()
        await held.reached()
        await world.delivery.start(lead)
        held.release()
        assert await world.result(lead) == "disqualified"
        assert (await world.state(lead)).state is State.FINISHED


async def test_a_fact_while_the_workflow_closes_is_not_lost(store: Store, keyring: KeyRing) -> None:
    """The fact comes when the workflow has decided to end and the server has not yet heard of it."""
    async with open_world(store, keyring) as world:
        lead = await world.inquire()
        await world.deliver()
        await world.idle(lead)
        run = await world.run_id(lead)
        closing = world.codec.hold(lambda data: data == b'"disqualified"')
        await world.commands.disqualify(COORDINATOR, lead, "not a patient")
        await world.deliver()
        await closing.reached()
        await world.reply("STOP")
        closing.release()
        await world.until(lead, lambda s: len(world.sent("sms")) == 2, "the confirmation of the stop")
        assert await world.result(lead) == "disqualified"
        assert await world.run_id(lead) == run, "the same run has done it"
        events = await world.history(lead)
        assert count(events, "WORKFLOW_TASK_FAILED") == (1,), "it was about to close"
        state = await world.state(lead)
        assert [t.status for t in state.touches.values() if t.step == STOP] == [TouchStatus.ACCEPTED]


async def test_a_fact_while_the_last_plan_is_on_its_way_is_not_lost(store: Store, keyring: KeyRing) -> None:
    async with open_world(store, keyring) as world:
        lead = await world.inquire()
        await world.deliver()
        await world.idle(lead)
        held = world.watched.hold("plan")  # its answer: finish
        await world.commands.disqualify(COORDINATOR, lead, "not a patient")
        await world.deliver()
        await held.reached()
        await world.reply("STOP")
        held.release()
        events = await world.until_event(lead, lambda e: kind(e[-1]) == "WORKFLOW_EXECUTION_COMPLETED", "its end")
        assert activities(events)[-3:] == ["WORKFLOW_EXECUTION_SIGNALED", names.PLAN, names.TOUCH]
        assert len(world.sent("sms")) == 2
