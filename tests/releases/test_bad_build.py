"""A build whose workflow cannot go on with what leads have behind them is taken back; no lead is lost."""

import asyncio
import sys
from pathlib import Path

from temporalio import workflow

from domain.touches import TouchStatus
from store.engine import Store
from tests.releases.installation import Installation, open_installation, status
from tests.workflows.history import kind
from tests.workflows.world import COORDINATOR
from wire.keyring import KeyRing
from workflows import messages as m
from workflows import names
from workflows.lead import LeadWorkflow

STUCK = "TemporalReportedProblems IS NOT NULL AND ExecutionStatus = 'Running'"


@workflow.defn(name=names.WORKFLOW, sandboxed=False)
class Changed(LeadWorkflow):
    """Waits before it plans: that is not what leads in flight have done."""

    @workflow.init
    def __init__(self, start: m.LeadStart) -> None:
        super().__init__(start)

    @workflow.run
    async def run(self, start: m.LeadStart) -> str:
        await workflow.sleep(0.001)
        return await super().run(start)


async def stuck(tend: Installation, lead: str) -> None:
    """Waits until a task of its workflow has failed."""
    await tend.until_event(lead, lambda e: any(kind(x) == "WORKFLOW_TASK_FAILED" for x in e), "a failed task")


async def temporal(tend: Installation, *words: str) -> str:
    """The command of the runbook."""
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("temporal"),
        *words,
        *("--address", tend.client.service_client.config.target_host),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out.decode()


async def named_as_stuck(tend: Installation, lead: str) -> None:
    """Temporal does so after some tries that failed."""
    deadline = asyncio.get_running_loop().time() + 120
    while names.workflow_id(lead) not in await temporal(tend, "workflow", "list", "--query", STUCK):
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.5)


async def test_it_is_taken_back_and_every_lead_goes_on(store: Store, keyring: KeyRing) -> None:
    async with open_installation(store, keyring) as tend:
        old = await tend.start("1")
        await tend.make_current(old)
        leads = [await tend.confirmed(n) for n in range(3)]
        new = await tend.start("2", Changed)
        await tend.make_current(new)
        await tend.commands.disqualify(COORDINATOR, leads[0], "not a patient")
        await tend.deliver()
        await stuck(tend, leads[0])
        begun = await tend.confirmed(3)  # on the new build, and so with a history that the old one cannot replay
        assert await tend.ran_on(begun) == ["2"]

        await tend.make_current(old)
        async with asyncio.timeout(60):
            assert await tend.handle(leads[0]).result() == "disqualified"
        for lead in leads[1:]:
            await tend.write(lead)
        await tend.commands.disqualify(COORDINATOR, begun, "not a patient")
        await tend.deliver()
        await stuck(tend, begun)

        await named_as_stuck(tend, begun)
        batch = ("--query", STUCK, "--type", "FirstWorkflowTask", "--reason", "build 2 was taken back", "--yes")
        await temporal(tend, "workflow", "reset", *batch)
        await tend.until_event(begun, lambda e: kind(e[-1]) == "WORKFLOW_EXECUTION_COMPLETED", "its end")
        assert await tend.handle(begun).result() == "disqualified"
        await tend.finish(leads[1:])
        tend.assert_nothing_twice()
        for lead in (*leads, begun):
            assert status(await tend.state(lead), "confirm") is TouchStatus.ACCEPTED
