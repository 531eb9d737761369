"""A sweep whose worker is killed is over within seconds, so that the next one begins a minute later."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

import pytest
from temporalio.client import WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import ActivityError, TimeoutError, TimeoutType
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from activities.plan import PlanActivities
from activities.sweep import SweepActivities
from activities.touches import TouchActivities
from domain.sweep import Swept
from relay.sweep_schedule import make_schedule
from tests.relay.conftest import Clinic
from worker import make_workers
from workflows import names
from workflows import sweep as module
from workflows.messages import SweepResult
from workflows.options import SWEEP_EVERY, SWEEP_LIMIT
from workflows.sweep import SweepWorkflow


class Slow:
    """A sweep that takes so many seconds."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.began = asyncio.Event()

    async def sweep(self, after: str | None = None, *, repair: bool = True) -> Swept:
        self.began.set()
        await asyncio.sleep(self.seconds)
        return Swept(())


@asynccontextmanager
async def killed(clinic: Clinic, sweep: Slow) -> AsyncIterator[None]:
    """As if its worker were killed at it: no sign of life, and no answer."""
    worker = Worker(
        clinic.temporal,
        task_queue=names.LEADS_QUEUE,
        workflows=[SweepWorkflow],
        activities=[SweepActivities(sweep).sweep],
        workflow_runner=UnsandboxedWorkflowRunner(),
    )
    async with worker:
        yield


@asynccontextmanager
async def at_work(clinic: Clinic, sweep: Slow) -> AsyncIterator[None]:
    plans = PlanActivities(clinic.ledger, clinic.clock)
    touches = TouchActivities(clinic.ledger, clinic.clock, clinic.channel, clinic.channel, clinic.channel)
    async with AsyncExitStack() as stack:
        for worker in make_workers(clinic.temporal, plans, touches, sweep=SweepActivities(sweep)):
            await stack.enter_async_context(worker)
        yield


async def started(clinic: Clinic) -> WorkflowHandle[SweepWorkflow, SweepResult]:
    return await clinic.temporal.start_workflow(
        SweepWorkflow.run,
        id=f"{names.SWEEP_ID}-{uuid.uuid4()}",
        task_queue=names.LEADS_QUEUE,
        execution_timeout=SWEEP_LIMIT,
    )


async def test_a_sweep_whose_worker_was_killed_is_over_before_the_next_is_due(clinic: Clinic) -> None:
    async with killed(clinic, Slow(3600)):
        began, sweep = time.monotonic(), await started(clinic)
        with pytest.raises(WorkflowFailureError) as caught:
            async with asyncio.timeout(SWEEP_EVERY.total_seconds() / 2):
                await sweep.result()
        assert time.monotonic() - began < SWEEP_EVERY.total_seconds() / 2
    assert isinstance(caught.value.cause, ActivityError)
    assert isinstance(caught.value.cause.cause, TimeoutError)
    assert caught.value.cause.cause.type is TimeoutType.HEARTBEAT


async def test_a_sweep_that_takes_longer_than_its_signs_of_life_are_apart_comes_to_its_end(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOST_AFTER", timedelta(seconds=1))
    async with at_work(clinic, Slow(3)):
        assert await (await started(clinic)).result() == SweepResult(after=None, found={}, repaired={})


async def test_the_schedule_begins_the_next_one_after_a_lost_one(clinic: Clinic) -> None:
    """It leaves out a sweep while one is under way: a lost one is none."""
    await make_schedule(clinic.temporal)
    schedule = clinic.temporal.get_schedule_handle(names.SWEEP_SCHEDULE)
    try:
        lost = Slow(3600)
        async with killed(clinic, lost):
            await asyncio.wait_for(lost.began.wait(), 60)

            async def over() -> bool:
                return not (await schedule.describe()).info.running_actions

            await clinic.until(over, "the lost one is over")
        again = Slow(0)
        async with at_work(clinic, again):
            await schedule.trigger()
            await asyncio.wait_for(again.began.wait(), 60)
    finally:
        await schedule.delete()
