"""LeadWorkflow: one lead's durable shell. It holds no rule: it asks what is next, waits, and has it done.

It clears its wake flag before every activity and obeys a result only if the flag is still clear, so whatever a signal
tells of is planned for. A signal only wakes.
"""

import asyncio
from datetime import datetime, timedelta
from typing import assert_never

from temporalio import workflow
from temporalio.common import Priority
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from workflows import messages as m
    from workflows import names, shown
    from workflows.options import HANDED_OUT_WITHIN, LOST_AFTER, PLAN_LIMIT, PLAN_RETRY, TOUCH_LIMIT, TOUCH_RETRY

_MILLISECOND = timedelta(milliseconds=1)


@workflow.defn(name=names.WORKFLOW)
class LeadWorkflow:
    @workflow.init
    def __init__(self, start: m.LeadStart) -> None:
        self._lead = m.LeadRef(lead_id=start.lead_id)
        self._woken = False
        self._plan: m.Plan | None = None
        self._shown: m.Snapshot | None = None
        self._timer: asyncio.Task[None] | None = None
        self._rings_at: datetime | None = None

    @workflow.run
    async def run(self, start: m.LeadStart) -> str:
        plan = await (self._carry_out(start.first) if start.first is not None else self._ask())
        while True:
            self._plan = plan
            match plan.action:
                case "do":
                    assert plan.do is not None
                    plan = await self._carry_out(plan.do)
                case "wait":
                    self._show(plan)
                    if self._should_renew(start):
                        workflow.continue_as_new(start.model_copy(update={"first": None}))
                    plan = await self._rest(plan)
                case "finish":
                    self._show(plan)
                    return plan.reason
                case _:
                    assert_never(plan.action)

    async def _ask(self) -> m.Plan:
        while True:
            self._woken = False
            plan: m.Plan = await workflow.execute_activity(
                names.PLAN,
                self._lead,
                result_type=m.Plan,
                start_to_close_timeout=PLAN_LIMIT,
                heartbeat_timeout=LOST_AFTER,
                retry_policy=PLAN_RETRY,
                summary="what is next",
            )
            if not self._woken:
                return plan

    async def _carry_out(self, do: m.Do) -> m.Plan:
        touch = do.kind == "touch"
        self._woken = False
        work: workflow.ActivityHandle[m.Plan] = workflow.start_activity(
            do.kind,
            m.DoRef(lead_id=self._lead.lead_id, do=do),
            result_type=m.Plan,
            task_queue=names.CHANNEL_QUEUES[do.channel] if touch else names.LEADS_QUEUE,
            start_to_close_timeout=TOUCH_LIMIT if touch else PLAN_LIMIT,
            heartbeat_timeout=LOST_AFTER,
            retry_policy=TOUCH_RETRY if touch else PLAN_RETRY,
            summary=do.summary,
            priority=Priority(priority_key=do.priority),
            cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
        )
        let_go = touch and await self._let_go(work, do)
        try:
            plan = await work
        except ActivityError:
            if not let_go:
                raise
            return (
                await self._ask()
            )  # cancelled; or failed or timed out, which is not tried again once it is given up on
        return plan if not self._woken else await self._ask()

    async def _let_go(self, work: "workflow.ActivityHandle[m.Plan]", do: m.Do) -> bool:
        """Whether a touch was given up on: its queue may be hours long, and of a woken lead something else goes first
        by now. One that was begun comes to its end all the same. Its answer may be older than what woke the lead, which
        is planned for once more after it."""
        asked = False
        while True:
            await workflow.wait_condition(lambda: work.done() or self._woken)
            if work.done() or not workflow.patched(names.LETS_GO) or await self._handed_out(work):
                self._woken |= asked
                return False
            asked = True
            if _gives_way(do, (await self._ask()).do):
                self._woken = True
                return work.cancel()

    async def _handed_out(self, work: "workflow.ActivityHandle[m.Plan]") -> bool:
        timer = asyncio.create_task(workflow.sleep(HANDED_OUT_WITHIN))
        await workflow.wait_condition(lambda: work.done() or timer.done())
        timer.cancel()
        return work.done()

    async def _rest(self, plan: m.Plan) -> m.Plan:
        """Waits for the plan's time or a signal. A running timer is kept unless the new time is earlier."""
        while not self._woken:
            if plan.until is not None and (self._rings_at is None or plan.until < self._rings_at):
                self._set_timer(plan.until, plan.reason)
            await workflow.wait_condition(self._roused)
            if self._woken:
                break
            rang_at, self._timer, self._rings_at = self._rings_at, None, None
            if plan.until is not None and rang_at is not None and rang_at >= plan.until:
                return await self._carry_out(plan.do) if plan.do is not None else await self._ask()
        return await self._ask()

    def _roused(self) -> bool:
        return self._woken or (self._timer is not None and self._timer.done())

    def _set_timer(self, until: datetime, reason: str) -> None:
        if self._timer is not None:
            self._timer.cancel()
        length = max(until - workflow.now() + _MILLISECOND, _MILLISECOND)
        self._timer = asyncio.create_task(workflow.sleep(length, summary=reason[:200]))
        self._rings_at = until

    def _should_renew(self, start: m.LeadStart) -> bool:
        info = workflow.info()
        long = start.renew_after is not None and info.get_current_history_length() >= start.renew_after
        return not self._woken and (long or info.is_continue_as_new_suggested())

    def _show(self, plan: m.Plan) -> None:
        workflow.set_current_details(shown.details(plan))
        if plan.snapshot != self._shown and plan.show:
            self._shown = plan.snapshot
            workflow.upsert_search_attributes(shown.attributes(plan.snapshot))

    @workflow.query
    def snapshot(self) -> m.Snapshot | None:
        return self._plan.snapshot if self._plan else None

    @workflow.query
    def upcoming(self) -> list[m.UpcomingStep]:
        return list(self._plan.upcoming) if self._plan else []

    # A signal wakes whatever it carries. With one parameter of a type the SDK would drop what does not fit it, and fail
    # the workflow's task for ever where there is no payload, or a second one.

    @workflow.signal
    def lead_replied(self, *_: m.Signal) -> None:
        self._woken = True

    @workflow.signal
    def appointment_changed(self, *_: m.Signal) -> None:
        self._woken = True

    @workflow.signal
    def touch_updated(self, *_: m.Signal) -> None:
        self._woken = True

    @workflow.signal
    def lead_opted_out(self, *_: m.Signal) -> None:
        self._woken = True

    @workflow.signal
    def call_completed(self, *_: m.Signal) -> None:
        self._woken = True

    @workflow.signal
    def payment_received(self, *_: m.Signal) -> None:
        self._woken = True

    @workflow.signal
    def lead_merged(self, *_: m.Signal) -> None:
        self._woken = True

    @workflow.signal
    def staff_acted(self, *_: m.Signal) -> None:
        self._woken = True


def _gives_way(do: m.Do, by_now: m.Do | None) -> bool:
    """Whether a touch that waits gives up its place. An inquiry's grows less urgent with time: it keeps the place."""
    return by_now is None or by_now.touch_id != do.touch_id or by_now.priority < do.priority
