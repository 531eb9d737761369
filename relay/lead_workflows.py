"""What Temporal knows of the leads' workflows: its list, which lags a little, and one by one, which does not."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from workflows import names

_RPC_LIMIT = timedelta(seconds=10)  # real
AT_ONCE = 10


class Looked(Enum):
    NONE = "none"
    ENDED = "ended"
    BUSY = "busy"  # a task or activity of it is under way or about to be
    IDLE = "idle"


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

    async def look(self, lead_ids: Sequence[str]) -> list[tuple[Looked, datetime | None]]:
        """How each stands at this moment, and since when one has ended."""
        at_once = asyncio.Semaphore(AT_ONCE)

        async def one(lead_id: str) -> tuple[Looked, datetime | None]:
            async with at_once:
                return await self._look(lead_id)

        return list(await asyncio.gather(*map(one, lead_ids)))

    async def _look(self, lead_id: str) -> tuple[Looked, datetime | None]:
        try:
            handle = self.client.get_workflow_handle(names.workflow_id(lead_id))
            found = await handle.describe(rpc_timeout=_RPC_LIMIT)
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return Looked.NONE, None
            raise
        if found.status is not WorkflowExecutionStatus.RUNNING:
            return Looked.ENDED, found.close_time
        raw = found.raw_description
        busy = raw.pending_activities or raw.HasField("pending_workflow_task")
        return Looked.BUSY if busy else Looked.IDLE, None
