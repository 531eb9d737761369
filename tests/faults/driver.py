"""One round on a running stack: people act over HTTP, parts are killed and frozen, then all comes to rest."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx

from demo.client import CallFailed, Client
from demo.client import client as client_of
from demo.launch import Launched
from domain.clock import Clock
from tests.faults.caller import Caller
from tests.faults.killer import Killer
from tests.faults.lives import Lives
from tests.faults.plan import Plan, Shape
from tests.faults.record import Json, Round
from tests.faults.seen import Lead, Seen, claimed_at, moment, own_words_wait, unfinished

MONDAY_TEN = "2026-03-02T10:00:00-05:00"
# A day in 36 s, a night in 16 s: a claim lives ten hours, a worker's death costs a morning. Much faster, and on a busy
# machine no text would meet the hours in which it may go.
STORM_PACE = 2400
BACK_WITHIN = 60.0  # real seconds until everything answers again after the last blow
RESTS_WITHIN = 150.0  # real seconds until what was due is done; the sweep finds whom nobody is at within two minutes
# Real seconds until the carrier has told of all, once the leads rest: a mail's events are waited for a minute after its
# claim has run out, and what goes to a number of which something is unknown waits two minutes.
TOLD_WITHIN = 150.0
CALLED_BACK = timedelta(seconds=40)  # real; so long after its claim
OVERDUE = 5.0  # real seconds


def pace(shape: Shape, round_: int = 0) -> str:
    """The storm's, then the one after it; in real time nothing more falls due. Each round's differs: it begins anew."""
    return f"{STORM_PACE + round_}:{shape.storm * STORM_PACE / 3600:.3f}h,{shape.afterwards}"


def launched(path: Path, shape: Shape, env: dict[str, str] | None = None) -> Launched:
    return Launched(path, "--port", "0", "--workers", str(shape.workers), env=env)


@dataclass(slots=True)
class Driver:
    """Plays `plan` on a stack that is up. `say` hears of what goes on."""

    launched: Launched
    plan: Plan
    faults: Json
    say: Callable[[str], None] = lambda _: None

    async def storm(self) -> Round:
        """All that the plan holds; the stack is whole again at the end."""
        directory = self.launched.directory
        first, count = self.plan.lives[0].number, len(self.plan.lives)
        record = Round(self.plan.seed, first, count, self.faults, directory.clock.read_text())
        killer = Killer(self.launched, record.struck.append, record.lead_ids)
        async with self._client() as tend:
            await self._weather(tend)
            caller = Caller(tend.http, tend.sandbox, record.told.append)
            lives, began = Lives(caller, directory), time.monotonic()
            blows = [asyncio.create_task(self._blow(killer, n, began)) for n in range(len(self.plan.blows))]
            try:
                async with asyncio.TaskGroup() as group:
                    for life in self.plan.lives:
                        group.create_task(lives.live(life))
                await asyncio.gather(*blows)
            finally:
                for blow in blows:
                    blow.cancel()
                await asyncio.gather(*blows, return_exceptions=True)
                killer.thaw()
            await _until(lambda: self._whole(tend), BACK_WITHIN)
        return record

    async def rest(self, within: float = RESTS_WITHIN, told_within: float = TOLD_WITHIN) -> Seen:
        """Waits, not for ever, until nothing is overdue or under way any more, and looks at everything."""
        async with self._client() as tend:
            await _until(lambda: self._rests(tend), within)
            deadline = time.monotonic() + told_within
            while True:
                seen = await self._look(tend)
                still = (
                    not seen.restless
                    and _all_told(seen, bool(self.faults.get("drop_callback_rate")))
                    and len(await tend.outbox()) == len(seen.outbox)
                )
                if still or time.monotonic() > deadline:
                    return seen
                await asyncio.sleep(1.0)

    async def _blow(self, killer: Killer, n: int, began: float) -> None:
        blow = self.plan.blows[n]
        await asyncio.sleep(max(0.0, began + blow.at - time.monotonic()))
        self.say(f"{blow.at:6.1f} s  {blow.how} {blow.victim}" + (f" for {blow.lasts:.1f} s" if blow.lasts else ""))
        await killer.strike(blow)

    async def _weather(self, tend: Client) -> None:
        """What the carrier does wrong from now on."""
        if self.faults:
            await tend.post(f"{tend.sandbox}/_sandbox/faults", self.faults | {"seed": self.plan.seed})
        else:
            (await tend.http.delete(f"{tend.sandbox}/_sandbox/faults")).raise_for_status()

    async def _whole(self, tend: Client) -> bool:
        return (await tend.http.get("/readyz")).status_code == 200

    async def _rests(self, tend: Client) -> bool:
        return not await self._restless(tend, await tend.leads())

    async def _restless(self, tend: Client, rows: list[Json]) -> dict[str, str]:
        """Living leads of which something is overdue, or that nobody has begun with: where they stand."""
        now, found = self._now(), dict[str, str]()
        for row in rows:
            step = row["next_step"] or {}
            overdue = step.get("at") is not None and moment(step["at"]) < now - timedelta(seconds=OVERDUE)
            if row["state"] == "finished" or not (overdue or row["state"] == "starting"):
                continue
            if not own_words_wait(await tend.timeline(row["id"]), now):
                found[row["id"]] = f"{row['state']}, next {step.get('step')} at {step.get('at')}, and it is {now}"
        return found

    async def _look(self, tend: Client) -> Seen:
        """The outbox is read first: whatever is in it was claimed before, and must be in what is read after."""
        few = asyncio.Semaphore(8)

        async def one(lead_id: str) -> Lead:
            async with few:
                return Lead(lead_id, await tend.lead(lead_id), await tend.timeline(lead_id))

        outbox, rows = await tend.outbox(), await tend.leads()
        leads = await asyncio.gather(*(one(row["id"]) for row in rows))
        tasks = {task["id"]: task for task in await tend.tasks(limit="200")}
        return Seen(
            outbox, {lead.id: lead for lead in leads}, tasks, await self._restless(tend, rows), self._now().isoformat()
        )

    def _now(self) -> datetime:
        """Product time."""
        return Clock.read(self.launched.directory.clock).now()

    @asynccontextmanager
    async def _client(self) -> AsyncIterator[Client]:
        async with client_of(self.launched.endpoints, self.launched.admin_key) as tend:
            yield tend


def _all_told(seen: Seen, drops: bool) -> bool:
    """Whether of each touch it is known what became of it, and none is under way. `drops`: of mails, some never are."""
    for touch_id, (lead, touch) in seen.touches.items():
        if unfinished(lead, touch, moment(seen.now) - timedelta(minutes=1)):
            return False
        if touch["status"] == "accepted" and touch["channel"] in ("sms", "email") and _just_claimed(touch):
            return False
        found = touch_id in seen.by_touch and not (drops and touch["channel"] == "email")
        if touch["status"] == "unknown" and (found or not _reviewed(lead, touch)):
            return False
    return True


def _just_claimed(touch: Json) -> bool:
    """Whether its callbacks may still come: a carrier that drops some is not waited for."""
    claimed = claimed_at(touch)
    return claimed is not None and datetime.now(UTC) - claimed < CALLED_BACK


def _reviewed(lead: Lead, touch: Json) -> bool:
    """Whether a person was asked: a mail's events are given a minute before."""
    return any(touch["step"] in (t.get("reason") or "") for t in lead.of("task") if t["task_kind"] == "review")


async def _until(holds: Callable[[], Awaitable[bool]], within: float) -> bool:
    """Whether it came to hold in time; an API that is away for the moment says no."""
    deadline = time.monotonic() + within
    while True:
        try:
            if await holds():
                return True
        except (httpx.HTTPError, CallFailed, OSError):
            pass
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.5)
