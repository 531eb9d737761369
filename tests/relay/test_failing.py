"""Leads whose next step fails at every try: found by the sweep, told by `tend doctor`, and never woken for it."""

import uuid
from datetime import UTC, timedelta

import pytest
from sqlalchemy import update
from temporalio import activity, workflow
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from domain import facts as f
from domain.clock import Clock, Segment
from domain.ports import Accepted, Begin, Call, Email, Sms
from domain.sweep import Missed
from relay.sweep import Bounds
from stack.stuck_leads import stuck
from stack.verdicts import Verdict
from store import tables
from store.states import States
from tests.relay.conftest import Clinic, by_kind
from tests.workflows.history import count, kind
from workflows import messages as m
from workflows import names

SOON = Bounds(grace=timedelta(0), tries=2, failing_for=timedelta(0))
PRIVATE = "+12125559999"


async def by_a_later_release(clinic: Clinic, lead: str) -> None:
    """Its last fact is one that this release cannot read; nobody is told."""
    await clinic.append_unheard(lead, f.Noted(text="hello"))
    table = tables.facts
    async with clinic.store.engine.begin() as conn:
        later = update(table).where(table.c.lead_id == lead, table.c.kind == "note").values(version=2, release="0.7.0")
        await conn.execute(later)
    clinic.ledger.leads.states = States()  # as in another process


async def until_tried(clinic: Clinic, lead: str) -> None:
    async def tried() -> bool:
        return (await clinic.workflows.look([lead]))[0].failed > SOON.tries

    await clinic.until(tried, "it has failed more than twice")


async def test_a_lead_whose_plan_fails_for_ever_is_found_told_and_not_woken(clinic: Clinic) -> None:
    broken, well = await clinic.take_in(), await clinic.take_in()
    async with clinic.working():
        for lead in (broken, well):
            await clinic.until_sent(lead)
        await clinic.until_idle(broken, well)
        await by_a_later_release(clinic, broken)
        now = clinic.clock.segments[0]
        in_a_day = Clock((Segment(now.real, now.product + timedelta(days=1), 1.0),))
        # both are behind their next step by then, and one that cannot be read does not hide the other
        first = await clinic.sweep(clock=in_a_day).sweep(repair=False)
        assert by_kind(first.tallies) == {Missed.OVERDUE: (2, 0)}
        await clinic.temporal.get_workflow_handle(names.workflow_id(broken)).signal("staff_acted", m.Signal(fact=0))
        await until_tried(clinic, broken)

        swept = await clinic.sweep(SOON, in_a_day).sweep(repair=False)
        assert by_kind(swept.tallies) == {Missed.OVERDUE: (1, 0), Missed.FAILING: (1, 0)}
        assert [(one.lead_id, one.failure) for one in swept.failing] == [(broken, "NewerFact")]
        (line,) = [one async for one in stuck(clinic.sweep(SOON, in_a_day), repair=False) if one.check == "failing"]
        assert line.verdict is Verdict.WRONG
        assert broken in line.found
        assert "NewerFact" in line.found

        few, young = Bounds(grace=timedelta(0), tries=10_000), Bounds(grace=timedelta(0), tries=2)
        for bounds in (few, young):  # it may yet go well
            assert Missed.FAILING not in by_kind((await clinic.sweep(bounds, in_a_day).sweep(repair=False)).tallies)

        repaired = await clinic.sweep(SOON, in_a_day).sweep()
        assert by_kind(repaired.tallies)[Missed.FAILING] == (1, 0)
        async with clinic.store.engine.connect() as conn:
            assert broken not in set((await conn.execute(tables.outbox.select())).scalars())


async def test_one_that_cannot_be_read_and_has_no_workflow_gets_one(clinic: Clinic) -> None:
    broken = await clinic.take_in_unheard()
    await clinic.take_in_unheard()
    await by_a_later_release(clinic, broken)
    assert by_kind((await clinic.sweep().sweep()).tallies) == {Missed.NO_WORKFLOW: (2, 2)}


async def test_a_touch_that_fails_for_ever_is_found_without_its_text(clinic: Clinic) -> None:
    lead = await clinic.take_in()

    async def broken(message: Sms | Email | Call, limit: float, begin: Begin | None = None) -> Accepted:
        raise LookupError(f"nothing known of {PRIVATE}")

    clinic.channel.send = broken  # type: ignore[method-assign]
    async with clinic.working():
        await until_tried(clinic, lead)
        unhurried = Bounds(grace=timedelta(hours=1), tries=2, failing_for=timedelta(0))  # no claim is late by then
        assert by_kind((await clinic.sweep(unhurried).sweep(repair=False)).tallies) == {Missed.FAILING: (1, 0)}
        lines = [line async for line in stuck(clinic.sweep(SOON), repair=True)]
        (line,) = [line for line in lines if line.check == "failing"]
        assert line.verdict is Verdict.WRONG
        assert "LookupError" in line.found
        assert PRIVATE not in str(lines)


@workflow.defn(name=names.WORKFLOW)
class Broken:
    """Its own task fails, as where code cannot replay a history."""

    @workflow.run
    async def run(self, start: m.LeadStart) -> str:
        raise RuntimeError(PRIVATE)


async def test_a_workflow_whose_own_task_fails_for_ever_is_found(clinic: Clinic) -> None:
    lead = await clinic.take_in_unheard()
    await clinic.sweep().sweep()
    bad = Worker(
        clinic.temporal,
        task_queue=names.LEADS_QUEUE,
        workflows=[Broken],
        workflow_runner=UnsandboxedWorkflowRunner(),
    )
    async with bad, clinic.relaying():
        await until_tried(clinic, lead)
        swept = await clinic.sweep(SOON).sweep(repair=False)
        assert [(one.kind, one.lead_id, one.failure) for one in swept.failing] == [
            (Missed.FAILING, lead, "WorkflowTaskFailed")
        ]


class Gone(Exception):
    """What the plan raises, each time."""


@activity.defn(name=names.PLAN)
async def fails(_: m.LeadRef) -> None:
    raise Gone


@workflow.defn(name=names.WORKFLOW)
class Woken:
    """A touch whose turn does not come, and a plan that fails; either may have been asked for first."""

    @workflow.run
    async def run(self, start: m.LeadStart) -> str:
        lead, queues = m.LeadRef(lead_id=start.lead_id), {names.TOUCH: "nobody's", names.PLAN: names.LEADS_QUEUE}
        order = [names.PLAN, names.TOUCH] if start.renew_after else [names.TOUCH, names.PLAN]
        for name in order:
            limit = timedelta(seconds=10)
            workflow.start_activity(name, lead, task_queue=queues[name], start_to_close_timeout=limit)
            await workflow.sleep(timedelta(seconds=1))
        await workflow.wait_condition(lambda: False)
        return "never"


@pytest.mark.parametrize("plan_first", [False, True])
async def test_a_plan_that_fails_beside_a_touch_that_waits_for_its_turn_is_found(
    clinic: Clinic, plan_first: bool
) -> None:
    lead = str(uuid.uuid4())
    worker = Worker(
        clinic.temporal,
        task_queue=names.LEADS_QUEUE,
        workflows=[Woken],
        activities=[fails],
        workflow_runner=UnsandboxedWorkflowRunner(),
    )
    async with worker:
        start = m.LeadStart(lead_id=lead, renew_after=int(plan_first))
        handle = await clinic.temporal.start_workflow(
            names.WORKFLOW, start, id=names.workflow_id(lead), task_queue=names.LEADS_QUEUE
        )
        await until_tried(clinic, lead)

        async def both() -> bool:
            return count(list((await handle.fetch_history()).events), "ACTIVITY_TASK_SCHEDULED") == (2,)

        await clinic.until(both, "a touch and a plan")
        (seen,) = await clinic.workflows.look([lead], SOON.tries)
        scheduled = [e for e in (await handle.fetch_history()).events if kind(e) == "ACTIVITY_TASK_SCHEDULED"]
        asked = {e.activity_task_scheduled_event_attributes.activity_type.name: e.event_time for e in scheduled}
        assert (seen.failure, seen.since) == ("Gone", asked[names.PLAN].ToDatetime(UTC))
        await handle.terminate("a test")
