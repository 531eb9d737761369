"""What each answer of a channel comes to on the real ledger: the touch's status and rule, and whether it goes again."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities import watch as module
from activities.plans import to_do
from activities.touches import TouchActivities
from config.settings import Settings
from domain.clock import Clock, Pace, virtual_clock
from domain.lead_state import Touch
from domain.ledger import Claim, TouchRef
from domain.next_action import ExpireTask, OpenTask
from domain.next_action import Touch as TouchAction
from domain.ports import Accepted, ChannelError, OutcomeUnknown, Rejected, Remedy, Unavailable
from domain.retries import LONGEST_PAUSE, MOST_ATTEMPTS
from domain.touches import TouchStatus
from store.engine import Store
from store.lead_unit import Leads
from store.open_claims import CLAIM_LIVES
from store.touch_ledger import TouchLedger
from tests.activities.ports import FakeChannel, Stopwatch
from tests.workflows.world import COORDINATOR, UTC_TEN, take_in_one
from wire.keyring import KeyRing
from worker import make_ledger, open_book
from workflows.messages import Do, DoRef, Plan


class Clinic:
    """One lead whose first text is due, on a clock that stands at ten in the morning until told to go on."""

    def __init__(self, leads: Leads, ledger: TouchLedger, clock: Clock, real: datetime) -> None:
        self.leads, self.ledger, self.clock, self.real = leads, ledger, clock, real
        self.channel = FakeChannel(Stopwatch())
        self.lead, self.do = "", Do(kind="touch")

    async def begin(self) -> None:
        self.lead = (await take_in_one(self.leads, COORDINATOR)).lead_id
        view = await self.ledger.plan(self.lead, self.real)
        assert isinstance(view.action, TouchAction)
        self.do = to_do(view.action, view.priority)

    async def touch(self, attempt: int = 1) -> Plan:
        env = ActivityEnvironment()
        env.info = replace(env.info, started_time=self.real, attempt=attempt)
        activities = TouchActivities(
            self.ledger, self.clock, self.channel, self.channel, self.channel, lambda: self.real
        )
        return await env.run(activities.touch, DoRef(lead_id=self.lead, do=self.do))

    async def meanwhile(self) -> None:
        """Carries out what else has fallen due, as the workflow would."""
        while True:
            view = await self.ledger.plan(self.lead, self.real)
            match view.action:
                case OpenTask(enrollment, step, part):
                    await self.ledger.open_task(self.lead, enrollment, step, part, self.real)
                case ExpireTask(task):
                    await self.ledger.expire_task(self.lead, task, self.real)
                case TouchAction(enrollment, step, part, channel, identity) if identity != self.do.touch_id:
                    ref = TouchRef(self.lead, identity, enrollment, step, part, channel)
                    assert isinstance(await self.ledger.claim(ref, self.real), Claim)
                    await self.ledger.settle(ref, Accepted(identity), self.real)
                case _:
                    return

    async def confirm(self) -> Touch:
        async with self.leads.store.engine.connect() as conn:
            return (await self.leads.read(conn, self.lead)).touches[1, "confirm", "sms"]


@pytest_asyncio.fixture(loop_scope="session")
async def clinic(store: Store, keyring: KeyRing, monkeypatch: pytest.MonkeyPatch) -> Clinic:
    real = datetime.now(UTC)
    clock = virtual_clock(real, UTC_TEN, [Pace(1.0, None)])
    book = await open_book(store, clock)
    ledger = replace(make_ledger(Settings(_env_file=None), store, book, clock, keyring), measured=False)
    clinic = Clinic(Leads(store, book, lambda: UTC_TEN), ledger, clock, real)
    monkeypatch.setattr(module, "time", clinic.channel.watch)  # no time passes within an activity
    await clinic.begin()
    return clinic


@pytest.mark.parametrize("status", [TouchStatus.ACCEPTED, TouchStatus.DELIVERED])
async def test_accepted(clinic: Clinic, status: TouchStatus) -> None:
    clinic.channel.answer = Accepted("SM1", status)
    plan = await clinic.touch()
    assert plan.action == "wait"
    assert (await clinic.confirm()).status is status


@pytest.mark.parametrize(
    ("error", "status", "rule"),
    [
        (Rejected("no such number", "21211", Remedy.SUPPRESS), TouchStatus.FAILED, "carrier.suppress"),
        (Rejected("no balance", "20003", Remedy.ALERT), TouchStatus.DELAYED, "carrier.alert"),
        (Rejected("too long", "21617", Remedy.DROP), TouchStatus.FAILED, "carrier.drop"),
        (Rejected("handset away", "30003", Remedy.RETRY), TouchStatus.FAILED, "carrier.retry"),
        (Rejected("quiet hours", "30610", Remedy.RESCHEDULE), TouchStatus.DELAYED, "carrier.quiet_hours"),
        (OutcomeUnknown("cut", "E1"), TouchStatus.UNKNOWN, "carrier.unknown"),
    ],
    ids=lambda v: getattr(v, "remedy", type(v).__name__) if isinstance(v, ChannelError) else "",
)
async def test_refused_or_unknown(clinic: Clinic, error: ChannelError, status: TouchStatus, rule: str) -> None:
    clinic.channel.answer = error
    await clinic.touch()
    touch = await clinic.confirm()
    assert (touch.status, touch.rule, touch.code, touch.reason) == (status, rule, error.code, error.reason)
    if status is TouchStatus.DELAYED:
        assert touch.until is not None
        assert touch.until > UTC_TEN
    assert len(clinic.channel.sent) == 1


async def test_not_taken_is_put_off_ever_longer_and_then_failed(clinic: Clinic) -> None:
    clinic.channel.answer = Unavailable("busy", "20429", retry_after=5.0)
    began, pauses = clinic.real, []
    for _ in range(1, MOST_ATTEMPTS):
        await clinic.touch()
        touch = await clinic.confirm()
        assert (touch.status, touch.rule) == (TouchStatus.DELAYED, "channel.unavailable")
        assert touch.until is not None
        pauses.append((clinic.clock.real(touch.until) - clinic.real).total_seconds())
        clinic.real = clinic.clock.real(touch.until)
        await clinic.meanwhile()
    assert [round(pause) for pause in pauses[:4]] == [5, 5, 8, 16], "at least what the provider asked for"
    assert pauses[-1] == LONGEST_PAUSE
    assert pauses == sorted(pauses)
    assert timedelta(minutes=30) < clinic.real - began < timedelta(hours=2)
    await clinic.touch()
    touch = await clinic.confirm()
    assert (touch.status, touch.rule, touch.code) == (TouchStatus.FAILED, "channel.unavailable", "20429")
    assert len(clinic.channel.sent) == MOST_ATTEMPTS


async def test_not_taken_waits_where_a_touch_too_early_is_refused(clinic: Clinic) -> None:
    clinic.channel.answer = Unavailable("busy", "20429", retry_after=60.0)
    waits = (await clinic.touch()).until
    clinic.real += timedelta(seconds=59)
    again = await clinic.touch()
    assert (again.action, again.until) == ("wait", waits)
    assert len(clinic.channel.sent) == 1


async def test_a_worker_that_died_is_followed_by_a_look_after_the_claim_and_never_by_a_second_send(
    clinic: Clinic,
) -> None:
    clinic.channel.answer = ZeroDivisionError()
    with pytest.raises(ZeroDivisionError):
        await clinic.touch()
    clinic.channel.answer = Accepted("SM2")
    clinic.channel.listed = Accepted("SM1")
    clinic.real += timedelta(seconds=1)
    with pytest.raises(ApplicationError) as raised:
        await clinic.touch(2)
    wait = raised.value.next_retry_delay
    assert wait is not None
    assert timedelta(0) < wait <= CLAIM_LIVES
    assert clinic.channel.looked == []
    clinic.real += wait
    await clinic.touch(3)
    assert (await clinic.confirm()).status is TouchStatus.ACCEPTED
    assert (len(clinic.channel.sent), len(clinic.channel.looked)) == (1, 1)


async def test_what_a_look_finds_undelivered_says_why_and_has_its_second_try(clinic: Clinic) -> None:
    clinic.channel.answer = OutcomeUnknown("cut", "E1")
    await clinic.touch()
    clinic.channel.listed = Accepted("SM1", TouchStatus.UNDELIVERED, "30003", Remedy.RETRY)
    clinic.real += CLAIM_LIVES + timedelta(seconds=1)
    await clinic.meanwhile()
    await clinic.touch()
    async with clinic.leads.store.engine.connect() as conn:
        touches = (await clinic.leads.read(conn, clinic.lead)).touches
    touch, again = touches[1, "confirm", "sms"], touches[1, "confirm", "sms.retry1"]
    assert (touch.status, touch.code) == (TouchStatus.UNDELIVERED, "30003")
    assert touch.reason == "the carrier reports undelivered (30003)"
    assert again.status is TouchStatus.PLANNED


def test_a_claim_lives_15_seconds_at_most() -> None:
    assert timedelta(0) < CLAIM_LIVES <= timedelta(seconds=15)
