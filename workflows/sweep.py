"""SweepWorkflow: one sweep, started by its schedule. It goes on comparing where the one before it has ended."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from workflows import names
    from workflows.messages import SweepFrom, SweepResult
    from workflows.options import LOST_AFTER, SWEEP_LIMIT, SWEEP_PRIORITY, SWEEP_RETRY


@workflow.defn(name=names.SWEEP_WORKFLOW)
class SweepWorkflow:
    @workflow.run
    async def run(self) -> SweepResult:
        last = workflow.get_last_completion_result(SweepResult)
        result: SweepResult = await workflow.execute_activity(
            names.SWEEP,
            SweepFrom(after=last.after if last is not None else None),
            result_type=SweepResult,
            start_to_close_timeout=SWEEP_LIMIT,
            heartbeat_timeout=LOST_AFTER,
            retry_policy=SWEEP_RETRY,
            priority=SWEEP_PRIORITY,
            summary="who does not move?",
        )
        return result
