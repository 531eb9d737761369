"""What is under way at the very moment of a release: it is done once, by the build that has it or by the next."""

import asyncio
from datetime import timedelta

import pytest
from temporalio import activity

import worker
from domain.touches import TouchStatus
from store.engine import Store
from tests.releases.installation import NAME, QUEUES, Build, Installation, open_installation, status
from tests.workflows.held import LONGEST, Held
from wire.deployments import Deployments, NotReady
from wire.keyring import KeyRing


@pytest.fixture
def soon_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """A build that stops grants a second to what is under way."""
    monkeypatch.setattr(worker, "GRACE", timedelta(seconds=1))


async def current_build(tend: Installation) -> Build:
    build = await tend.start("1")
    await tend.make_current(build)
    return build


async def sending(tend: Installation, build: Build) -> tuple[str, Held]:
    """A lead whose first text has reached the carrier, and the build does not know it yet."""
    held = build.channels["sms"].held = Held()
    lead = await tend.inquire(0)
    await held.reached()
    assert status(await tend.state(lead), "confirm") is TouchStatus.CLAIMED
    return lead, held


async def test_a_text_under_way_is_settled_by_the_build_that_sends_it(store: Store, keyring: KeyRing) -> None:
    async with open_installation(store, keyring) as tend:
        old = await current_build(tend)
        lead, held = await sending(tend, old)
        new = await tend.start("2")
        await tend.make_current(new)
        stopping = asyncio.create_task(old.stop())
        held.release()
        async with asyncio.timeout(LONGEST):
            await stopping
        await tend.until(lead, lambda s: status(s, "confirm") is TouchStatus.ACCEPTED, "the first text")
        await tend.write(lead)
        assert (len(old.sent), len(new.sent)) == (1, 1)
        assert (await tend.ran_on(lead))[-1] == "2"
        await tend.finish([lead])
        tend.assert_nothing_twice()


async def test_a_text_whose_build_was_cut_off_is_looked_for_by_the_next(
    store: Store, keyring: KeyRing, soon_cut_off: None
) -> None:
    """It does not answer within what a stop grants it: the new build finds the claim and asks the carrier's list."""
    async with open_installation(store, keyring) as tend:
        old = await current_build(tend)
        lead, _ = await sending(tend, old)
        (touch_id,) = old.sent
        new = await tend.start("2")
        new.channels["sms"].listed.append(touch_id)
        await tend.make_current(new)
        await old.stop()
        await tend.until(lead, lambda s: status(s, "confirm") is TouchStatus.ACCEPTED, "it is found in the list")
        await tend.write(lead)
        assert (len(old.sent), len(new.sent)) == (1, 1)
        await tend.finish([lead])
        tend.assert_nothing_twice()


class GivenUp(Held):
    """Waits for Temporal to have given up what is held, and for ever after."""

    def __init__(self) -> None:
        super().__init__()
        self.given_up = asyncio.Event()

    async def wait(self) -> None:
        self._reached.set()
        await activity.wait_for_cancelled()
        self.given_up.set()
        await super().wait()


async def test_a_build_whose_text_temporal_has_given_to_another_comes_to_its_end(
    store: Store, keyring: KeyRing, soon_cut_off: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was told once already to leave it, and is not told again as it stops."""
    async with open_installation(store, keyring) as tend:
        old = await current_build(tend)
        old.channels["sms"].held = held = GivenUp()
        with monkeypatch.context() as silent:
            silent.setattr(activity, "heartbeat", lambda *details: None)
            lead = await tend.inquire(0)
            await held.reached()
            await tend.until_tried_again(lead)
        async with asyncio.timeout(LONGEST):
            await held.given_up.wait()
            await old.stop()
        tend.assert_nothing_twice()


async def test_a_build_without_workers_on_every_queue_is_not_made_current(store: Store, keyring: KeyRing) -> None:
    async with open_installation(store, keyring) as tend:
        deployments = Deployments(tend.client, NAME, patience=tend.deployments.patience / 30)
        assert await deployments.builds() == []
        with pytest.raises(NotReady, match="no worker of build 1 has polled"):
            await deployments.make_current("1", QUEUES)
        await deployments.make_unversioned(QUEUES)  # there is nothing to leave
        await tend.make_current(await tend.start("1"))
        assert [(b.build_id, b.status) for b in await deployments.builds()] == [("1", "current")]
        with pytest.raises(NotReady, match="no worker of build 1 polls tend-fax"):
            await deployments.make_current("1", [*QUEUES, "tend-fax"])
