"""A copy compared with the carrier's list: nobody gets again what they may have had; what they wrote is taken in."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest_asyncio
from sqlalchemy import func, select

from config.settings import Settings
from domain.clock import Clock, virtual_clock
from domain.clock import Pace as Stretch
from domain.facts import ExitReason, TaskKind
from domain.lead_state import State, Task
from domain.ledger import Claim, TouchRef
from domain.ports import Accepted, Listed
from domain.touches import Channel, TouchStatus, touch_id
from store import outbox
from store.engine import Store
from store.home import Home
from store.keys import create_key
from store.restored import Compared, Comparison
from store.tables import messages
from tests.store.test_rules import Clinic
from wire.keyring import KeyRing
from worker import make_ledger, open_book

TEN = datetime(2026, 3, 3, 15, 0, tzinfo=UTC)  # a Tuesday, 10:00 in New York
NUMBER = "+12125550101"


@dataclass
class Carrier:
    """Its list."""

    listed: list[Listed] = field(default_factory=list)
    asked: list[datetime] = field(default_factory=list)

    async def since(self, since: datetime) -> AsyncIterator[Listed]:
        self.asked.append(since)
        for one in reversed(self.listed):
            yield one

    def has(self, sid: str, body: str = "", *, call: bool = False, inbound: bool = False, to: str = NUMBER) -> None:
        channel = Channel.VOICE if call else Channel.SMS
        self.listed.append(Listed(sid, channel, inbound, to, "+15005550006", body, datetime.now(UTC)))


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

    async def send_first(self, lead: str, *, sid: str | None) -> TouchRef:
        """Its first text: claimed, and accepted if the answer came."""
        ref = TouchRef(lead, touch_id(lead, 1, "confirm", "sms"), 1, "confirm", "sms", Channel.SMS)
        assert isinstance(await self.clinic.ledger.claim(ref, datetime.now(UTC)), Claim)
        if sid is not None:
            await self.clinic.ledger.settle(ref, Accepted(sid), datetime.now(UTC))
        return ref

    async def reviews(self, lead: str) -> list[Task]:
        return [t for t in (await self.clinic.state(lead)).tasks.values() if t.kind is TaskKind.REVIEW]


@pytest_asyncio.fixture
async def copy(store: Store, keyring: KeyRing) -> Restored:
    clock = virtual_clock(datetime.now(UTC) - timedelta(hours=2), TEN - timedelta(hours=2), (Stretch(1.0, None),))
    book = await open_book(store, clock)
    ledger = make_ledger(Settings(_env_file=None), store, book, clock, keyring)
    return Restored(Clinic(store, ledger.leads, ledger), Carrier(), clock)


async def test_what_the_copy_knows_stops_nobody(copy: Restored) -> None:
    lead = await copy.clinic.inquire()
    await copy.send_first(lead, sid="SM1")
    copy.carrier.has("SM1")
    compared = await copy.compare()
    assert (compared.known, compared.stopped) == (1, 0)
    assert (await copy.clinic.state(lead)).state is State.ACTIVE
    assert copy.carrier.asked[0] < copy.noticed - timedelta(hours=1)


async def test_who_got_more_than_the_copy_knows_stops_for_review_once(copy: Restored) -> None:
    lead = await copy.clinic.inquire()
    await copy.send_first(lead, sid="SM1")
    for sid in ("SM1", "SM2"):
        copy.carrier.has(sid)
    copy.carrier.has("CA1", call=True)
    assert (await copy.compare()).stopped == 1
    (review,) = await copy.reviews(lead)
    assert "1 text(s) and 1 call(s)" in str(review.reason)
    assert (await copy.clinic.state(lead)).state is State.PAUSED
    assert (await copy.compare()).stopped == 0
    assert len(await copy.reviews(lead)) == 1


async def test_a_call_to_a_coordinators_line_is_no_lost_inquiry(copy: Restored) -> None:
    store = copy.clinic.store
    async with store.engine.begin() as conn:
        await create_key(conn, store.vault, name="desk", role="coordinator", phone="+12025550143")
    copy.carrier.has("CA1", call=True, to="+12025550143")
    copy.carrier.has("CA2", call=True, to="+12125550177")
    assert (await copy.compare()).strangers == 1


async def test_a_claim_of_the_copy_is_looked_for_and_stops_nobody(copy: Restored) -> None:
    lead = await copy.clinic.inquire()
    await copy.send_first(lead, sid=None)
    copy.carrier.has("SM1")
    assert (await copy.compare()).stopped == 0
    copy.carrier.has("SM2")
    assert (await copy.compare()).stopped == 1


async def test_what_somebody_wrote_meanwhile_is_taken_in_once_and_in_order(copy: Restored) -> None:
    lead = await copy.clinic.inquire()
    copy.carrier.has("SM1", "What does it cost?", inbound=True)
    copy.carrier.has("SM2", "And when?", inbound=True)
    assert (await copy.compare()).replies == 2
    assert (await copy.compare()).replies == 0
    assert (await copy.clinic.state(lead)).state is State.RESTING
    async with copy.clinic.store.engine.connect() as conn:
        assert await conn.scalar(select(func.count()).select_from(messages)) == 2
        kept = (await conn.execute(select(messages.c.provider_id).order_by(messages.c.at, messages.c.id))).scalars()
        assert set(kept) == {"SM1:received", "SM2:received"}


async def test_a_stop_of_that_time_holds_and_is_not_confirmed_again(copy: Restored) -> None:
    lead = await copy.clinic.inquire()
    copy.carrier.has("SM1", "Stop", inbound=True)
    copy.carrier.has("SM2", "You are unsubscribed.")
    compared = await copy.compare()
    assert (compared.stops, compared.stopped) == (1, 0)
    state = await copy.clinic.state(lead)
    assert state.exit_reason is ExitReason.OPTED_OUT
    assert not any(touch.step == "stop" for touch in state.touches.values())


async def test_texts_to_nobody_tell_of_inquiries_that_are_lost(copy: Restored) -> None:
    copy.carrier.has("SM1", to="+12125550199")
    assert (await copy.compare()).strangers == 1


async def test_a_mail_that_fell_due_is_unknown_and_the_cadence_goes_on(copy: Restored) -> None:
    lead = await copy.clinic.inquire()
    await copy.send_first(lead, sid="SM1")
    assert (await copy.compare()).mails == 0
    assert (await copy.compare(timedelta(hours=3))).mails == 1
    state = await copy.clinic.state(lead)
    mails = {t.step: t.status for t in state.touches.values() if t.channel is Channel.EMAIL}
    assert mails == {"bio": TouchStatus.UNKNOWN}
    assert state.state is State.ACTIVE
    assert [r.reason for r in await copy.reviews(lead)] == ["unknown whether email of step bio went out"]
    assert (await copy.compare(timedelta(hours=3))).mails == 0


async def test_a_mail_of_a_lead_that_rested_was_not_sent(copy: Restored) -> None:
    lead = await copy.clinic.inquire()
    copy.carrier.has("SM1", "What does it cost?", inbound=True)
    assert (await copy.compare(timedelta(hours=3))).mails == 0
    assert (await copy.clinic.state(lead)).state is State.RESTING


async def test_nothing_is_told_to_temporal_but_what_waits(copy: Restored) -> None:
    """A comparison may be made while nobody delivers: what it appends wakes its leads later."""
    lead = await copy.clinic.inquire()
    await copy.send_first(lead, sid="SM1")
    copy.carrier.has("SM2")
    await copy.compare()
    async with copy.clinic.store.engine.begin() as conn:
        assert {entry.lead_id for entry in await outbox.take(conn, 10)} == {lead}
