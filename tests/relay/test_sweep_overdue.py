"""Who has something to do and has not moved is found by the sweep, behind any number of those who merely wait."""

import asyncio
import uuid
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy import text

from domain import facts as f
from domain.clock import Clock, Segment
from domain.journal import Journal
from domain.ports import Accepted, Begin, Call, Email, Sms
from domain.sweep import Missed
from domain.task_commands import dial
from domain.touches import Channel, TouchStatus, touch_id
from relay import sweep as module
from tests.relay.conftest import DESK, NO_GRACE, Clinic, by_kind


async def test_a_fact_that_nobody_told_is_acted_on(clinic: Clinic) -> None:
    lead = await clinic.take_in()
    async with clinic.working():
        await clinic.until_sent(lead)
        await clinic.until_idle(lead)
        await clinic.append_unheard(lead, await clinic.own_words(lead))
        assert by_kind((await clinic.sweep().sweep()).tallies) == {Missed.OVERDUE: (1, 1)}
        await clinic.until_sent(lead, "staff")


@pytest.mark.parametrize("held", [False, True], ids=["waiting", "paused"])
async def test_whom_nobody_told_is_found_behind_any_number_whose_touch_was_put_off(clinic: Clinic, held: bool) -> None:
    waiting, told_nothing = [await clinic.take_in() for _ in range(3)], await clinic.take_in()
    async with clinic.working():
        for lead in (*waiting, told_nothing):
            await clinic.until_sent(lead)
        await clinic.until_idle(*waiting, told_nothing)
        until = clinic.clock.now() + (timedelta(0) if held else timedelta(days=1))
        for lead in waiting:
            await clinic.append_unheard(lead, _put_off(clinic, lead, until))
            if held:
                await clinic.append_unheard(lead, f.Paused(reason="test"))
        await clinic.append_unheard(told_nothing, await clinic.own_words(told_nothing))
        perhaps = await clinic.sweep().store.perhaps_due(clinic.clock.now(), 10)
        assert perhaps == [told_nothing]  # the others are not even looked at
        swept = await clinic.sweep(replace(NO_GRACE, most=2)).sweep()
        assert by_kind(swept.tallies) == {Missed.OVERDUE: (1, 1)}
        await clinic.until_sent(told_nothing, "staff")


def _put_off(clinic: Clinic, lead: str, until: datetime) -> f.TouchChanged:
    return f.TouchChanged(
        touch_id=touch_id(lead, 1, "link", "sms"),
        enrollment=1,
        step="link",
        part="sms",
        channel=Channel.SMS,
        status=TouchStatus.DELAYED,
        due_at=clinic.clock.now(),
        until=until,
        rule="window.federal",
        reason="test",
    )


async def test_whoever_only_seems_late_hides_nobody(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAGE", 1)
    waiting, told_nothing = [await clinic.take_in() for _ in range(3)], await clinic.take_in()
    async with clinic.working():
        for lead in (*waiting, told_nothing):
            await clinic.until_sent(lead)
        await clinic.until_idle(*waiting, told_nothing)
        for lead in waiting:
            await clinic.append_unheard(lead, _put_off(clinic, lead, clinic.clock.now() + timedelta(days=1)))
        await clinic.append_unheard(told_nothing, await clinic.own_words(told_nothing))
        async with clinic.store.engine.begin() as conn:  # as a release before wrote it
            as_planned = "UPDATE touches SET due_at = due_at - interval '2 days' WHERE status = 'delayed'"
            await conn.execute(text(as_planned))
        one = {Missed.OVERDUE: (1, 0)}
        assert by_kind((await clinic.sweep(replace(NO_GRACE, most=1)).sweep(repair=False)).tallies) == one
        few = clinic.sweep(replace(NO_GRACE, most=1, judged=2))

        async def found() -> bool:
            return by_kind((await few.sweep(repair=False)).tallies) == one

        await clinic.until(found, "its turn")  # every second time, on average


async def test_judging_ends_in_time_and_what_was_found_is_mended(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAGE", 1)
    leads = [await clinic.take_in() for _ in range(2)]
    async with clinic.working():
        for lead in leads:
            await clinic.until_sent(lead)
        await clinic.until_idle(*leads)
        for lead in leads:
            await clinic.append_unheard(lead, await clinic.own_words(lead))
        for _ in leads:  # each time whoever is left
            swept = await clinic.sweep(replace(NO_GRACE, judging=0.0)).sweep()
            assert by_kind(swept.tallies) == {Missed.OVERDUE: (1, 1)}
            await clinic.until_idle(*leads)
        for lead in leads:
            await clinic.until_sent(lead, "staff")


async def test_what_a_person_asked_for_is_found_under_a_pause(clinic: Clinic) -> None:
    lead, other = await clinic.take_in(), await clinic.take_in()
    async with clinic.working():
        for one in (lead, other):
            await clinic.until_sent(one)
            await clinic.append(one, f.Paused(reason="test"))
        await clinic.until_idle(lead, other)
        await clinic.append_unheard(lead, await clinic.own_words(lead))
        await clinic.append_unheard(other, *await _dialled(clinic, other))
        assert by_kind((await clinic.sweep().sweep(repair=False)).tallies) == {Missed.OVERDUE: (2, 0)}


async def _dialled(clinic: Clinic, lead: str) -> list[f.Fact]:
    """A task for a step's call, claimed; its call was dialled."""
    actor, now, task = replace(DESK, phone="+12025550143"), clinic.clock.now(), str(uuid.uuid4())
    opened = f.TaskOpened(task_id=task, task_kind=f.TaskKind.CALL, due_at=now, enrollment=1, step="call1", part="call")
    claimed = f.TaskClaimed(task_id=task, by_id=actor.id, by_name=actor.name, lease_until=now + timedelta(minutes=10))
    journal = Journal(await clinic.state(lead), clinic.ledger.leads.book)
    for fact in (opened, claimed):
        journal.append(fact, now, "a test")
    return [opened, claimed, *dial(journal.state, task, actor, now)]


async def test_a_rest_that_is_over_and_ends_the_sequence_is_found(clinic: Clinic) -> None:
    lead, task = await clinic.take_in(), str(uuid.uuid4())
    async with clinic.working():
        await clinic.until_sent(lead)
        now = clinic.clock.now()
        opened = f.TaskOpened(task_id=task, task_kind=f.TaskKind.REPLY, due_at=now)
        other = opened.model_copy(update={"task_id": str(uuid.uuid4()), "task_kind": f.TaskKind.REVIEW})
        await clinic.append(lead, other, opened, f.Rested(cause="a reply", task_id=task))
        await clinic.until_idle(lead)
        assert await clinic.sweep().store.perhaps_due(clinic.clock.now(), 10) == []
        assert by_kind((await clinic.sweep().sweep()).tallies) == {}
        await clinic.append_unheard(lead, f.TaskClosed(task_id=task, state=f.TaskState.DONE))
        assert by_kind((await clinic.sweep().sweep()).tallies) == {Missed.OVERDUE: (1, 1)}


async def test_who_rests_for_a_person_is_not_looked_at_until_nobody_is_asked_any_more(clinic: Clinic) -> None:
    """Of replies nobody answers there may be any number: they would hide who is late. Who may have written rests too,
    for a task of another lead."""
    lead, other, task = await clinic.take_in(), await clinic.take_in(), str(uuid.uuid4())
    async with clinic.working():
        await clinic.until_sent(lead)
        await clinic.until_sent(other)
        await clinic.until_idle(lead, other)
        now = clinic.clock.now()
        who = f.TaskOpened(task_id=task, task_kind=f.TaskKind.REVIEW, due_at=now, candidates=(lead, other))
        rests = f.Rested(cause="the lead wrote", task_id=task, resume_after=0.0)
        await clinic.append_unheard(lead, who, rests)
        await clinic.append_unheard(other, rests)
        store, later = clinic.sweep().store, clinic.clock.now() + timedelta(minutes=10)
        assert await store.perhaps_due(later, 10) == []
        async with clinic.store.engine.begin() as conn:  # and nobody told the leads
            await conn.execute(text("UPDATE tasks SET state = 'done'"))
        assert sorted(await store.perhaps_due(later, 10)) == sorted([lead, other])


async def test_a_look_that_is_overdue_is_found(clinic: Clinic) -> None:
    lead = await clinic.take_in()
    async with clinic.working():
        await clinic.until_sent(lead)
        await clinic.append(lead, f.Paused(reason="test"))
        await clinic.until_idle(lead)
        perhaps = await clinic.own_words(lead)
        for status in (TouchStatus.CLAIMED, TouchStatus.UNKNOWN):
            look = clinic.clock.now() if status is TouchStatus.UNKNOWN else None
            await clinic.append_unheard(lead, perhaps.model_copy(update={"status": status, "look_at": look}))
        assert by_kind((await clinic.sweep().sweep()).tallies) == {Missed.OVERDUE: (1, 1)}


async def test_a_task_whose_time_has_passed_is_noticed(clinic: Clinic) -> None:
    lead = await clinic.take_in()
    async with clinic.working():
        await clinic.until_sent(lead)
        await clinic.append(lead, f.Paused(reason="test"))
        await clinic.until_idle(lead)
        task = f.TaskOpened(task_id=str(uuid.uuid4()), task_kind=f.TaskKind.CALLBACK, due_at=clinic.clock.now())
        await clinic.append_unheard(lead, task)
        assert by_kind((await clinic.sweep().sweep()).tallies) == {}
        now = clinic.clock.segments[0]
        in_an_hour = Clock((Segment(now.real, now.product + timedelta(hours=1), 1.0),))
        assert by_kind((await clinic.sweep(clock=in_an_hour).sweep()).tallies) == {Missed.TASK: (1, 1)}


async def test_who_is_at_work_is_left_alone_and_hides_nobody(clinic: Clinic) -> None:
    told_nothing = await clinic.take_in()
    hold = asyncio.Event()
    send = clinic.channel.send

    async def held(message: Sms | Email | Call, limit: float, begin: Begin | None = None) -> Accepted:
        if begin is not None:
            await begin()
        await hold.wait()
        return await send(message, limit)

    async with clinic.working():
        await clinic.until_sent(told_nothing)
        await clinic.until_idle(told_nothing)
        clinic.channel.send = held  # type: ignore[method-assign]
        leads = [await clinic.take_in() for _ in range(3)]

        async def claimed() -> bool:
            states = [await clinic.state(lead) for lead in leads]
            return all(any(t.status is TouchStatus.CLAIMED for t in s.touches.values()) for s in states)

        await clinic.until(claimed, "the claims")
        for lead in leads:
            await clinic.until(lambda lead=lead: _listed(clinic, lead), "the list knows")  # type: ignore[misc]
        async with clinic.store.engine.begin() as conn:
            late = "UPDATE touches SET deadline = now() - interval '1 minute' WHERE status = 'claimed'"
            await conn.execute(text(late))
        assert by_kind((await clinic.sweep().sweep()).tallies) == {}
        await clinic.append_unheard(told_nothing, await clinic.own_words(told_nothing))
        found = await clinic.sweep(replace(NO_GRACE, most=1)).sweep(repair=False)
        assert by_kind(found.tallies) == {Missed.OVERDUE: (1, 0)}
        hold.set()
        for lead in leads:
            await clinic.until_sent(lead)


async def _listed(clinic: Clinic, lead: str) -> bool:
    return await clinic.workflows.running([lead]) == {lead}
