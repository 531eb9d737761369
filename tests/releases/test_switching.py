"""Versions switched on for an installation that runs without, and off again, with leads in flight."""

from store.engine import Store
from tests.releases.installation import QUEUES, open_installation
from wire.keyring import KeyRing

LEADS = 4
NONE = ""  # how a history names workers without a version


async def test_versions_are_switched_on_and_off_with_leads_in_flight(store: Store, keyring: KeyRing) -> None:
    async with open_installation(store, keyring) as tend:
        plain = await tend.start(None)
        leads = [await tend.confirmed(n) for n in range(LEADS)]
        first = await tend.start("1")
        await tend.write(leads[0])
        assert first.sent == [], "as long as no build is current, leads stay where they are"

        await tend.make_current(first)
        await plain.stop()
        for lead in leads:
            await tend.write(lead)
            assert await tend.ran_on(lead) == [NONE, "1"]
        late = await tend.confirmed(LEADS)
        assert await tend.ran_on(late) == ["1"]

        again = await tend.start(None)
        await tend.write(late)
        assert again.sent == [], "as long as a build is current, workers without a version get nothing"
        await tend.deployments.make_unversioned(QUEUES)
        await first.stop()
        for lead in leads:
            await tend.write(lead)
            assert await tend.ran_on(lead) == [NONE, "1", NONE]
        await tend.write(late)
        assert await tend.ran_on(late) == ["1", NONE]
        await tend.finish([*leads, late])
        tend.assert_nothing_twice()
        assert len(plain.sent + first.sent + again.sent) == LEADS + 1 + LEADS + 2 + LEADS + 1


async def test_leads_wait_while_nobody_polls_and_go_on(store: Store, keyring: KeyRing) -> None:
    """The workers without a version are gone before a build was made current: late, not lost."""
    async with open_installation(store, keyring) as tend:
        plain = await tend.start(None)
        lead = await tend.confirmed(0)
        await plain.stop()
        waiting = await tend.inquire(1)
        first = await tend.start("1")
        assert first.sent == []
        await tend.make_current(first)
        await tend.until(waiting, lambda s: bool(s.touches), "the first text")
        await tend.write(lead)
        assert await tend.ran_on(lead) == [NONE, "1"]
        await tend.finish([lead, waiting])
        tend.assert_nothing_twice()
