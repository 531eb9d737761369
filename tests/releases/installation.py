"""An installation on a real Temporal server, with workers of several builds: production code but for the channels."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client, WorkflowHandle
from temporalio.testing import WorkflowEnvironment

import worker
from activities.plan import PlanActivities
from activities.touches import TouchActivities
from api.commands import Commands
from config.settings import Settings
from domain.clock import parse_pace, virtual_clock
from domain.lead_state import STAFF, LeadState
from domain.ports import Accepted, Begin, Call, Email, Sms
from domain.touches import Channel, TouchStatus
from relay.delivered import DeliveredListener
from relay.temporal_delivery import TemporalDelivery
from store import outbox
from store.engine import Store
from store.inbound import Inbound
from store.lead_unit import Leads
from store.touch_news import TouchNews
from tests.workflows.held import LONGEST, Held
from tests.workflows.history import kind
from tests.workflows.world import COORDINATOR, UTC_TEN, FakeChannel, describe, take_in_one
from wire.codec import data_converter
from wire.connect import register_search_attributes
from wire.deployments import Deployments
from wire.keyring import KeyRing
from workflows import names
from workflows.lead import LeadWorkflow

NAME = "tend"
QUEUES = (names.LEADS_QUEUE, *names.CHANNEL_QUEUES.values())
SERVER = Path(__import__("sys").executable).parent / "temporal"
CONFIG = (
    "system.forceSearchAttributesCacheRefreshOnRead=true",
    "system.numConsecutiveWorkflowTaskProblemsToTriggerSearchAttribute=2",  # not 5: the tries grow rare
)


@dataclass
class HeldChannel(FakeChannel):
    """Holds up its next answer, after it has taken what it was asked to send."""

    held: Held | None = None

    async def send(self, message: Sms | Email | Call, limit: float, begin: Begin | None = None) -> Accepted:
        accepted = await super().send(message, limit, begin)
        if self.held is not None:
            held, self.held = self.held, None
            await held.wait()
        return accepted

    ring = send


@dataclass
class Build:
    """What one build's workers have sent. `id`: None for workers without a version."""

    id: str | None
    channels: dict[str, HeldChannel]
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    @property
    def sent(self) -> list[str]:
        """The ids of touches, in order."""
        found = sorted((at, m.touch_id) for c in self.channels.values() for at, m in c.sent)
        return [touch for _, touch in found]

    async def stop(self) -> None:
        """As by SIGTERM: what is under way is finished, at most 10 s long."""
        await self.stack.aclose()


@dataclass
class Installation:
    client: Client
    store: Store
    keyring: KeyRing
    settings: Settings
    leads: Leads
    commands: Commands
    inbound: Inbound
    news: TouchNews
    delivery: TemporalDelivery
    deployments: Deployments
    clock: Any
    builds: list[Build] = field(default_factory=list)

    async def start(self, build_id: str | None, workflow: type | None = None) -> Build:
        """Workers of a build poll; `workflow` stands for what that build made of it."""
        settings = self.settings
        if build_id is not None:
            settings = settings.model_copy(update={"deployment_name": NAME, "build_id": build_id})
        ledger = worker.make_ledger(settings, self.store, self.leads.book, self.clock, self.keyring)
        build = Build(build_id, {name: HeldChannel(self.clock) for name in names.CHANNEL_QUEUES})
        c = build.channels
        touches = TouchActivities(ledger, self.clock, c["sms"], c["voice"], c["email"])
        with patch("worker.LeadWorkflow", workflow or LeadWorkflow):
            workers = worker.make_workers(
                self.client, PlanActivities(ledger, self.clock), touches, version=worker.deployment(settings)
            )
        for one in workers:
            await build.stack.enter_async_context(one)
        self.builds.append(build)
        return build

    async def make_current(self, build: Build) -> None:
        """What `tend release current` does."""
        assert build.id is not None
        await self.deployments.make_current(build.id, QUEUES)

    async def deliver(self) -> None:
        """What the relay does."""
        async with self.store.engine.begin() as conn:
            while entries := await outbox.take(conn, 50):
                for entry in entries:
                    await self.delivery.hand_over(entry)
                await outbox.done(conn, [e.id for e in entries])

    async def take_in(self, number: int) -> str:
        """A new lead, whose start waits in the outbox."""
        given = {"phone": f"+1212555{1000 + number}", "email": f"lead{number}@example.com"}
        return (await take_in_one(self.leads, COORDINATOR, **given)).lead_id

    async def inquire(self, number: int) -> str:
        """A new lead, whose workflow is started."""
        lead = await self.take_in(number)
        await self.deliver()
        return lead

    async def confirmed(self, number: int) -> str:
        """A lead in flight: its first text is out, and its timer runs."""
        lead = await self.inquire(number)
        await self.until(lead, lambda s: status(s, "confirm") is TouchStatus.ACCEPTED, "the first text")
        await self.until_event(lead, lambda events: any(kind(e) == "TIMER_STARTED" for e in events), "its timer")
        return lead

    async def write(self, lead: str) -> None:
        """A person's own message, which the workflow has sent. Returns when it was."""
        before = staff_texts(await self.state(lead))
        await self.commands.message(COORDINATOR, lead, Channel.SMS, "We will call you.")
        await self.deliver()
        await self.until(lead, lambda s: len(staff_texts(s)) > len(before), "the message is accepted")
        await self.until_event(lead, settled, "its answer is worked off")

    async def finish(self, leads: Iterable[str]) -> None:
        for lead in leads:
            await self.commands.disqualify(COORDINATOR, lead, "not a patient")
            await self.deliver()
            async with asyncio.timeout(LONGEST):
                assert await self.handle(lead).result() == "disqualified"

    def handle(self, lead_id: str) -> WorkflowHandle[object, str]:
        return self.client.get_workflow_handle(names.workflow_id(lead_id), result_type=str)

    async def history(self, lead_id: str) -> list[HistoryEvent]:
        return list((await self.handle(lead_id).fetch_history()).events)

    async def ran_on(self, lead_id: str) -> list[str]:
        """The builds that the workflow's tasks were done by, in order, each once for a run of tasks."""
        found: list[str] = []
        for event in await self.history(lead_id):  # of the latest run
            if kind(event) == "WORKFLOW_TASK_COMPLETED":
                build = event.workflow_task_completed_event_attributes.deployment_version.build_id
                found += [build] if found[-1:] != [build] else []
        return found

    async def state(self, lead_id: str) -> LeadState:
        async with self.store.engine.connect() as conn:
            return await self.leads.read(conn, lead_id)

    async def until(self, lead_id: str, holds: Callable[[LeadState], bool], what: str) -> LeadState:
        deadline = asyncio.get_running_loop().time() + 2 * LONGEST
        while not holds(state := await self.state(lead_id)):
            assert asyncio.get_running_loop().time() < deadline, f"never came: {what}; {describe(state)}"
            await asyncio.sleep(0.02)
        return state

    async def until_event(self, lead_id: str, holds: Callable[[list[HistoryEvent]], bool], what: str) -> None:
        deadline = asyncio.get_running_loop().time() + 2 * LONGEST
        while not holds(events := await self.history(lead_id)):
            assert asyncio.get_running_loop().time() < deadline, f"never came: {what}; {[kind(e) for e in events]}"
            await asyncio.sleep(0.02)

    async def until_tried_again(self, lead_id: str) -> None:
        """Temporal has given up the first attempt of an activity of the lead's."""
        deadline = asyncio.get_running_loop().time() + 2 * LONGEST
        while not await self._tried_again(lead_id):
            assert asyncio.get_running_loop().time() < deadline, "never came: a second attempt"
            await asyncio.sleep(0.02)

    async def _tried_again(self, lead_id: str) -> bool:
        described = (await self.handle(lead_id).describe()).raw_description
        return any(work.attempt > 1 for work in described.pending_activities)

    def assert_nothing_twice(self) -> None:
        times = Counter(touch for build in self.builds for touch in build.sent)
        assert {touch: n for touch, n in times.items() if n > 1} == {}


def status(state: LeadState, step: str) -> TouchStatus | None:
    return next((t.status for t in state.touches.values() if t.step == step), None)


def staff_texts(state: LeadState) -> list[str]:
    return [t.part for t in state.touches.values() if t.step == STAFF and t.status is TouchStatus.ACCEPTED]


def settled(events: list[HistoryEvent]) -> bool:
    """The last thing in the history is a task of the workflow that was done, or its timer."""
    return kind(events[-1]) in {
        "WORKFLOW_TASK_COMPLETED",
        "TIMER_STARTED",
        "UPSERT_WORKFLOW_SEARCH_ATTRIBUTES",
        "WORKFLOW_EXECUTION_COMPLETED",
    }


@asynccontextmanager
async def open_installation(store: Store, keyring: KeyRing, *, pace: str = "1") -> AsyncIterator[Installation]:
    settings = Settings(_env_file=None, public_url="http://tend.example.com")
    async with await WorkflowEnvironment.start_local(
        dev_server_existing_path=str(SERVER),
        dev_server_log_level="never",
        data_converter=data_converter(keyring),
        dev_server_extra_args=[word for value in CONFIG for word in ("--dynamic-config-value", value)],
    ) as env:
        await register_search_attributes(env.client, "default", names.ATTRIBUTE_TYPES)
        clock = virtual_clock(datetime.now(UTC), UTC_TEN, parse_pace(pace))
        book = await worker.open_book(store, clock)
        leads = Leads(store, book, clock.now)
        installation = Installation(
            env.client,
            store,
            keyring,
            settings,
            leads,
            Commands(leads, DeliveredListener(str(store.engine.url))),
            Inbound(leads, confirm=True),
            TouchNews(leads),
            TemporalDelivery(env.client),
            Deployments(env.client, NAME),
            clock,
        )
        try:
            yield installation
        finally:
            for build in installation.builds:
                await build.stop()
