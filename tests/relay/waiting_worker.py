"""A worker in a process of its own, to be killed: `python -m tests.relay.waiting_worker ADDRESS NAMESPACE`."""

import asyncio
import sys
from datetime import timedelta

from temporalio import workflow
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

QUEUE = "sticky-tests"


@workflow.defn
class Waiting:
    """Until it is told to end."""

    def __init__(self) -> None:
        self._ends = False

    @workflow.run
    async def run(self) -> None:
        await workflow.wait_condition(lambda: self._ends)

    @workflow.signal
    def nudge(self) -> None:
        """Wakes it, for nothing."""

    @workflow.signal
    def end(self) -> None:
        self._ends = True


def worker(client: Client) -> Worker:
    return Worker(
        client,
        task_queue=QUEUE,
        workflows=[Waiting],
        workflow_runner=UnsandboxedWorkflowRunner(),
        sticky_queue_schedule_to_start_timeout=timedelta(seconds=1),
    )


async def main(address: str, namespace: str) -> None:
    await worker(await Client.connect(address, namespace=namespace)).run()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
