"""The leads of a worker that was killed do not wait for it, once another one has started."""

import asyncio
import os
import signal
import socket
import sys
import uuid
from datetime import UTC, datetime

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowHandle

from relay.sticky_queues import is_dead, let_go_of_dead
from tests.relay.waiting_worker import QUEUE, Waiting, worker

DONE = EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
TIMED_OUT = EventType.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT
HOST = socket.gethostname()


async def _count(handle: WorkflowHandle[Waiting, None], kind: EventType.ValueType) -> int:
    return sum([event.event_type == kind async for event in handle.fetch_history_events()])


@pytest.mark.parametrize("let_go", [True, False])
async def test_a_lead_of_a_killed_worker_is_at_once_anothers(temporal: Client, let_go: bool) -> None:
    client = await Client.connect(temporal.service_client.config.target_host)
    handle = await _held_by_a_killed_worker(client)
    if let_go:
        assert await let_go_of_dead(client, client.namespace, datetime.now(UTC)) >= 1
    await handle.signal(Waiting.end)
    async with worker(client):
        await handle.result()
    assert await _count(handle, TIMED_OUT) == (0 if let_go else 1), "whether it was first offered to the dead one"


async def test_the_leads_that_others_began_since_hide_none_of_the_dead_one(temporal: Client) -> None:
    client = await Client.connect(temporal.service_client.config.target_host)
    handle = await _held_by_a_killed_worker(client)
    killed = datetime.now(UTC)
    async with worker(client):
        since = [
            await client.start_workflow(Waiting.run, id=f"waiting/{uuid.uuid4()}", task_queue=QUEUE) for _ in range(20)
        ]
        while await _count(since[-1], DONE) < 1:
            pass
        begun = f"ExecutionStatus = 'Running' AND StartTime > '{killed.isoformat()}'"
        while (await client.count_workflows(begun)).count < len(since):
            pass
        assert await let_go_of_dead(client, client.namespace, datetime.now(UTC)) == 0, "they are the newest"
        assert await let_go_of_dead(client, client.namespace, killed) >= 1
        for each in (handle, *since):
            await each.signal(Waiting.end)
            await each.result()


async def _held_by_a_killed_worker(client: Client) -> WorkflowHandle[Waiting, None]:
    """A lead that a worker had in memory which was killed."""
    address = client.service_client.config.target_host
    line = (sys.executable, "-m", "tests.relay.waiting_worker", address, client.namespace)
    process = await asyncio.create_subprocess_exec(*line)
    try:
        handle = await client.start_workflow(Waiting.run, id=f"waiting/{uuid.uuid4()}", task_queue=QUEUE)
        for tasks in (1, 2):  # the first is offered to everybody, the second to who has it
            while await _count(handle, DONE) < tasks:
                pass
            if tasks == 1:
                await handle.signal(Waiting.nudge)
    finally:
        process.send_signal(signal.SIGKILL)
        await process.wait()
    while not (await client.count_workflows(f"WorkflowId = '{handle.id}'")).count:
        pass  # what is not in Temporal's list cannot be found there
    return handle


@pytest.mark.parametrize(
    ("queue", "dead"),
    [
        (f"{os.getpid()}@{HOST}-0f", True),  # of this process before it was started again, as in a container
        (f"{os.getppid()}@{HOST}-0f", False),
        (f"{2**30}@{HOST}-0f", True),
        (f"{2**30}@{HOST}.example.com-0f", False),
        ("tend-leads", False),
    ],
    ids=["own", "living", "dead", "elsewhere", "no_worker"],
)
def test_only_workers_of_this_machine_are_known_to_be_dead(queue: str, dead: bool) -> None:
    assert is_dead(queue) is dead
