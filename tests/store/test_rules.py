"""The rules that keep races out, on a real database: order, stale plans, stops on the address."""

import asyncio
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import select, text

from api.commands import Commands
from config.settings import Settings
from domain import facts as f
from domain import lead_state as state_of
from domain.access import Actor, Role
from domain.clock import Clock, Pace, virtual_clock
from domain.errors import ClaimOver
from domain.fold import fold
from domain.lead_state import LeadState
from domain.ledger import Claim, TouchRef, View
from domain.next_action import ExpireTask, Finish, OpenTask, Touch, Wait
from domain.patience import Patience
from domain.ports import Accepted, InboundSms, OutcomeUnknown
from domain.standing import standing
from domain.touches import Channel, TouchStatus
from relay.delivered import DeliveredListener
from store import projection, tables
from store.bookings import Booking
from store.click_to_call import ClickToCall
from store.engine import Store
from store.inbound import Inbound
from store.intake import Intake, take_in
from store.lead_unit import Leads
from store.touch_ledger import TouchLedger
from store.touch_news import TouchNews
from wire.keyring import KeyRing
from worker import make_ledger, open_book

DESK = Actor(str(uuid.uuid4()), "desk", Role.COORDINATOR, phone="+12025550143")
TEN = datetime(2026, 3, 3, 15, 0, tzinfo=UTC)  # 10:00 in New York


class Clinic:
    def __init__(self, store: Store, leads: Leads, ledger: TouchLedger) -> None:
        self.store, self.leads, self.ledger = store, leads, ledger
        self.commands = Commands(leads, DeliveredListener(str(store.engine.url)))
        self.inbound = Inbound(leads, confirm=True)
        self.news = TouchNews(leads)
        self.click_to_call = ClickToCall(leads)

    async def inquire(self, first_name: str = "Ada", **more: Any) -> str:
        given: dict[str, Any] = {
            "first_name": first_name, "last_name": "Example", "phone": "+12125550101", "email": "ada@example.com",
            "service_line": "any", "concern": "a question", "urgency": "routine", "preferred_facility": "main",
            "postal_code": None, "timezone": None, "language": None, "zones": ("America/New_York",), "channels": (),
            "details": {}, "source": {"channel": "web_form"}, "touchpoints": [], "consents": [], "sequence": None,
            "is_test": False,
        }  # fmt: skip
        async with self.store.engine.begin() as conn:
            return (await take_in(self.leads, conn, Intake(**(given | more)), DESK)).lead_id

    async def next_touch(self, lead_id: str) -> TouchRef:
        view = await self.ledger.plan(lead_id, datetime.now(UTC))
        assert isinstance(view.action, Touch), view.action
        a = view.action
        return TouchRef(lead_id, a.touch_id, a.enrollment, a.step, a.part, a.channel)

    async def state(self, lead_id: str) -> LeadState:
        async with self.store.engine.connect() as conn:
            return await self.leads.read(conn, lead_id)

    async def do_others(self, lead_id: str, but: TouchRef, now: datetime) -> None:
        """Carries out what is due beside the one touch."""
        view = await self.ledger.plan(lead_id, now)
        while not isinstance(view.action, Wait | Finish):
            match view.action:
                case Touch() as a if a.touch_id == but.touch_id:
                    return
                case Touch() as a:
                    ref = TouchRef(lead_id, a.touch_id, a.enrollment, a.step, a.part, a.channel)
                    if isinstance(claimed := await self.ledger.claim(ref, now), Claim):
                        claimed = await self.ledger.settle(ref, Accepted("x"), now)
                    assert isinstance(claimed, View)
                    view = claimed
                case OpenTask(enrollment, step, part):
                    view = await self.ledger.open_task(lead_id, enrollment, step, part, now)
                case ExpireTask(task):
                    view = await self.ledger.expire_task(lead_id, task, now)
                case _:
                    raise AssertionError(view.action)

    async def causes(self) -> dict[str, str]:
        """Channel -> cause of its stop."""
        async with self.store.engine.connect() as conn:
            rows = (await conn.execute(select(tables.stops.c.channel, tables.stops.c.cause))).all()
        return {channel: cause for channel, cause in rows}

    async def waits_for_a_lock(self) -> None:
        """Until some transaction waits for another's lock."""
        waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
        async with asyncio.timeout(10), self.store.engine.connect() as conn:
            while not await conn.scalar(waiting):
                await conn.rollback()

    async def rows(self, lead_id: str) -> dict[str, Any]:
        async with self.store.engine.connect() as conn:
            out: dict[str, Any] = {}
            for table in (tables.leads, tables.touches, tables.tasks, tables.appointments):
                key = table.c.id if table is tables.leads else table.c.lead_id
                found = (await conn.execute(select(table).where(key == lead_id))).mappings().all()
                out[table.name] = {str(r["id"]): self.store.vault.open_row(table, r) for r in found}
            return out


@pytest_asyncio.fixture(loop_scope="session")
async def clinic(store: Store, keyring: KeyRing) -> Clinic:
    clock: Clock = virtual_clock(datetime.now(UTC), TEN, [Pace(1.0, None)])
    book = await open_book(store, clock)
    ledger = make_ledger(Settings(_env_file=None), store, book, clock, keyring)
    own_times = Patience(clocks=timedelta(days=2))  # tests name times ahead, and then act at the real one
    leads = Leads(store, book, clock.now, own_times)
    return Clinic(store, leads, replace(ledger, leads=leads, measured=False))


async def test_every_row_can_be_made_again_from_the_facts(clinic: Clinic) -> None:
    lead = await clinic.inquire()
    ref = await clinic.next_touch(lead)
    assert isinstance(await clinic.ledger.claim(ref, datetime.now(UTC)), Claim)
    await clinic.ledger.settle(ref, Accepted("SM1"), datetime.now(UTC))
    await clinic.inbound.reply(InboundSms("SM2", "+12125550101", "+15005550006", "A question"))
    await clinic.commands.message(DESK, lead, Channel.SMS, "An answer")
    await clinic.commands.note(DESK, lead, "a note")
    booked = Booking(f.BookingEvent.BOOKED, f"A-{lead}", TEN, lead, starts_at=TEN + timedelta(days=9), facility="main")
    await clinic.commands.booking(DESK, booked)
    await clinic.commands.pause(DESK, lead, "asked to wait", None)
    before = await clinic.rows(lead)
    async with clinic.store.engine.connect() as conn:
        records = await clinic.leads.records(conn, lead)
    state = fold(lead, records)
    assert state.enrollment is not None
    assert [r.no for r in records] == list(range(1, len(records) + 1))
    sequence = clinic.leads.book.get(state.enrollment.sequence, state.enrollment.version)
    made = projection.lead_row(state, standing(state, sequence, records[-1].at))
    assert {k: before["leads"][lead][k] for k in made} == made
    touches = [projection.touch_row(lead, t) for t in state.touches.values() if t.channel is not None]
    tasks = [projection.task_row(lead, t) for t in state.tasks.values()]
    appointments = [projection.appointment_row(lead, a) for a in state.appointments.values()]
    assert touches and tasks and appointments
    for name, rows in (("touches", touches), ("tasks", tasks), ("appointments", appointments)):
        assert {r["id"] for r in rows} == set(before[name])
        for row in rows:
            assert {k: before[name][row["id"]][k] for k in row} == row


@pytest.mark.parametrize("status", [TouchStatus.DELAYED, TouchStatus.CLAIMED])
def test_the_row_of_a_touch_says_when_it_may_go(status: TouchStatus) -> None:
    until = TEN + timedelta(days=1)
    touch = state_of.Touch("t", 1, "link", "sms", Channel.SMS, status, at=TEN, due_at=TEN, until=until)
    assert projection.touch_row("lead", touch)["due_at"] == (until if status is TouchStatus.DELAYED else TEN)


async def test_a_stale_plan_sends_nothing_and_learns_what_is_next(clinic: Clinic) -> None:
    lead = await clinic.inquire()
    ref = await clinic.next_touch(lead)
    await clinic.commands.pause(DESK, lead, "asked to wait", None)
    answer = await clinic.ledger.claim(ref, datetime.now(UTC))
    assert isinstance(answer, View)
    assert answer.standing.state == "paused"
    assert (await clinic.rows(lead))["touches"] == {}


async def test_no_claim_is_made_after_a_stop_was_answered(clinic: Clinic) -> None:
    """Stops and claims race on leads that share a number; each claim lies before the stop or is not made."""
    for turn in range(12):
        phone = f"+1212555{1200 + turn}"
        # with an e-mail of their own too: its row may come before or after the phone's in the order of locks
        leads = [await clinic.inquire(n, phone=phone, email=f"{n}{turn}@example.com") for n in ("Ada", "Ben")]
        refs = [await clinic.next_touch(lead) for lead in leads]
        stop = InboundSms(f"SM-stop-{turn}", phone, "+15005550006", "STOP")
        now = datetime.now(UTC)
        first, second, _ = await asyncio.gather(
            clinic.ledger.claim(refs[0], now), clinic.ledger.claim(refs[1], now), clinic.inbound.reply(stop)
        )
        for lead, ref, claim in zip(leads, refs, (first, second), strict=True):
            async with clinic.store.engine.connect() as conn:
                records = await clinic.leads.records(conn, lead)
            kinds = [
                "stop" if isinstance(r.fact, f.OptedOut) else "claim"
                for r in records
                if isinstance(r.fact, f.OptedOut)
                or (isinstance(r.fact, f.TouchChanged) and r.fact.status is TouchStatus.CLAIMED)
            ]
            assert kinds in (["claim", "stop"], ["stop"]), kinds
            assert isinstance(claim, Claim) == (kinds[0] == "claim")
            # and from now on nothing at all
            after = await clinic.ledger.claim(ref, datetime.now(UTC))
            assert isinstance(after, View) or after.search is not None


async def test_of_four_claims_of_one_touch_only_one_is_used(clinic: Clinic) -> None:
    lead = await clinic.inquire()
    ref, now = await clinic.next_touch(lead), datetime.now(UTC)
    claims = await asyncio.gather(*(clinic.ledger.claim(ref, now + timedelta(seconds=n)) for n in range(4)))
    used = [clinic.ledger.begin(ref, claim, now) for claim in claims if isinstance(claim, Claim)]
    assert len(used) == 4
    assert sorted(type(one).__name__ for one in await asyncio.gather(*used, return_exceptions=True)) == [
        *(["ClaimOver"] * 3), "NoneType",
    ]  # fmt: skip
    later = await clinic.ledger.claim(ref, now + timedelta(seconds=5))
    assert isinstance(later, Claim) and later.search is not None


async def test_a_claim_that_was_never_settled_is_looked_for_whatever_came_since(clinic: Clinic) -> None:
    lead = await clinic.inquire()
    ref = await clinic.next_touch(lead)
    claim = await clinic.ledger.claim(ref, datetime.now(UTC))
    assert isinstance(claim, Claim)
    await clinic.ledger.begin(ref, claim, datetime.now(UTC))
    await clinic.commands.opt_out(DESK, lead, ())  # its worker dies here
    again = await clinic.ledger.claim(ref, datetime.now(UTC))
    assert isinstance(again, Claim) and again.search is not None
    await clinic.ledger.settle(ref, OutcomeUnknown("no trace of it"), datetime.now(UTC))
    settled = await clinic.ledger.claim(ref, datetime.now(UTC))
    assert isinstance(settled, View)
    assert (await clinic.rows(lead))["touches"][ref.touch_id]["status"] == "unknown"


async def test_after_a_stop_a_claim_that_was_never_used_is_not_made_anew(clinic: Clinic) -> None:
    lead = await clinic.inquire()
    ref = await clinic.next_touch(lead)
    claim = await clinic.ledger.claim(ref, datetime.now(UTC))
    assert isinstance(claim, Claim)
    await clinic.commands.opt_out(DESK, lead, ())  # its worker dies here
    again = await clinic.ledger.claim(ref, datetime.now(UTC))
    assert isinstance(again, View) and isinstance(again.action, Finish)
    assert (await clinic.state(lead)).touches[1, "confirm", "sms"].status is not TouchStatus.CLAIMED
    with pytest.raises(ClaimOver):
        await clinic.ledger.begin(ref, claim, datetime.now(UTC))


@pytest.mark.parametrize("name", ["Ada", "ADA", "A.", "Ada "])
async def test_a_repeat_inquiry_joins_the_living_lead(clinic: Clinic, name: str) -> None:
    lead = await clinic.inquire()
    assert await clinic.inquire(name) == lead
    assert await clinic.inquire("Ben") != lead
    async with clinic.store.engine.connect() as conn:
        state = await clinic.leads.read(conn, lead)
    assert [t.kind for t in state.tasks.values()] == [f.TaskKind.CALLBACK]
