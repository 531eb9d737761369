"""Who asks Temporal for work."""

from datetime import UTC, datetime, timedelta

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client

from workflows import names

POLLED_WITHIN = timedelta(seconds=75)  # a worker's request for work is renewed every minute


async def workers_at(client: Client, namespace: str) -> int:
    """How many workers have asked for the leads' work lately. Raises RPCError."""
    request = DescribeTaskQueueRequest(
        namespace=namespace,
        task_queue=TaskQueue(name=names.LEADS_QUEUE),
        task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
    )
    found = await client.workflow_service.describe_task_queue(request, timeout=timedelta(seconds=5))
    now = datetime.now(UTC)
    lately = {p.identity for p in found.pollers if now - p.last_access_time.ToDatetime(UTC) < POLLED_WITHIN}
    return len(lately)
