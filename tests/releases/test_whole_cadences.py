"""Whole cadences while builds change under them: each touch is accounted for, none is made twice."""

import asyncio
from collections import Counter

from domain.lead_state import LeadState
from domain.touches import TouchStatus
from store.engine import Store
from tests.releases.installation import Build, Installation, open_installation
from wire.keyring import KeyRing

LEADS = 6
OWED = {("confirm", "sms"), ("bio", "email"), ("link", "sms"), ("edu", "email"), ("end", "email")}


async def sent(tend: Installation, build: Build, least: int) -> None:
    deadline = asyncio.get_running_loop().time() + 120
    while len(build.sent) < least:
        assert asyncio.get_running_loop().time() < deadline, f"build {build.id} sends nothing"
        await asyncio.sleep(0.05)


async def test_a_week_with_a_release_and_its_withdrawal(store: Store, keyring: KeyRing) -> None:
    async with open_installation(store, keyring, pace="20000") as tend:
        old = await tend.start("1")
        await tend.make_current(old)
        leads = [await tend.inquire(n) for n in range(LEADS)]
        await sent(tend, old, LEADS)
        new = await tend.start("2")
        await tend.make_current(new)
        await old.stop()
        await sent(tend, new, LEADS // 2)
        again = await tend.start("1")
        await tend.make_current(again)
        await new.stop()
        for lead in leads:
            async with asyncio.timeout(180):
                assert await tend.handle(lead).result() == "exhausted"
        tend.assert_nothing_twice()
        states = [await tend.state(lead) for lead in leads]
        assert Counter(touch for build in tend.builds for touch in build.sent) == Counter(
            touch for state in states for touch in accepted(state)
        )
        for state in states:
            assert {(t.step, t.part) for t in state.touches.values()} >= OWED
            assert [t for t in state.touches.values() if t.status in UNSETTLED] == []


UNSETTLED = {TouchStatus.PLANNED, TouchStatus.DELAYED, TouchStatus.CLAIMED, TouchStatus.UNKNOWN}


def accepted(state: LeadState) -> list[str]:
    return [t.touch_id for t in state.touches.values() if t.status is TouchStatus.ACCEPTED]
