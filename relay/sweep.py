"""The sweep: finds who does not move though something is to be done, and wakes them through the outbox.

It looks at what is later than outbox, signals and timers ever are where all goes well, asks Temporal whether somebody
is at it, and wakes each lead at most once a run, behind what anybody waits for.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from domain.clock import Clock
from domain.sweep import Missed, Stuck, Swept, Tally
from relay.lead_workflows import LeadWorkflows, Looked
from store.sweep import SweepStore, Waiting

PAGE = 500  # leads that are compared at once


@dataclass(frozen=True, slots=True)
class Bounds:
    """Of one run. `grace`: so late (real) is later than anything is that goes well; `pages` of PAGE leads are compared,
    and `most` leads woken for each kind."""

    grace: timedelta = timedelta(seconds=45)
    pages: int = 20
    most: int = 500


@dataclass(frozen=True)
class Sweep:
    """Implements domain.sweep.Sweeper."""

    store: SweepStore
    workflows: LeadWorkflows
    clock: Clock
    bounds: Bounds = Bounds()

    async def sweep(self, after: str | None = None, *, repair: bool = True) -> Swept:
        then = datetime.now(UTC) - self.bounds.grace
        unheard = await self.store.unheard(then)
        if repair and unheard.found:
            unheard = replace(unheard, repaired=await self.store.hurry(then))
        late = await self.store.claims(then, self.bounds.most)
        late += await self.store.standing_still(then, self.clock.product(then), self.bounds.most)
        stuck = {one.lead_id: one for one in reversed(await self._idle(late))}  # a lead's claim tells more
        missing, after = await self._missing(after, then)
        stuck |= {one.lead_id: one for one in missing}
        woken = await self.store.wake(stuck) if repair else set[str]()
        tallies = (*_count(stuck.values(), woken), unheard)
        if repair:
            await self.store.keep(tallies)
        return Swept(tallies, after)

    async def _idle(self, late: list[Stuck]) -> list[Stuck]:
        """Without those whom somebody is at; with what Temporal knows of the others."""
        looked = await self.workflows.look([one.lead_id for one in late])
        return [_as_seen(one, *seen) for one, seen in zip(late, looked, strict=True) if seen[0] is not Looked.BUSY]

    async def _missing(self, after: str | None, before: datetime) -> tuple[list[Stuck], str | None]:
        """Who has no workflow, from behind `after` on, and where the next run goes on (None: all were compared)."""
        found: list[Stuck] = []
        for _ in range(self.bounds.pages):
            page, missing = await self.compare(after, before)
            for one, (looked, ended) in await self._ask(missing):
                if looked is Looked.NONE:
                    found.append(Stuck(Missed.NO_WORKFLOW, one.lead_id, one.since))
                elif looked is Looked.ENDED:
                    found.append(Stuck(Missed.WORKFLOW_ENDED, one.lead_id, ended or one.since))
            if len(page) < PAGE:
                return found, None
            after = page[-1].lead_id
            if len(found) >= self.bounds.most:
                break
        return found, after

    async def _ask(self, missing: list[Waiting]) -> list[tuple[Waiting, tuple[Looked, datetime | None]]]:
        needed = await self.store.needing(missing)
        return list(zip(needed, await self.workflows.look([one.lead_id for one in needed]), strict=True))

    async def compare(self, after: str | None, before: datetime) -> tuple[list[Waiting], list[Waiting]]:
        """A page of the leads with something to come, taken in before then, and who of them has no workflow."""
        page = await self.store.with_something_to_come(after, before, PAGE)
        running = await self.workflows.running([one.lead_id for one in page])
        return page, [one for one in page if one.lead_id not in running]


def _as_seen(stuck: Stuck, looked: Looked, ended: datetime | None) -> Stuck:
    match looked:
        case Looked.NONE:
            return replace(stuck, kind=Missed.NO_WORKFLOW)
        case Looked.ENDED:
            return replace(stuck, kind=Missed.WORKFLOW_ENDED, since=ended or stuck.since)
        case _:
            return stuck


def _count(stuck: Iterable[Stuck], woken: set[str]) -> list[Tally]:
    of_kind: dict[Missed, list[Stuck]] = defaultdict(list)
    for one in stuck:
        of_kind[one.kind].append(one)
    now = datetime.now(UTC)
    return [
        Tally(
            kind,
            len(found := of_kind[kind]),
            sum(one.lead_id in woken for one in found),
            max((now - one.since for one in found), default=timedelta(0)),
        )
        for kind in Missed
        if kind is not Missed.UNHEARD
    ]
