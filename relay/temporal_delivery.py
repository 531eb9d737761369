"""Delivers outbox entries to Temporal: every start and every wake is safe to repeat."""

from dataclasses import dataclass
from datetime import timedelta

from temporalio.client import Client
from temporalio.common import Priority, WorkflowIDConflictPolicy, WorkflowIDReusePolicy

from domain.priority import Priority as Queue
from workflows import names
from workflows.messages import LeadStart, Signal

_RPC_LIMIT = timedelta(seconds=4)  # real, inside the relay's own limit


@dataclass(frozen=True)
class TemporalDelivery:
    """`renew_after`: see LeadStart."""

    client: Client
    renew_after: int | None = None

    async def start(self, lead_id: str, priority: int = Queue.INQUIRY) -> None:
        """Starts the lead's workflow; one that runs already is left alone, for it plans before it does anything."""
        await self._start(lead_id, priority)

    async def signal(self, lead_id: str, signal: str, fact_no: int, priority: int = Queue.INQUIRY) -> None:
        """Signals the workflow, and starts one where none runs: a plan answers Finish for a finished lead."""
        await self._start(lead_id, priority, signal, fact_no)

    async def _start(self, lead_id: str, priority: int, signal: str | None = None, fact_no: int = 0) -> None:
        await self.client.start_workflow(
            names.WORKFLOW,
            LeadStart(lead_id=lead_id, renew_after=self.renew_after),
            id=names.workflow_id(lead_id),
            task_queue=names.LEADS_QUEUE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            start_signal=signal,
            start_signal_args=[Signal(fact=fact_no)] if signal is not None else [],
            priority=Priority(priority_key=priority),
            rpc_timeout=_RPC_LIMIT,
            static_summary="one lead's cadence",
        )
