"""Who writes from a shared phone is heard, though a relative there cannot be read."""

import pytest

from domain.errors import NewerFact
from domain.lead_state import State, Task
from store import outbox
from tests.store.test_rules import DESK, Clinic
from tests.store.test_rules import clinic as clinic  # noqa: PLC0414 - the fixture
from tests.store.test_stops_and_locks import wrote
from tests.store.test_stops_of_newer_leads import by_a_later_release, by_ours, owed


async def replies(clinic: Clinic, lead: str) -> list[Task]:
    return [t for t in (await clinic.state(lead)).tasks.values() if t.message_id is not None]


async def opened(clinic: Clinic, lead: str) -> frozenset[str]:
    """The tasks that it waits for, once it can be read."""
    await by_ours(clinic, lead)
    async with clinic.leads.lead(lead):
        pass
    return await waits(clinic, lead)


async def waits(clinic: Clinic, lead: str) -> frozenset[str]:
    rest = (await clinic.state(lead)).rest
    return rest.waits if rest is not None else frozenset()


async def asked(clinic: Clinic) -> tuple[str, str, Task]:
    """Bob and Ann live and share a phone, Ann cannot be read, and somebody has written: who, is asked with Bob's."""
    bob, ann = await clinic.inquire("Bob", email=None), await clinic.inquire("Ann", email=None)
    await by_a_later_release(clinic, ann)
    assert await clinic.inbound.reply(wrote(1, "Please call me"))
    [who] = await replies(clinic, bob)
    assert who.candidates == (bob, ann)
    assert (await clinic.state(bob)).state is State.RESTING
    assert await owed(clinic, ann)
    return bob, ann, who


async def test_a_finished_relative_who_cannot_be_read_is_left_out(clinic: Clinic) -> None:
    ann = await clinic.inquire("Ann", email=None)
    await clinic.commands.disqualify(DESK, ann, "x")
    bob = await clinic.inquire("Bob", email=None)
    await by_a_later_release(clinic, ann)
    assert await clinic.inbound.reply(wrote(1, "Please call me"))
    [reply] = await replies(clinic, bob)
    assert reply.candidates == ()
    assert (await clinic.state(bob)).state is State.RESTING
    assert not await owed(clinic, ann)


async def test_a_living_one_may_have_written_it_and_rests_once_it_can_be_read(clinic: Clinic) -> None:
    _, ann, who = await asked(clinic)
    assert await opened(clinic, ann) == {who.id}
    assert (await clinic.state(ann)).unanswered == {who.id}


async def test_who_did_not_write_goes_on_once_it_can_be_read(clinic: Clinic) -> None:
    bob, ann, who = await asked(clinic)
    await clinic.commands.complete_task(DESK, who.id, lead_id=bob)
    assert await opened(clinic, ann) == frozenset()
    assert (await clinic.state(ann)).unanswered == frozenset()


async def test_who_wrote_has_its_reply_once_it_can_be_read(clinic: Clinic) -> None:
    bob, ann, who = await asked(clinic)
    await clinic.commands.complete_task(DESK, who.id, lead_id=ann)
    assert await waits(clinic, bob) == frozenset()
    waited = await opened(clinic, ann)
    [own] = await replies(clinic, ann)
    assert waited == {own.id}
    assert (own.message_id, own.candidates, own.living) == (who.message_id, (), True)


async def test_who_cannot_be_read_any_more_when_it_is_said_who_wrote_keeps_nobody_waiting(clinic: Clinic) -> None:
    bob, ann = await clinic.inquire("Bob", email=None), await clinic.inquire("Ann", email=None)
    assert await clinic.inbound.reply(wrote(1, "Please call me"))
    [(owner, who)] = [(lead, t) for lead in (bob, ann) for t in await replies(clinic, lead)]
    other = ann if owner == bob else bob
    await by_a_later_release(clinic, other)
    await clinic.commands.complete_task(DESK, who.id, lead_id=owner)
    assert len(await replies(clinic, owner)) == 2, "who was asked for, and its own"
    assert await opened(clinic, other) == frozenset()


async def test_where_nobody_can_be_read_the_carrier_is_told_so(clinic: Clinic) -> None:
    for name in ("Bob", "Ann"):
        await by_a_later_release(clinic, await clinic.inquire(name, email=None))
    with pytest.raises(NewerFact):
        await clinic.inbound.reply(wrote(1, "Please call me"))


async def test_who_is_owed_news_hears_of_it_though_an_earlier_signal_is_just_being_delivered(clinic: Clinic) -> None:
    bob, ann, who = await asked(clinic)
    async with clinic.store.engine.begin() as delivering:
        while held := [entry.id for entry in await outbox.take(delivering, 10) if entry.lead_id == ann]:
            await outbox.done(delivering, held)
        await clinic.commands.complete_task(DESK, who.id, lead_id=bob)
    async with clinic.store.engine.begin() as conn:
        assert [entry.signal for entry in await outbox.take(conn, 10) if entry.lead_id == ann] == ["staff_acted"]
