"""Queues that Temporal still keeps for workers of this machine which are dead.

A lead's next task is first offered to the worker that has the lead in memory. Of one that was killed Temporal learns
only after ten seconds: until then each of its leads waits for that offer to run out.
"""

import asyncio
import os
import socket
from datetime import UTC, datetime, timedelta

import psutil
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import TaskQueueKind
from temporalio.api.workflowservice.v1 import GetWorkflowExecutionHistoryReverseRequest, ShutdownWorkerRequest
from temporalio.client import Client
from temporalio.service import RPCError

_NEWEST = 16  # leads that are asked which queue they had last
_EVENTS = 20  # of each, from the last one backwards
_RPC_LIMIT = timedelta(seconds=2)


async def let_go_of_dead(client: Client, namespace: str, born: datetime | None = None) -> int:
    """Tells Temporal of the dead ones; how many. To be called before this process has workers of its own.

    They are found by the newest leads that are older than this process, `born` (UTC): of those that began since, other
    workers have all. What is not found costs seconds after a crash, and nothing else.
    """
    born = born or datetime.fromtimestamp(psutil.Process().create_time(), UTC)
    try:
        older = f"ExecutionStatus = 'Running' AND StartTime < '{born.isoformat()}'"
        newest = client.list_workflows(older, limit=_NEWEST, page_size=_NEWEST, rpc_timeout=_RPC_LIMIT)
        ids = [found.id async for found in newest]
        asked = await asyncio.gather(*(_last_queue(client, namespace, one) for one in ids))
        dead = {name for name in asked if name is not None and is_dead(name)}
        await asyncio.gather(*(_let_go(client, namespace, name) for name in dead))
    except RPCError:
        return 0  # whatever keeps Temporal from answering, the workers will say so
    return len(dead)


def is_dead(queue: str) -> bool:
    """Whether it was of a process of this machine, by its name `PID@HOST-...`, that is no more, or was this one's."""
    pid, at, rest = queue.partition("@")
    if not at or not pid.isdecimal() or not rest.startswith(f"{socket.gethostname()}-"):
        return False
    return int(pid) == os.getpid() or not psutil.pid_exists(int(pid))


async def _last_queue(client: Client, namespace: str, workflow_id: str) -> str | None:
    request = GetWorkflowExecutionHistoryReverseRequest(
        namespace=namespace, execution=WorkflowExecution(workflow_id=workflow_id), maximum_page_size=_EVENTS
    )
    found = await client.workflow_service.get_workflow_execution_history_reverse(request, timeout=_RPC_LIMIT)
    for event in found.history.events:
        queue = event.workflow_task_scheduled_event_attributes.task_queue
        if queue.kind == TaskQueueKind.TASK_QUEUE_KIND_STICKY:
            return str(queue.name)
    return None


async def _let_go(client: Client, namespace: str, queue: str) -> None:
    identity = queue.rpartition("-")[0]
    request = ShutdownWorkerRequest(
        namespace=namespace, sticky_task_queue=queue, identity=identity, reason="its process is dead"
    )
    await client.workflow_service.shutdown_worker(request, timeout=_RPC_LIMIT)
