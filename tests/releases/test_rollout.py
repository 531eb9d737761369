"""Two builds of the workers side by side: leads in flight move to the one that is made current, and back."""

from store.engine import Store
from tests.releases.installation import open_installation
from wire.keyring import KeyRing

LEADS = 8


async def test_leads_in_flight_move_to_the_new_build_and_back(store: Store, keyring: KeyRing) -> None:
    async with open_installation(store, keyring) as tend:
        old = await tend.start("1")
        await tend.make_current(old)
        leads = [await tend.confirmed(n) for n in range(LEADS)]
        new = await tend.start("2")
        await tend.write(leads[0])
        assert new.sent == [], "a build that is not current gets nothing"

        await tend.make_current(new)
        for lead in leads:
            await tend.write(lead)
            assert await tend.ran_on(lead) == ["1", "2"]
        assert len(new.sent) == LEADS
        await old.stop()
        late = await tend.confirmed(LEADS)
        await tend.write(late)
        assert await tend.ran_on(late) == ["2"]

        again = await tend.start("1")
        await tend.make_current(again)
        await new.stop()
        for lead in leads:
            await tend.write(lead)
            assert await tend.ran_on(lead) == ["1", "2", "1"]
        await tend.write(late)
        assert await tend.ran_on(late) == ["2", "1"]
        assert len(again.sent) == LEADS + 1
        await tend.finish([*leads, late])
        tend.assert_nothing_twice()
        assert len(old.sent + new.sent + again.sent) == LEADS + 1 + LEADS + 2 + LEADS + 1
