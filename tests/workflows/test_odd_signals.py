"""Signals that nobody meant to send: of a later version, by hand, without a payload. The lead goes on."""

from typing import Any

import pytest

from store.engine import Store
from tests.workflows.history import count, is_idle
from tests.workflows.world import World, open_world
from wire.keyring import KeyRing


async def begun(world: World) -> str:
    lead = await world.inquire()
    await world.deliver()
    await world.idle(lead)
    return lead


async def heard(world: World, lead: str, name: str, *payloads: Any) -> int:
    """Sends it; how many plans it led to. The workflow's task must not fail."""
    asked = len(world.watched.asked)
    await world.handle(lead).signal(name, args=payloads)
    failed = "WORKFLOW_TASK_FAILED"
    events = await world.until_event(lead, lambda e: is_idle(e) or count(e, failed) > (0,), "idle, or a failure")
    assert count(events, failed) == (0,)
    return len(world.watched.asked) - asked


@pytest.mark.parametrize(
    "payloads",
    [
        pytest.param([{"fact": 3}], id="as-sent"),
        pytest.param([{"fact": 3, "of_a_later_version": [1, 2]}], id="more-fields"),
        pytest.param([{}], id="no-fields"),
        pytest.param([None], id="null"),
        pytest.param([b"\x00\xff"], id="bytes"),
        pytest.param([{"fact": "three"}], id="wrong-field"),
        pytest.param(["three"], id="text"),
        pytest.param([3], id="number"),
        pytest.param([[1, 2]], id="list"),
        pytest.param([], id="nothing"),
        pytest.param([{"fact": 3}, {"fact": 4}], id="two"),
    ],
)
async def test_a_signal_wakes_whatever_it_carries(store: Store, keyring: KeyRing, payloads: list[Any]) -> None:
    async with open_world(store, keyring) as world:
        lead = await begun(world)
        assert await heard(world, lead, "staff_acted", *payloads) == 1


@pytest.mark.parametrize("payloads", [["three"], [b"\x00\xff"]], ids=["text", "bytes"])
async def test_a_signal_with_a_wrong_payload_breaks_nothing(
    store: Store, keyring: KeyRing, payloads: list[Any]
) -> None:
    async with open_world(store, keyring) as world:
        lead = await begun(world)
        await heard(world, lead, "staff_acted", *payloads)
        assert await heard(world, lead, "staff_acted", {"fact": 3}) == 1
        assert await world.result(lead) == "exhausted"
        assert [len(world.sent(c)) for c in ("sms", "email")] == [2, 3]


@pytest.mark.parametrize("payloads", [[], ["x"], [{"fact": 3}]], ids=["nothing", "text", "as-sent"])
async def test_an_unknown_signal_breaks_nothing(store: Store, keyring: KeyRing, payloads: list[Any]) -> None:
    async with open_world(store, keyring, renew_after=40) as world:
        lead = await begun(world)
        await heard(world, lead, "of_a_later_version", *payloads)
        assert await heard(world, lead, "staff_acted", {"fact": 3}) == 1
        assert await world.result(lead) == "exhausted"
        assert [len(world.sent(c)) for c in ("sms", "email")] == [2, 3]
