"""The sweep: finds who does not move though something is to be done, and wakes them through the outbox.

It looks at what is later than outbox, signals and timers ever are where all goes well, asks Temporal whether somebody
is at it, and wakes each lead at most once a run, behind what anybody waits for. Whom somebody is at in vain, try after
try, it counts and does not wake.
"""

import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import assert_never

from domain.clock import Clock
from domain.sweep import Missed, Stuck, Swept, Tally
from relay.lead_workflows import LeadWorkflows, Looked, Seen
from store.sweep import SweepStore, Waiting

PAGE = 500  # leads that are compared, or judged, at once


@dataclass(frozen=True, slots=True)
class Bounds:
    """Of one run. `grace`: so late (real) is later than anything is that goes well; `pages` of PAGE leads are compared,
    of those that may be late `judged` are judged, for `judging` seconds (real), and `most` leads woken for each kind.
    Failing is what has failed more than `tries` times and was first asked for `failing_for` (real) ago: longer than
    restarts and short outages take."""

    grace: timedelta = timedelta(seconds=45)
    pages: int = 20
    judged: int = 5000
    judging: float = 60.0
    most: int = 500
    tries: int = 10
    failing_for: timedelta = timedelta(minutes=10)


@dataclass(frozen=True)
class Sweep:
    """Implements domain.sweep.Sweeper."""

    store: SweepStore
    workflows: LeadWorkflows
    clock: Clock
    bounds: Bounds = Bounds()

    async def sweep(self, after: str | None = None, *, repair: bool = True) -> Swept:
        await self.store.must_agree()
        then = datetime.now(UTC) - self.bounds.grace
        unheard = await self.store.unheard(then)
        if repair and unheard.found:
            unheard = replace(unheard, repaired=await self.store.hurry(then))
        late = await self._seen(await self.store.claims(then, self.bounds.most))
        late += await self._standing_still(then)
        late += await self._seen(await self.store.claimed_often(self.bounds.tries, self.bounds.most))
        stuck = {one.lead_id: one for one in reversed(late)}  # a lead's claim tells more
        missing, after = await self._missing(after, then)
        stuck |= {one.lead_id: one for one in missing}
        failing = tuple(one for one in stuck.values() if one.kind is Missed.FAILING)
        woken = await self.store.wake(stuck.keys() - {one.lead_id for one in failing}) if repair else set[str]()
        tallies = (*_count(stuck.values(), woken), unheard)
        if repair:
            await self.store.keep(tallies)
        return Swept(tallies, after, failing)

    async def _standing_still(self, then: datetime) -> list[Stuck]:
        """Who should have moved by then, and nobody is at it: who waits or is at work takes none of their places."""
        product = self.clock.product(then)
        perhaps = await self.store.perhaps_due(product, self.bounds.judged)
        found: list[Stuck] = []
        enough = time.monotonic() + self.bounds.judging
        for first in range(0, len(perhaps), PAGE):
            page = perhaps[first : first + PAGE]
            found += await self._seen(await self.store.standing_still(page, then, product))
            if len(found) >= self.bounds.most or time.monotonic() > enough:
                break
        return found[: self.bounds.most]

    async def _seen(self, late: list[Stuck]) -> list[Stuck]:
        """With what Temporal knows of them; without those whom somebody is at, unless in vain."""
        looked = await self.workflows.look([one.lead_id for one in late], self.bounds.tries)
        before = datetime.now(UTC) - self.bounds.failing_for
        seen = (_as_seen(one, seen, before) for one, seen in zip(late, looked, strict=True))
        return [one for one in seen if one is not None]

    async def _missing(self, after: str | None, before: datetime) -> tuple[list[Stuck], str | None]:
        """Who has no workflow, from behind `after` on, and where the next run goes on (None: all were compared)."""
        found: list[Stuck] = []
        for _ in range(self.bounds.pages):
            page, missing = await self.compare(after, before)
            for one, seen in await self._ask(missing):
                if seen.looked is Looked.NONE:
                    found.append(Stuck(Missed.NO_WORKFLOW, one.lead_id, one.since))
                elif seen.looked is Looked.ENDED:
                    found.append(Stuck(Missed.WORKFLOW_ENDED, one.lead_id, seen.since or one.since))
            if len(page) < PAGE:
                return found, None
            after = page[-1].lead_id
            if len(found) >= self.bounds.most:
                break
        return found, after

    async def _ask(self, missing: list[Waiting]) -> list[tuple[Waiting, Seen]]:
        needed = await self.store.needing(missing)
        return list(zip(needed, await self.workflows.look([one.lead_id for one in needed]), strict=True))

    async def compare(self, after: str | None, before: datetime) -> tuple[list[Waiting], list[Waiting]]:
        """A page of the leads with something to come, taken in before then, and who of them has no workflow."""
        page = await self.store.with_something_to_come(after, before, PAGE)
        running = await self.workflows.running([one.lead_id for one in page])
        return page, [one for one in page if one.lead_id not in running]


def _as_seen(stuck: Stuck, seen: Seen, before: datetime) -> Stuck | None:
    """None: somebody is at it, and it may yet go well."""
    match seen.looked:
        case Looked.NONE:
            return replace(stuck, kind=Missed.NO_WORKFLOW)
        case Looked.ENDED:
            return replace(stuck, kind=Missed.WORKFLOW_ENDED, since=seen.since or stuck.since)
        case Looked.BUSY if seen.since is not None and seen.since <= before:
            return replace(stuck, kind=Missed.FAILING, since=seen.since, failure=seen.failure)
        case Looked.BUSY:
            return None
        case Looked.IDLE:
            return stuck if stuck.kind is not Missed.FAILING else None
        case _:
            assert_never(seen.looked)


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
