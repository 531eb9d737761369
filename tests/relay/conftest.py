"""A small clinic on real parts: Postgres, Temporal's dev server, workers; only the channels are fakes."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest_asyncio
from sqlalchemy import delete, func, select
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.testing import WorkflowEnvironment

from activities.plan import PlanActivities
from activities.sweep import SweepActivities
from activities.touches import TouchActivities
from config.settings import Settings
from domain import facts as f
from domain.access import Actor, Role
from domain.backpressure import Limits
from domain.clock import Clock, parse_pace, virtual_clock
from domain.lead_state import LeadState
from domain.sweep import Missed, Tally
from domain.touches import Channel, TouchStatus, touch_id
from relay.lead_workflows import LeadWorkflows, Looked
from relay.relay import Relay
from relay.sweep import Bounds, Sweep
from relay.temporal_delivery import TemporalDelivery
from store.engine import Store
from store.sweep import SweepStore
from store.tables import messages, outbox
from store.touch_ledger import TouchLedger
from tests.workflows.world import FakeChannel, take_in_one
from wire.connect import connect, register_search_attributes
from wire.keyring import KeyRing
from worker import make_ledger, make_workers, open_book
from workflows import names

LONGEST = 60.0  # real seconds, generous
DESK = Actor(str(uuid.uuid4()), "desk", Role.COORDINATOR)
NO_GRACE = Bounds(grace=timedelta(0))


@pytest_asyncio.fixture(scope="session")
async def temporal(keyring: KeyRing) -> AsyncIterator[Client]:
    """A dev server with what Tend needs in it."""
    binary = Path(__import__("sys").executable).with_name("temporal")
    server = await WorkflowEnvironment.start_local(
        dev_server_existing_path=str(binary),
        dev_server_log_level="error",
        dev_server_extra_args=["--dynamic-config-value", "system.forceSearchAttributesCacheRefreshOnRead=true"],
    )
    async with server:
        client = await connect(server.client.service_client.config.target_host, "default", keyring)
        await register_search_attributes(client, "default", names.ATTRIBUTE_TYPES)
        yield client


@dataclass
class Clinic:
    store: Store
    temporal: Client
    ledger: TouchLedger
    clock: Clock
    channel: FakeChannel
    numbers: list[int] = field(default_factory=lambda: [0])

    @property
    def workflows(self) -> LeadWorkflows:
        return LeadWorkflows(self.temporal)

    def sweep(self, bounds: Bounds = NO_GRACE, clock: Clock | None = None) -> Sweep:
        return Sweep(SweepStore(self.ledger.leads), self.workflows, clock or self.clock, bounds)

    @asynccontextmanager
    async def working(self, limits: Limits | None = None) -> AsyncIterator[None]:
        """Workers and a relay."""
        plans = PlanActivities(self.ledger, self.clock)
        touches = TouchActivities(self.ledger, self.clock, self.channel, self.channel, self.channel)
        async with AsyncExitStack() as stack, self.relaying():
            swept = SweepActivities(self.sweep())
            for worker in make_workers(self.temporal, plans, touches, sweep=swept, limits=limits):
                await stack.enter_async_context(worker)
            yield

    @asynccontextmanager
    async def relaying(self) -> AsyncIterator[None]:
        stop = asyncio.Event()
        relay = Relay(self.store.engine, TemporalDelivery(self.temporal))
        async with asyncio.TaskGroup() as group:
            group.create_task(relay.run(stop))
            try:
                yield
            finally:
                stop.set()

    async def take_in(self) -> str:
        self.numbers[0] += 1
        number = f"+1212555{self.numbers[0]:04}"
        taken = await take_in_one(self.ledger.leads, DESK, phone=number, email=f"lead{number[-4:]}@example.com")
        return taken.lead_id

    async def take_in_unheard(self) -> str:
        """A lead of which Temporal is not told."""
        lead = await self.take_in()
        await self.forget(lead)
        return lead

    async def forget(self, *leads: str) -> None:
        """Their entries of the outbox are gone, as if they had never been written."""
        async with self.store.engine.begin() as conn:
            await conn.execute(delete(outbox).where(outbox.c.lead_id.in_(leads)))

    async def append(self, lead: str, *facts: f.Fact) -> None:
        async with self.ledger.leads.lead(lead) as unit:
            for fact in facts:
                unit.append(fact, "a test")

    async def append_unheard(self, lead: str, *facts: f.Fact) -> None:
        """In one transaction that leaves nothing in the outbox."""
        async with self.ledger.leads.lead(lead) as unit:
            for fact in facts:
                unit.append(fact, "a test")
            unit.signal = None

    async def own_words(self, lead: str, channel: Channel = Channel.SMS) -> f.TouchChanged:
        """A message of a person, kept; to be told."""
        message = str(uuid.uuid4())
        async with self.store.engine.begin() as conn:
            row = {
                "id": message,
                "lead_id": lead,
                "direction": "out",
                "channel": channel.value,
                "body": "We call at ten.",
            }
            sealed = self.store.vault.seal_row(messages, row | {"at": self.clock.now()})
            await conn.execute(messages.insert().values(sealed))
        return f.TouchChanged(
            touch_id=touch_id(lead, 1, "staff", message),
            enrollment=1,
            step="staff",
            part=message,
            channel=channel,
            status=TouchStatus.PLANNED,
            due_at=self.clock.now(),
            message_id=message,
        )

    async def state(self, lead: str) -> LeadState:
        async with self.store.engine.connect() as conn:
            return await self.ledger.leads.read(conn, lead)

    async def entries(self) -> int:
        async with self.store.engine.connect() as conn:
            return int(await conn.scalar(select(func.count()).select_from(outbox)) or 0)

    async def until(self, holds: Callable[[], Awaitable[bool]], what: str) -> None:
        deadline = asyncio.get_running_loop().time() + LONGEST
        while not await holds():
            assert asyncio.get_running_loop().time() < deadline, f"never came: {what}"
            await asyncio.sleep(0.05)

    async def until_sent(self, lead: str, step: str = "confirm") -> None:
        async def sent() -> bool:
            state = await self.state(lead)
            return any(t.step == step and t.status.value == "accepted" for t in state.touches.values())

        await self.until(sent, f"{step} is sent")

    async def until_idle(self, *leads: str) -> None:
        """Its workflow waits, and has heard all there is, and Temporal's list knows."""

        async def idle() -> bool:
            if await self.entries():  # first: what is delivered from here on makes them busy
                return False
            looked = await self.workflows.look(leads)
            there = await self.workflows.running(sorted(leads))
            return all(seen.looked is Looked.IDLE for seen in looked) and there == set(leads)

        await self.until(idle, "workflows that wait")

    async def end(self, lead: str) -> None:
        """Its workflow is ended by force, and Temporal's list knows."""
        await self.temporal.get_workflow_handle(names.workflow_id(lead)).terminate("a test")

        async def gone() -> bool:
            return not await self.workflows.running([lead])

        await self.until(gone, "the workflow is gone from the list")

    async def has_workflow(self, lead: str) -> bool:
        handle = self.temporal.get_workflow_handle(names.workflow_id(lead))
        return (await handle.describe()).status is WorkflowExecutionStatus.RUNNING


def by_kind(tallies: tuple[Tally, ...]) -> dict[Missed, tuple[int, int]]:
    """Found and repaired, of the kinds that were found."""
    return {t.kind: (t.found, t.repaired) for t in tallies if t.found}


@pytest_asyncio.fixture
async def clinic(store: Store, temporal: Client, keyring: KeyRing) -> Clinic:
    clock = virtual_clock(datetime.now(UTC), datetime(2026, 3, 3, 15, 0, tzinfo=UTC), parse_pace("1"))
    book = await open_book(store, clock)
    ledger = make_ledger(Settings(_env_file=None), store, book, clock, keyring)
    return Clinic(store, temporal, ledger, clock, FakeChannel(clock))
