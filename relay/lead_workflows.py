"""What Temporal knows of the leads' workflows: its list, which lags a little, and one by one, which does not."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import Enum

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType, TimeoutType
from temporalio.api.failure.v1 import Failure
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.workflowservice.v1 import (
    DescribeWorkflowExecutionResponse,
    GetWorkflowExecutionHistoryReverseRequest,
)
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from workflows import names

_RPC_LIMIT = timedelta(seconds=10)  # real
AT_ONCE = 10
LAST_EVENTS = 50


class Looked(Enum):
    NONE = "none"
    ENDED = "ended"
    BUSY = "busy"  # a task or activity of it is under way or about to be
    IDLE = "idle"


@dataclass(frozen=True, slots=True)
class Seen:
    """How a workflow stands. `since`: when it ended, or was asked for what fails; where that is known.

    `failed`: tries in a row of what it is busy with; `failure`: the type of the last one, never its text, which may
    hold a person's data.
    """

    looked: Looked
    since: datetime | None = None
    failed: int = 0
    failure: str = ""


@dataclass(frozen=True)
class LeadWorkflows:
    """Raises RPCError where Temporal is away."""

    client: Client

    async def running(self, lead_ids: Sequence[str]) -> set[str]:
        """Of these leads (in the order of their ids) those with a running workflow, as the list says."""
        if not lead_ids:
            return set()
        first, last = names.workflow_id(lead_ids[0]), names.workflow_id(lead_ids[-1])
        query = (
            f"WorkflowType = '{names.WORKFLOW}' AND ExecutionStatus = 'Running' "
            f"AND WorkflowId BETWEEN '{first}' AND '{last}'"
        )
        found = self.client.list_workflows(query, page_size=1000, rpc_timeout=_RPC_LIMIT)
        wanted = set(lead_ids)
        return {lead_id async for one in found if (lead_id := one.id.removeprefix("lead/")) in wanted}

    async def look(self, lead_ids: Sequence[str], tries: int | None = None) -> list[Seen]:
        """How each stands at this moment. Since when is asked of what has failed more often than `tries` only."""
        at_once = asyncio.Semaphore(AT_ONCE)

        async def one(lead_id: str) -> Seen:
            async with at_once:
                return await self._look(lead_id, tries)

        return list(await asyncio.gather(*map(one, lead_ids)))

    async def _look(self, lead_id: str, tries: int | None) -> Seen:
        try:
            handle = self.client.get_workflow_handle(names.workflow_id(lead_id))
            found = await handle.describe(rpc_timeout=_RPC_LIMIT)
            if found.status is not WorkflowExecutionStatus.RUNNING:
                return Seen(Looked.ENDED, found.close_time)
            seen, asked = _under_way(found.raw_description)
            if tries is not None and seen.failed > tries:
                seen = replace(seen, since=await self._when(found.id, found.run_id, asked))
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return Seen(Looked.NONE)
            raise
        return seen

    async def _when(self, workflow_id: str, run_id: str, asked: Callable[[HistoryEvent], bool]) -> datetime | None:
        """When it was asked for that: a retry leaves no event, so it is the first try's.

        Where it lies further back, the oldest of the events that were read.
        """
        request = GetWorkflowExecutionHistoryReverseRequest(
            namespace=self.client.namespace,
            execution=WorkflowExecution(workflow_id=workflow_id, run_id=run_id),
            maximum_page_size=LAST_EVENTS,
        )
        service = self.client.workflow_service
        found = await service.get_workflow_execution_history_reverse(request, retry=True, timeout=_RPC_LIMIT)
        at: datetime | None = None
        for event in found.history.events:
            at = event.event_time.ToDatetime(UTC)
            if asked(event):
                break
        return at


def _under_way(found: DescribeWorkflowExecutionResponse) -> tuple[Seen, Callable[[HistoryEvent], bool]]:
    """What it is busy with, and by what the event is known that asked for it.

    An activity; of two (a touch that waits for its turn, and a plan whether it still is to) the one that was tried more
    often. Or its own task, which fails where its code does or cannot be replayed.
    """
    task = found.pending_workflow_task
    if found.pending_activities:
        activity = max(found.pending_activities, key=lambda one: one.attempt)
        seen = Seen(Looked.BUSY, None, max(0, activity.attempt - 1), _type(activity.last_failure))
        return seen, lambda e: e.activity_task_scheduled_event_attributes.activity_id == activity.activity_id
    if found.HasField("pending_workflow_task"):
        seen = Seen(Looked.BUSY, None, max(0, task.attempt - 1), "WorkflowTaskFailed")
        return seen, lambda e: e.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED
    return Seen(Looked.IDLE), lambda _: False


def _type(failure: Failure) -> str:
    """A class's name, or Temporal's own word where a worker never answered."""
    match failure.WhichOneof("failure_info"):
        case "application_failure_info":
            return failure.application_failure_info.type or "ApplicationError"
        case "timeout_failure_info":
            return TimeoutType.Name(failure.timeout_failure_info.timeout_type).removeprefix("TIMEOUT_TYPE_").lower()
        case other:
            return other or "unknown"
