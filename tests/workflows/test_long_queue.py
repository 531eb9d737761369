"""A touch may wait for hours in a queue with a limit: a lead that is woken meanwhile does what is next by now."""

from typing import Any

import pytest
from temporalio.api.history.v1 import HistoryEvent
from temporalio.exceptions import ApplicationError

from domain.lead_state import LeadState
from domain.ledger import View
from domain.touches import Channel, TouchStatus
from store.engine import Store
from tests.workflows.held import Held
from tests.workflows.history import activities, count
from tests.workflows.world import COORDINATOR, World, open_world
from wire.keyring import KeyRing
from workflows import names

CANCELLED = ("ACTIVITY_TASK_CANCEL_REQUESTED", "ACTIVITY_TASK_CANCELED")


async def in_the_queue(world: World) -> str:
    """A lead whose first text waits for its turn."""
    lead = await world.inquire()
    await world.deliver()
    await world.until_event(lead, lambda e: count(e, "ACTIVITY_TASK_SCHEDULED") == (1,), "its turn is waited for")
    return lead


async def a_person_writes(world: World, lead: str) -> None:
    """And so long ago that its touch has not been handed out at once."""
    await world.tick()
    await world.commands.message(COORDINATOR, lead, Channel.EMAIL, "We call at ten.")
    await world.deliver()
    await world.advance(seconds=6)


def _is_out(state: LeadState) -> bool:
    text = state.touches.get((1, "confirm", "sms"))
    return text is not None and text.status is TouchStatus.ACCEPTED


async def test_what_a_person_wrote_goes_before_a_text_whose_turn_has_not_come(store: Store, keyring: KeyRing) -> None:
    async with open_world(store, keyring, working=False) as world, world.working(without="sms") as its_turn:
        lead = await in_the_queue(world)
        await a_person_writes(world, lead)
        await world.until(lead, lambda _: len(world.sent("email")) == 1, "the words")
        assert count(await world.history(lead), *CANCELLED) == (1, 1)
        assert world.sent("sms") == []
        await its_turn()
        await world.until(lead, _is_out, "its text")
        assert len(world.sent("sms")) == 1


async def test_who_is_woken_for_nothing_keeps_the_place(store: Store, keyring: KeyRing) -> None:
    """Everybody is, after an outage: else all would stand anew, behind the places that they had."""
    async with open_world(store, keyring, working=False) as world, world.working(without="sms") as its_turn:
        lead = await in_the_queue(world)
        for times in (1, 2):
            await world.signal(lead)
            await world.advance(seconds=6)
            await world.until_event(lead, lambda e, times=times: activities(e).count(names.PLAN) == times, "a plan")  # type: ignore[misc]
        assert count(await world.history(lead), *CANCELLED) == (0, 0)
        await its_turn()
        await world.until(lead, _is_out, "its text")
        planned_anew = [names.TOUCH, *[names.PLAN] * 2, names.PLAN]  # the text's own answer could be an older one
        assert _asked_for(await world.idle(lead)) == planned_anew
        assert len(world.sent("sms")) == 1


async def test_a_place_is_kept_for_longer_than_the_hour_in_which_an_inquiry_is_new(
    store: Store, keyring: KeyRing
) -> None:
    quick = open_world(store, keyring, pace="700", working=False)  # six real seconds are 70 minutes
    async with quick as world, world.working(without="sms") as its_turn:
        lead = await in_the_queue(world)
        await world.signal(lead)
        await world.advance(seconds=6)
        events = await world.until_event(lead, lambda e: activities(e).count(names.PLAN) == 1, "a plan")
        assert count(events, *CANCELLED) == (0, 0)
        await its_turn()
        await world.until(lead, _is_out, "its text")
        assert count(await world.idle(lead), *CANCELLED) == (0, 0)


async def test_who_asks_again_goes_to_the_front(store: Store, keyring: KeyRing) -> None:
    async with open_world(store, keyring, working=False) as world, world.working(without="sms") as its_turn:
        lead = await world.inquire(source={"channel": "csv"})
        await world.deliver()
        await world.until_event(lead, lambda e: count(e, "ACTIVITY_TASK_SCHEDULED") == (1,), "its turn is waited for")
        await world.tick()
        assert await world.inquire() == lead
        await world.deliver()
        await world.advance(seconds=6)
        await world.until_event(lead, lambda e: _urgency(e) == [5, 2], "its place at the front")
        await its_turn()
        await world.until(lead, _is_out, "its text")
        assert len(world.sent("sms")) == 1


def _asked_for(events: list[HistoryEvent]) -> list[str]:
    return [what for what in activities(events) if what in (names.TOUCH, names.PLAN)]


def _urgency(events: list[HistoryEvent]) -> list[int]:
    """Of the touches that were asked for."""
    asked = [e.activity_task_scheduled_event_attributes for e in events]
    return [a.priority.priority_key for a in asked if a.activity_type.name == names.TOUCH]


async def test_of_who_stops_meanwhile_nothing_waits_any_more(store: Store, keyring: KeyRing) -> None:
    async with open_world(store, keyring, working=False) as world, world.working(without="sms"):
        lead = await in_the_queue(world)
        await world.tick()
        await world.commands.opt_out(COORDINATOR, lead, ())
        await world.deliver()
        assert await world.result(lead) == "opted_out"
        assert world.sent("sms") == world.sent("email") == []


async def test_what_was_begun_comes_to_its_end(store: Store, keyring: KeyRing) -> None:
    async with open_world(store, keyring) as world:
        lead = await world.inquire()
        held = world.watched.hold("settle")  # sent, and its outcome committed
        await world.deliver()
        await held.reached()
        await a_person_writes(world, lead)
        events = await world.until_event(lead, lambda e: count(e, CANCELLED[0]) == (1,), "it is given up on")
        assert count(events, "ACTIVITY_TASK_CANCELED") == (0,), "not before its end"
        held.release()
        await world.until(lead, lambda _: len(world.sent("email")) == 1, "the words")
        assert len(world.sent("sms")) == 1
        assert _is_out(await world.state(lead))


async def test_a_touch_that_ends_while_it_is_given_up_on_does_not_hide_what_a_person_wrote(
    store: Store, keyring: KeyRing
) -> None:
    """Its own answer was found before the words."""
    async with open_world(store, keyring) as world:
        lead = await world.inquire()
        sent = world.watched.hold("settle")
        await world.deliver()
        await sent.reached()
        planned = world.watched.hold("plan")
        await a_person_writes(world, lead)
        await planned.reached()
        sent.release()
        await world.until_event(lead, lambda e: count(e, "ACTIVITY_TASK_COMPLETED") == (1,), "the touch is over")
        planned.release()
        await world.until(lead, lambda _: len(world.sent("email")) == 1, "the words")
        assert count(await world.idle(lead), *CANCELLED) == (0, 0)


async def test_a_touch_that_was_held_up_and_goes_again_does_not_hide_that(store: Store, keyring: KeyRing) -> None:
    """It was refused for a pause, which is over before anybody hears of the refusal."""
    async with open_world(store, keyring, working=False) as world, world.working(without="sms") as its_turn:
        lead = await in_the_queue(world)
        await world.tick()
        await world.commands.pause(COORDINATOR, lead, "asked to wait", None)
        refused = world.watched.hold("claim")
        await its_turn()
        await refused.reached()
        await world.commands.resume(COORDINATOR, lead, "shift")
        await world.deliver()
        await world.advance(seconds=6)
        await world.until_event(lead, lambda e: activities(e).count(names.PLAN) == 1, "a plan")
        refused.release()
        await world.until(lead, _is_out, "its text")


async def test_what_fails_after_it_was_given_up_on_is_planned_anew(
    store: Store, keyring: KeyRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Temporal tries nothing again that was to be cancelled, if its worker dies, say. Here an error ends it."""
    async with open_world(store, keyring) as world:
        lead = await world.inquire()
        held, settle = Held(), world.watched.settle

        async def die(*given: Any) -> View:
            monkeypatch.undo()
            await settle(*given)
            await held.wait()
            raise ApplicationError("gone", non_retryable=True)

        monkeypatch.setattr(world.watched, "settle", die)
        await world.deliver()
        await held.reached()
        await a_person_writes(world, lead)
        await world.until_event(lead, lambda e: count(e, CANCELLED[0]) == (1,), "it is given up on")
        held.release()
        await world.until(lead, lambda _: len(world.sent("email")) == 1, "the words")
        assert len(world.sent("sms")) == 1


async def test_a_touch_that_is_handed_out_at_once_is_not_given_up_on(store: Store, keyring: KeyRing) -> None:
    async with open_world(store, keyring) as world:
        lead = await world.inquire()
        held = world.watched.hold("settle")
        await world.deliver()
        await held.reached()
        await world.signal(lead)
        held.release()
        events = await world.idle(lead)
        assert count(events, *CANCELLED) == (0, 0)
        assert _asked_for(events) == [names.TOUCH, names.PLAN]
