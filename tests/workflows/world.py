"""A clinic on skipped time: the production workflow, activities and ledger; real Postgres and time-skipping server.

Only the channels are fakes: they keep what reached them, and can be told what to answer. What travels (the ledger's
answers to the workflow, the workflow's own to the server) can be held up, so that something happens meanwhile.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from temporalio import activity
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.client import Client, WorkflowHandle
from temporalio.testing import WorkflowEnvironment

from activities.plan import PlanActivities
from activities.touches import TouchActivities
from api.commands import Commands
from config.settings import Settings
from domain.access import Actor, Role
from domain.clock import Clock, parse_pace, virtual_clock
from domain.desk import rings
from domain.lead_state import LeadState
from domain.ports import Accepted, Begin, Call, ChannelError, Email, InboundSms, Search, Sms
from relay.delivered import DeliveredListener
from relay.temporal_delivery import TemporalDelivery
from store import outbox
from store.click_to_call import ClickToCall, Connected, NotConnected
from store.engine import Store
from store.inbound import Inbound
from store.intake import Intake, TakenIn, take_in
from store.lead_unit import Leads
from store.touch_ledger import TouchLedger
from store.touch_news import TouchNews
from tests.workflows.held import LONGEST, HoldingCodec, WatchedLedger
from tests.workflows.history import is_idle, kind
from wire.codec import AesCodec, data_converter
from wire.keyring import KeyRing
from worker import make_ledger, make_workers, open_book
from workflows import names

COORDINATOR = Actor(str(uuid.uuid4()), "desk", Role.COORDINATOR, phone="+12025550143")
NEW_YORK = ("America/New_York",)
UTC_TEN = datetime(2026, 3, 3, 15, 0, tzinfo=UTC)  # a Tuesday, 10:00 in New York
TEST_SERVER = Path(__import__("sys").executable).parent / "temporal-test-server"


@dataclass
class FakeChannel:
    """Takes everything, unless told otherwise for the next requests. `limits`: of each, with its real time."""

    clock: Clock
    sent: list[tuple[datetime, Sms | Email | Call]] = field(default_factory=list)
    limits: list[tuple[datetime, float]] = field(default_factory=list)
    answers: list[ChannelError] = field(default_factory=list)
    listed: list[str] = field(default_factory=list)

    async def send(self, message: Sms | Email | Call, limit: float, begin: Begin | None = None) -> Accepted:
        assert limit > 0
        if begin is not None:
            await begin()
        self.limits.append((activity.info().started_time, limit))
        if self.answers:
            raise self.answers.pop(0)
        self.sent.append((self.clock.product(activity.info().started_time), message))
        return Accepted(f"provider-{message.touch_id}")

    ring = send

    async def find(self, message: Sms | Call, search: Search, limit: float) -> Accepted | None:
        return Accepted("found") if message.touch_id in self.listed else None


def skipped_time() -> datetime:
    return activity.info().started_time


@dataclass
class World:
    env: Any  # the time-skipping environment has methods that its public type lacks
    client: Client
    store: Store
    leads: Leads
    commands: Commands
    inbound: Inbound
    news: TouchNews
    delivery: TemporalDelivery
    ledger: TouchLedger
    clock: Clock
    watched: WatchedLedger
    codec: HoldingCodec
    channels: dict[str, FakeChannel]
    hand: list[datetime]  # one entry: the product time that the API's side acts at

    @property
    def time(self) -> datetime:
        return self.hand[0]

    async def tick(self) -> datetime:
        """Product time now, which the API's side acts at."""
        self.hand[0] = self.clock.product(await self.env.get_current_time())
        return self.time

    async def inquire(self, **changes: object) -> str:
        return (await self.take(**changes)).lead_id

    async def take(self, **changes: object) -> TakenIn:
        await self.tick()
        return await take_in_one(self.leads, COORDINATOR, **changes)

    async def deliver(self) -> None:
        """What the relay does: every entry of the outbox, to Temporal."""
        async with self.store.engine.begin() as conn:
            while entries := await outbox.take(conn, 20):
                for entry in entries:
                    await self.delivery.hand_over(entry)
                await outbox.done(conn, [e.id for e in entries])

    def handle(self, lead_id: str) -> WorkflowHandle[object, str]:
        return self.client.get_workflow_handle(names.workflow_id(lead_id), result_type=str)

    async def signal(self, lead_id: str, name: str = "staff_acted") -> None:
        """A wake with nothing new behind it."""
        await self.delivery.signal(lead_id, name, 0)

    async def history(self, lead_id: str, run_id: str | None = None) -> list[HistoryEvent]:
        """Of this run, or of the latest."""
        handle = self.client.get_workflow_handle(names.workflow_id(lead_id), run_id=run_id)
        return list((await handle.fetch_history()).events)

    async def run_id(self, lead_id: str) -> str:
        """Of the latest run."""
        started = (await self.history(lead_id))[0].workflow_execution_started_event_attributes
        return started.original_execution_run_id

    async def until_event(
        self, lead_id: str, holds: Callable[[list[HistoryEvent]], bool], what: str
    ) -> list[HistoryEvent]:
        """Waits (real time) until the history of the present run says so."""
        deadline = asyncio.get_running_loop().time() + LONGEST
        while not holds(events := await self.history(lead_id)):
            assert asyncio.get_running_loop().time() < deadline, f"never came: {what}; {[kind(e) for e in events]}"
            await asyncio.sleep(0.02)
        return events

    async def idle(self, lead_id: str) -> list[HistoryEvent]:
        """Waits until all that the workflow has heard of is worked off; answers its history."""
        return await self.until_event(lead_id, is_idle, "nothing more to do")

    @asynccontextmanager
    async def working(self, without: str | None = None) -> AsyncIterator[Callable[[], Awaitable[None]]]:
        """Runs the workers. Nobody takes a touch of the channel `without`, as if its queue were long, until what it
        yields is called.
        """
        touches = TouchActivities(
            self.watched,
            self.clock,
            self.channels["sms"],
            self.channels["voice"],
            self.channels["email"],
            skipped_time,
        )
        workers = make_workers(self.client, PlanActivities(self.watched, self.clock, skipped_time), touches)
        later = [worker for worker in workers if worker.task_queue == names.CHANNEL_QUEUES.get(without or "")]
        async with AsyncExitStack() as stack:

            async def its_turn() -> None:
                for worker in later:
                    await stack.enter_async_context(worker)

            for worker in workers:
                if worker not in later:
                    await stack.enter_async_context(worker)
            yield its_turn

    async def result(self, lead_id: str) -> str:
        """Lets time run on until the workflow has ended."""
        async with asyncio.timeout(3 * LONGEST), self.env.time_skipping_unlocked():
            return str(await self.handle(lead_id).result())

    async def advance(self, **length: float) -> datetime:
        await self.env.sleep(timedelta(**length))
        return await self.tick()

    async def reply(self, body: str, sender: str = "+12125550101") -> None:
        await self.tick()
        await self.inbound.reply(InboundSms(f"SM{uuid.uuid4().hex}", sender, "+15005550006", body))
        await self.deliver()

    async def presses_1(self, lead_id: str) -> Connected | NotConnected:
        """The coordinator whose line rings for a call to this lead."""
        await self.tick()
        real = await self.env.get_current_time()
        state = await self.until(lead_id, lambda s: any(rings(t) for t in s.touches.values()), "the line rings")
        (touch,) = [t for t in state.touches.values() if rings(t)]
        answer = await ClickToCall(self.leads, lambda: real).connect(touch.touch_id, f"provider-{touch.touch_id}")
        await self.deliver()
        return answer

    async def state(self, lead_id: str) -> LeadState:
        async with self.store.engine.connect() as conn:
            return await self.leads.read(conn, lead_id)

    async def until(self, lead_id: str, holds: Callable[[LeadState], bool], what: str = "condition") -> LeadState:
        """Waits (real time) until the facts say so."""
        deadline = asyncio.get_running_loop().time() + LONGEST
        while not holds(state := await self.state(lead_id)):
            assert asyncio.get_running_loop().time() < deadline, f"never came: {what}; {describe(state)}"
            await asyncio.sleep(0.02)
        return state

    def sent(self, channel: str) -> list[datetime]:
        return [at for at, _ in self.channels[channel].sent]


def describe(state: LeadState) -> list[str]:
    rows = [f"{t.step}/{t.part} {t.status} {t.rule or ''}" for t in state.touches.values()]
    return [str(state.state), *rows, *(f"task {t.kind} {t.step} {t.state}" for t in state.tasks.values())]


async def take_in_one(leads: Leads, by: Actor, **changes: object) -> TakenIn:
    intake = Intake(
        first_name="Ada",
        last_name="Example",
        phone="+12125550101",
        email="ada@example.com",
        service_line=None,
        concern=None,
        urgency="routine",
        preferred_facility="main",
        postal_code=None,
        timezone=None,
        language=None,
        zones=NEW_YORK,
        channels=("sms", "voice", "email"),
        details={},
        source={"channel": "web_form"},
        touchpoints=[],
        consents=[],
        sequence=None,
        is_test=False,
    )
    async with leads.store.engine.begin() as conn:
        return await take_in(leads, conn, replace(intake, **changes), by)  # type: ignore[arg-type]


@asynccontextmanager
async def open_world(
    store: Store,
    keyring: KeyRing,
    *,
    start: datetime | None = None,
    renew_after: int | None = None,
    pace: str = "1",
    working: bool = True,
) -> AsyncIterator[World]:
    """`start`: the product time at which it begins (default: a Tuesday, 10:00 in New York).

    `working`: False if the test starts the workers itself, by `world.working()`.
    """
    settings = Settings(_env_file=None, public_url="http://tend.example.com")
    codec = HoldingCodec(AesCodec(keyring))
    async with await WorkflowEnvironment.start_time_skipping(
        test_server_existing_path=str(TEST_SERVER), data_converter=replace(data_converter(keyring), payload_codec=codec)
    ) as env:
        types = {
            key.name: getattr(IndexedValueType, f"INDEXED_VALUE_TYPE_{key.indexed_value_type.name}")
            for key in names.SEARCH_ATTRIBUTES
        }
        # the time-skipping server takes them but cannot list them
        request = AddSearchAttributesRequest(namespace="default", search_attributes=types)
        await env.client.operator_service.add_search_attributes(request)
        clock = virtual_clock(await env.get_current_time(), start or UTC_TEN, parse_pace(pace))
        book = await open_book(store, clock)
        ledger = replace(make_ledger(settings, store, book, clock, keyring), measured=False)  # time is skipped
        hand = [start or UTC_TEN]
        leads = Leads(store, book, lambda: hand[0])
        world = World(
            env,
            env.client,
            store,
            leads,
            Commands(leads, DeliveredListener(str(store.engine.url))),
            Inbound(leads, confirm=True),
            TouchNews(leads),
            TemporalDelivery(env.client, renew_after),
            ledger,
            clock,
            WatchedLedger(ledger),
            codec,
            {name: FakeChannel(clock) for name in ("sms", "voice", "email")},
            hand,
        )
        async with world.working() if working else AsyncExitStack():
            yield world
