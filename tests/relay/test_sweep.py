"""The sweep: each thing that can be missed is made to be missed, and found, mended, counted; and nothing else is."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from temporalio.client import ScheduleActionExecutionStartWorkflow

from domain import facts as f
from domain.errors import ClocksApart
from domain.ledger import Claim, TouchRef
from domain.sweep import Missed
from domain.touches import Channel, touch_id
from relay import sweep as module
from relay.lead_workflows import Looked
from relay.sweep import Bounds
from relay.sweep_schedule import make_schedule
from stack.stuck_leads import stuck
from stack.verdicts import Verdict
from store import clocks, outbox
from store.sweep import kept
from tests.relay.conftest import NO_GRACE, Clinic, by_kind
from workflows import names
from workflows.messages import SweepResult


async def test_nothing_is_found_where_all_goes_well(clinic: Clinic) -> None:
    async with clinic.working():
        running, finished, resting = [await clinic.take_in() for _ in range(3)]
        for lead in (running, finished, resting):
            await clinic.until_sent(lead)
        await clinic.append(finished, f.Disqualified(reason="test"))
        await clinic.append(resting, f.Paused(reason="test"))

        async def over() -> bool:
            return (await clinic.workflows.look([finished]))[0].looked is Looked.ENDED

        await clinic.until(over, "the finished lead's workflow has ended")
        await clinic.until_idle(running, resting)
        swept = await clinic.sweep().sweep()
        assert by_kind(swept.tallies) == {}
        assert await clinic.entries() == 0
        assert swept.after is None


async def test_a_lead_without_a_workflow_gets_one(clinic: Clinic) -> None:
    lead = await clinic.take_in_unheard()
    async with clinic.working():
        assert by_kind((await clinic.sweep().sweep()).tallies) == {Missed.NO_WORKFLOW: (1, 1)}
        await clinic.until_sent(lead)
        assert await clinic.has_workflow(lead)
        await clinic.until_idle(lead)
        assert by_kind((await clinic.sweep().sweep()).tallies) == {}


async def test_a_young_lead_is_left_to_the_outbox(clinic: Clinic) -> None:
    await clinic.take_in_unheard()
    assert by_kind((await clinic.sweep(Bounds(grace=timedelta(hours=1))).sweep()).tallies) == {}


async def test_a_workflow_that_was_ended_is_begun_again(clinic: Clinic) -> None:
    lead = await clinic.take_in()
    async with clinic.working():
        await clinic.until_sent(lead)
        await clinic.until_idle(lead)
        await clinic.end(lead)
        assert by_kind((await clinic.sweep().sweep()).tallies) == {Missed.WORKFLOW_ENDED: (1, 1)}
        await clinic.until_idle(lead)
    assert len(clinic.channel.sent) == 1


async def test_a_claim_that_nobody_settles_is_found_and_looked_for(clinic: Clinic) -> None:
    lead = await clinic.take_in_unheard()
    ref = await _claim(clinic, lead)
    clinic.channel.listed.append(ref.touch_id)  # the killed worker's request had arrived
    async with clinic.working():
        assert by_kind((await clinic.sweep().sweep()).tallies) == {Missed.NO_WORKFLOW: (1, 1)}
        await clinic.until_sent(lead)
    assert clinic.channel.sent == []


async def test_a_claim_left_behind_under_a_workflow_that_waits_is_found(clinic: Clinic) -> None:
    lead = await clinic.take_in()
    async with clinic.working():
        await clinic.until_sent(lead)
        await clinic.append(lead, f.Paused(reason="test"))
        await clinic.until_idle(lead)
        async with clinic.store.engine.begin() as conn:
            late = text(
                "UPDATE touches SET status = 'claimed', deadline = now() - interval '1 minute' WHERE lead_id=:i"
            )
            await conn.execute(late, {"i": lead})
        assert by_kind((await clinic.sweep().sweep()).tallies) == {Missed.CLAIM: (1, 1)}


async def _claim(clinic: Clinic, lead: str) -> TouchRef:
    """Its first touch, claimed by a worker that was killed before its answer came."""
    ref = TouchRef(lead, touch_id(lead, 1, "confirm", "sms"), 1, "confirm", "sms", Channel.SMS)
    claim = await clinic.ledger.claim(ref, datetime.now(UTC))
    assert isinstance(claim, Claim)
    async with clinic.store.engine.begin() as conn:
        await conn.execute(text("UPDATE touches SET deadline = now() - interval '1 minute'"))
    return ref


async def test_what_waits_in_the_outbox_for_too_long_is_hurried(clinic: Clinic) -> None:
    lead = await clinic.take_in()
    async with clinic.store.engine.begin() as conn:
        await conn.execute(text("UPDATE outbox SET not_before = now() + interval '1 day'"))
    async with clinic.working():
        swept = await clinic.sweep().sweep()
        assert by_kind(swept.tallies) == {Missed.UNHEARD: (1, 1)}
        assert all(t.oldest > timedelta(0) for t in swept.tallies if t.found)
        await clinic.until_sent(lead)


async def test_many_are_compared_page_by_page_and_the_next_sweep_goes_on(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAGE", 2)
    leads = sorted([await clinic.take_in_unheard() for _ in range(5)])
    for lead in leads:  # so that nothing is due: only the comparison finds them
        await clinic.append_unheard(lead, f.Paused(reason="test"))
    sweep, after, found = clinic.sweep(Bounds(grace=timedelta(0), pages=1)), None, []
    for _ in range(3):
        swept = await sweep.sweep(after)
        found.append(by_kind(swept.tallies)[Missed.NO_WORKFLOW])
        after = swept.after
    assert found == [(2, 2), (2, 2), (1, 1)]
    assert after is None
    async with clinic.store.engine.begin() as conn:
        assert sorted(entry.lead_id for entry in await outbox.take(conn, 10)) == leads


async def test_looking_alone_changes_nothing(clinic: Clinic) -> None:
    await clinic.take_in_unheard()
    assert by_kind((await clinic.sweep().sweep(repair=False)).tallies) == {Missed.NO_WORKFLOW: (1, 0)}
    assert await clinic.entries() == 0
    async with clinic.store.engine.connect() as conn:
        assert await kept(conn) == []


async def test_repairs_come_behind_whatever_anybody_waits_for(clinic: Clinic) -> None:
    late = [await clinic.take_in_unheard() for _ in range(3)]
    await clinic.sweep().sweep()
    new = await clinic.take_in()
    async with clinic.store.engine.begin() as conn:
        taken = [entry.lead_id for entry in await outbox.take(conn, 10)]
    assert taken[0] == new
    assert set(taken[1:]) == set(late)


async def test_the_schedule_is_made_once_and_its_sweep_is_counted(clinic: Clinic) -> None:
    lead = await clinic.take_in_unheard()
    made = await make_schedule(clinic.temporal)
    assert not await make_schedule(clinic.temporal)
    assert made
    schedule = clinic.temporal.get_schedule_handle(names.SWEEP_SCHEDULE)
    async with clinic.working():
        await schedule.trigger()
        await clinic.until_sent(lead)

        async def counted() -> bool:
            async with clinic.store.engine.connect() as conn:
                return {(t.kind, t.repaired) for t, _ in await kept(conn)} >= {(Missed.NO_WORKFLOW, 1)}

        await clinic.until(counted, "it is counted")
        action = (await schedule.describe()).info.recent_actions[-1].action
        assert isinstance(action, ScheduleActionExecutionStartWorkflow)
        workflow = action.workflow_id
        result = await clinic.temporal.get_workflow_handle(workflow, result_type=SweepResult).result()
        assert result.repaired == {"no_workflow": 1}
    await schedule.delete()


def test_the_grace_is_longer_than_a_claim() -> None:
    assert NO_GRACE.grace == timedelta(0)
    assert Bounds().grace > timedelta(seconds=15)


@pytest.mark.parametrize("by", [timedelta(hours=11), timedelta(hours=-11)], ids=str)
async def test_by_a_clock_that_is_wrong_nobody_is_late_and_the_doctor_says_why(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch, by: timedelta
) -> None:
    monkeypatch.setattr(clocks, "ours", lambda: datetime.now(UTC) + by)
    with pytest.raises(ClocksApart):
        await clinic.sweep().sweep()
    (line,) = [line async for line in stuck(clinic.sweep(), repair=False)]
    assert (line.check, line.verdict) == ("leads", Verdict.WRONG)
    assert "the clock of the database is" in line.found
