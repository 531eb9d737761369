"""Planning: what is next, and the tasks of people. All on the leads' queue."""

from dataclasses import dataclass

from temporalio import activity

from activities.plans import to_plan
from activities.watch import Wall, Watch, wall
from domain.clock import Clock
from domain.ledger import Ledger
from workflows import names
from workflows.messages import DoRef, LeadRef, Plan


@dataclass(frozen=True)
class PlanActivities:
    ledger: Ledger
    clock: Clock
    wall: Wall = wall

    @activity.defn(name=names.PLAN)
    async def plan(self, lead: LeadRef) -> Plan:
        return to_plan(await self.ledger.plan(lead.lead_id, Watch(self.wall).now()), self.clock)

    @activity.defn(name=names.OPEN_TASK)
    async def open_task(self, ref: DoRef) -> Plan:
        do, now = ref.do, Watch(self.wall).now()
        view = await self.ledger.open_task(ref.lead_id, do.enrollment, do.step, do.part, now)
        return to_plan(view, self.clock)

    @activity.defn(name=names.EXPIRE_TASK)
    async def expire_task(self, ref: DoRef) -> Plan:
        view = await self.ledger.expire_task(ref.lead_id, ref.do.task_id, Watch(self.wall).now())
        return to_plan(view, self.clock)
