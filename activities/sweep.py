"""The sweep as an activity: finds what does not move and wakes it."""

from dataclasses import dataclass

from temporalio import activity

from domain.sweep import Sweeper
from workflows import names
from workflows.messages import SweepFrom, SweepResult


@dataclass(frozen=True)
class SweepActivities:
    sweeper: Sweeper

    @activity.defn(name=names.SWEEP)
    async def sweep(self, since: SweepFrom) -> SweepResult:
        swept = await self.sweeper.sweep(since.after)
        found = {t.kind.value: t.found for t in swept.tallies if t.found}
        repaired = {t.kind.value: t.repaired for t in swept.tallies if t.repaired}
        return SweepResult(after=swept.after, found=found, repaired=repaired)
