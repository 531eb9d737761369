"""Delivers outbox entries to Temporal: every start and every wake is safe to repeat."""

from dataclasses import dataclass
from datetime import timedelta

from temporalio.client import Client
from temporalio.common import Priority, WorkflowIDConflictPolicy, WorkflowIDReusePolicy

from domain.priority import Priority as Queue
from store.outbox import Entry, First
from workflows import names
from workflows.messages import Do, LeadStart, Signal
from workflows.options import TASK_LIMIT

_RPC_LIMIT = timedelta(seconds=4)  # real, inside the relay's own limit


@dataclass(frozen=True)
class TemporalDelivery:
    """`renew_after`: see LeadStart.

    `eager`: a new workflow may begin in this very process, where its workers use the same client. Not where builds are
    told apart: this one may not be the current one.
    """

    client: Client
    renew_after: int | None = None
    eager: bool = False

    async def hand_over(self, entry: Entry) -> None:
        if entry.signal is None:
            await self.start(entry.lead_id, entry.priority, entry.first)
        else:
            await self.signal(entry.lead_id, entry.signal, entry.fact_no, entry.priority)

    async def start(self, lead_id: str, priority: int = Queue.INQUIRY, first: First | None = None) -> None:
        """Starts the lead's workflow with this touch, which is claimed only if it is due by then.

        One that runs already is left alone.
        """
        do = Do(kind="touch", **first) if first is not None else None
        await self._start(lead_id, priority, LeadStart(lead_id=lead_id, renew_after=self.renew_after, first=do))

    async def signal(self, lead_id: str, signal: str, fact_no: int, priority: int = Queue.INQUIRY) -> None:
        """Signals the workflow, and starts one where none runs: a plan answers Finish for a finished lead."""
        start = LeadStart(lead_id=lead_id, renew_after=self.renew_after)
        await self._start(lead_id, priority, start, signal, fact_no)

    async def _start(
        self, lead_id: str, priority: int, start: LeadStart, signal: str | None = None, fact_no: int = 0
    ) -> None:
        await self.client.start_workflow(
            names.WORKFLOW,
            start,
            id=names.workflow_id(lead_id),
            task_queue=names.LEADS_QUEUE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            start_signal=signal,
            start_signal_args=[Signal(fact=fact_no)] if signal is not None else [],
            priority=Priority(priority_key=priority),
            rpc_timeout=_RPC_LIMIT,
            task_timeout=TASK_LIMIT,
            request_eager_start=self.eager and signal is None,
            static_summary="one lead's cadence",
        )
