"""A database that was put back from a copy, and the carrier's list to compare it with."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from config.settings import Settings
from domain.clock import Clock, virtual_clock
from domain.clock import Pace as Stretch
from domain.facts import TaskKind
from domain.lead_state import Task
from domain.ledger import Claim, TouchRef
from domain.next_action import Touch
from domain.ports import Accepted, Listed
from domain.touches import Channel, touch_id
from store import home
from store.engine import Store
from store.home import Home
from store.lead_unit import Leads
from store.restored import Compared, Comparison
from store.tables import touches
from tests.store.test_rules import DESK, Clinic
from wire.keyring import KeyRing
from worker import make_ledger, open_book

# As if it had been noticed when the carrier's list did not hold the last texts yet.
NOTICED_BEFORE = (
    "UPDATE homes SET restored_at = restored_at - interval '5 minutes',"
    " written_by = CAST(CAST(pg_current_xact_id() AS xid) AS text)"
)
TEN = datetime(2026, 3, 3, 15, 0, tzinfo=UTC)  # a Tuesday, 10:00 in New York
NUMBER = "+12125550101"


async def at_home(conn: AsyncConnection) -> None:
    """A test's database is made from another, and is so taken for a copy."""
    known = await home.find(conn)
    if known is not None and known.noticed_at is not None:
        assert await home.settle(conn, known.noticed_at)


@dataclass
class Carrier:
    """Its list."""

    listed: list[Listed] = field(default_factory=list)
    asked: list[datetime] = field(default_factory=list)

    async def since(self, since: datetime) -> AsyncIterator[Listed]:
        self.asked.append(since)
        for one in reversed(self.listed):
            yield one

    def same(self, listed: str, body: str) -> bool:
        return listed == body

    def has(
        self,
        sid: str,
        body: str = "",
        *,
        call: bool = False,
        inbound: bool = False,
        to: str = NUMBER,
        after: timedelta = timedelta(0),
    ) -> None:
        channel = Channel.VOICE if call else Channel.SMS
        self.listed.append(Listed(sid, channel, inbound, to, "+15005550006", body, datetime.now(UTC) + after))


@dataclass
class Restored:
    clinic: Clinic
    carrier: Carrier
    clock: Clock
    noticed: datetime = field(default_factory=lambda: datetime.now(UTC))

    async def compare(self, later: timedelta = timedelta(0)) -> Compared:
        """`later`: so much product time had passed when it was noticed."""
        home = Home(self.noticed - timedelta(hours=1), worked=True, noticed_at=self.noticed + later)
        return await Comparison(self.clinic.leads, self.clock, self.carrier).compare(home)

    def in_time(self, later: timedelta) -> Leads:
        """As if so much time had passed."""
        return replace(self.clinic.leads, now=lambda: self.clock.now() + later)

    async def compare_in(self, later: timedelta) -> Compared:
        """Noticed then, and compared then."""
        home = Home(self.noticed - timedelta(hours=1), worked=True, noticed_at=self.noticed + later)
        return await Comparison(self.in_time(later), self.clock, self.carrier).compare(home)

    async def send_first(self, lead: str, *, sid: str | None) -> TouchRef:
        """Its first text: claimed, and accepted if the answer came."""
        ref = TouchRef(lead, touch_id(lead, 1, "confirm", "sms"), 1, "confirm", "sms", Channel.SMS)
        assert isinstance(await self.clinic.ledger.claim(ref, datetime.now(UTC)), Claim)
        if sid is not None:
            await self.clinic.ledger.settle(ref, Accepted(sid), datetime.now(UTC))
        return ref

    async def words(self, lead: str, ref: TouchRef) -> str:
        return str((await self.clinic.rows(lead))["touches"][ref.touch_id]["body"])

    async def writes(self, lead: str, body: str, channel: Channel = Channel.SMS) -> str:
        """A person's own words, which wait. The touch's id."""
        return await self.clinic.commands.message(DESK, lead, channel, body)

    async def touch(self, touch: str) -> Any:
        async with self.clinic.store.engine.connect() as conn:
            return (await conn.execute(select(touches).where(touches.c.id == touch))).one()

    async def would_send(self, lead: str) -> list[str]:
        """The touches that a worker hands over within a minute."""
        now, sent = datetime.now(UTC) + timedelta(minutes=1), []
        view = await self.clinic.ledger.plan(lead, now)
        while isinstance(do := view.action, Touch):
            ref = TouchRef(lead, do.touch_id, do.enrollment, do.step, do.part, do.channel)
            claim = await self.clinic.ledger.claim(ref, now)
            if isinstance(claim, Claim):
                if claim.search is None:
                    sent.append(ref.touch_id)
                claim = await self.clinic.ledger.settle(ref, Accepted(f"new-{ref.touch_id}"), now)
            view = claim
        return sent

    async def reviews(self, lead: str) -> list[Task]:
        return [t for t in (await self.clinic.state(lead)).tasks.values() if t.kind is TaskKind.REVIEW]


async def put_back(store: Store, keyring: KeyRing) -> Restored:
    """On a clock that shows TEN."""
    clock = virtual_clock(datetime.now(UTC) - timedelta(hours=2), TEN - timedelta(hours=2), (Stretch(1.0, None),))
    book = await open_book(store, clock)
    ledger = replace(make_ledger(Settings(_env_file=None), store, book, clock, keyring), measured=False)
    return Restored(Clinic(store, ledger.leads, ledger), Carrier(), clock)
