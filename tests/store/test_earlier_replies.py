"""Who only may have written, as earlier builds wrote it down: they told the end of it to nobody who did not rest."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from pydantic_core import from_json
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from domain import facts as f
from domain import stored_fact
from domain.errors import NewerFact
from domain.fact_versions import VERSIONS, FactVersions
from domain.lead_state import State, Task
from domain.next_action import Touch
from domain.sweep import Missed
from store import owed_stops, tables
from store.bookings import Booking
from store.states import States
from store.sweep import SweepStore
from tests.domain.record_facts import recorded
from tests.store.test_rules import DESK, TEN, Clinic
from tests.store.test_rules import clinic as clinic  # noqa: PLC0414 - the fixture
from tests.store.test_stops_and_locks import wrote

FIELDS = from_json(recorded()["reply"]["1"]["examples"][0]).keys()  # as they were in version 1
EARLIER = FactVersions({kind: steps for kind, steps in VERSIONS.steps.items() if kind != "reply"})


async def family(clinic: Clinic, *, finished: bool) -> tuple[str, str, Task]:
    """Ra and Zo share a phone, and somebody has written from it. Which of them, is asked with Zo's tasks."""
    ra, zo = await clinic.inquire("Ra", email=None), await clinic.inquire("Zo", email=None)
    if finished:
        await clinic.commands.disqualify(DESK, ra, "x")
    await clinic.inbound.reply(wrote(1, "Tuesday"))
    living = {lead: [t for t in (await clinic.state(lead)).tasks.values() if t.candidates] for lead in (ra, zo)}
    ((owner, [who]),) = [(lead, tasks) for lead, tasks in living.items() if tasks]
    other = ra if owner == zo else zo
    assert not finished or other == ra
    return other, owner, who


async def as_an_earlier_build_wrote(clinic: Clinic, *leads: str) -> None:
    vault, table = clinic.store.vault, tables.facts
    async with clinic.store.engine.begin() as conn:
        query = select(table).where(table.c.lead_id.in_(leads), table.c.kind == "reply")
        for row in (await conn.execute(query)).mappings().all():
            key = (row["lead_id"], row["no"])
            data = from_json(vault.open_row(table, row, key)["data"])
            text = f.Replied.model_validate(data).model_dump_json(include=set(FIELDS), exclude_none=True)
            values = vault.seal_row(table, {"data": text, "version": 1, "release": None}, key)
            await conn.execute(update(table).where(table.c.lead_id == key[0], table.c.no == key[1]).values(values))
    clinic.leads.states = States()  # as in another process


async def an_earlier_build_completes(clinic: Clinic, owner: str, who: Task) -> None:
    """It tells nobody who did not rest for it."""
    async with clinic.leads.lead(owner) as unit:
        unit.append(f.TaskClosed(task_id=who.id, state=f.TaskState.DONE), "desk")


async def books(clinic: Clinic, lead: str) -> None:
    starts = TEN + timedelta(days=9)
    booked = Booking(f.BookingEvent.BOOKED, f"A-{lead}", TEN, lead, starts_at=starts, facility="main")
    await clinic.commands.booking(DESK, booked)


async def test_who_was_never_told_who_wrote_is_not_held_by_it(clinic: Clinic) -> None:
    ra, zo, who = await family(clinic, finished=True)
    await as_an_earlier_build_wrote(clinic, ra, zo)
    await an_earlier_build_completes(clinic, zo, who)
    await books(clinic, ra)
    assert (await clinic.state(ra)).rest is None
    assert (await clinic.next_touch(ra)).step == "confirm"


async def test_who_is_held_in_vain_already_goes_on_with_the_next_sweep(clinic: Clinic) -> None:
    """As its row and its workflow have it, it rests until a person has answered."""
    ra, zo, who = await family(clinic, finished=True)
    await as_an_earlier_build_wrote(clinic, ra, zo)
    await an_earlier_build_completes(clinic, zo, who)
    await books(clinic, ra)
    async with clinic.store.engine.begin() as conn:
        await conn.execute(tables.outbox.delete())
        stands = {"state": State.RESTING.value, "next_at": None, "next_step": None}
        await conn.execute(update(tables.leads).where(tables.leads.c.id == ra).values(stands))
    sweep, product = SweepStore(clinic.leads), clinic.leads.now() + timedelta(minutes=1)
    found = await sweep.standing_still(await sweep.perhaps_due(product, 100), datetime.now(UTC), product)
    assert (Missed.OVERDUE, ra) in [(stuck.kind, stuck.lead_id) for stuck in found]
    assert isinstance((await clinic.ledger.plan(ra, datetime.now(UTC))).action, Touch)


@pytest.mark.parametrize("by", ["both", "now"])
async def test_who_rests_for_a_reply_of_an_earlier_build_is_told_and_goes_on(clinic: Clinic, by: str) -> None:
    """Also into an appointment, for which nothing but a reply is waited."""
    other, owner, who = await family(clinic, finished=False)
    await as_an_earlier_build_wrote(clinic, other, *([owner] if by == "both" else []))
    await books(clinic, other)
    rest = (await clinic.state(other)).rest
    assert rest is not None and rest.waits == {who.id}
    await clinic.commands.complete_task(DESK, who.id, lead_id=owner)
    rest = (await clinic.state(other)).rest
    assert rest is None or not rest.waits


async def at_once(_: AsyncConnection, tell: Callable[[], Awaitable[object]]) -> bool:
    await tell()
    return True


async def test_an_earlier_build_beside_this_one_completes_nothing_of_which_it_would_not_tell(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    ra, zo, who = await family(clinic, finished=True)
    await as_an_earlier_build_wrote(clinic, zo)  # of whom it can read everything
    with monkeypatch.context() as earlier:
        earlier.setattr(stored_fact, "VERSIONS", EARLIER)
        earlier.setattr(owed_stops, "told", at_once)  # it owes nobody anything
        with pytest.raises(NewerFact, match=r"kind reply, version 2, .* run release 0\.2\.0"):
            await clinic.commands.complete_task(DESK, who.id, lead_id=zo)
    clinic.leads.states = States()
    assert (await clinic.state(zo)).tasks[who.id].living
    await books(clinic, ra)
    rest = (await clinic.state(ra)).rest
    assert rest is not None and rest.waits == {who.id}
    await clinic.commands.complete_task(DESK, who.id, lead_id=zo)
    assert not (await clinic.state(ra)).unanswered
    rest = (await clinic.state(ra)).rest
    assert rest is None or not rest.waits


def test_replies_of_version_1_were_told_to_nobody_who_did_not_rest() -> None:
    for text in recorded()["reply"]["1"]["examples"]:
        read = stored_fact.StoredFact("reply", 1, None, text).read()
        assert isinstance(read, f.Replied)
        assert not read.told
        assert replace(stored_fact.StoredFact.of(read), data="") == stored_fact.StoredFact("reply", 2, "0.2.0", "")
