"""What holds a touch back though it may go out: a day's limit, taken lines, a provider that asked for patience."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.backpressure import Limits, next_day
from domain.clock import Pace, virtual_clock
from domain.ledger import Claim, TouchRef, View
from domain.next_action import OpenTask
from domain.ports import Accepted, InboundSms, OutcomeUnknown, Rejected, Remedy, Unavailable
from domain.priority import Priority
from domain.touches import Channel, Disposition, TouchStatus
from store import tables
from store.backpressure import Backpressure, HeldBack
from tests.store.test_click_to_call import COLLEAGUE, Dialled, dialled
from tests.store.test_rules import DESK, TEN, Clinic, clinic

__all__ = ["clinic"]  # the fixture
NOON = datetime(2026, 3, 2, 20, 0, tzinfo=UTC)  # in Los Angeles


async def texts(clinic: Clinic, count: int) -> list[TouchRef]:
    """The first texts of so many people, each with a phone of their own."""
    out = []
    for n in range(count):
        lead = await clinic.inquire(f"Test{'abcdefghij'[n]}", phone=f"+1212555{1000 + n}", email=None)
        out.append(await clinic.next_touch(lead))
    return out


def at_midnight(clinic: Clinic) -> datetime:
    """When the day changes next (real), which for the leads is an hour after ten, whatever the time is now."""
    midnight = next_day(datetime.now(UTC))
    clock = virtual_clock(midnight - timedelta(hours=1), TEN, [Pace(1.0, None)])
    clinic.ledger = replace(clinic.ledger, clock=clock)
    return midnight


def limited(clinic: Clinic, **limits: object) -> None:
    clinic.ledger = replace(clinic.ledger, backpressure=Backpressure(Limits(**limits)))  # type: ignore[arg-type]


async def waits(clinic: Clinic, ref: TouchRef) -> tuple[str | None, datetime]:
    """The rule, and until when (real)."""
    touch = (await clinic.state(ref.lead_id)).touches[1, "confirm", "sms"]
    assert touch.status is TouchStatus.DELAYED and touch.until is not None
    return touch.rule, clinic.ledger.clock.real(touch.until)


async def taken(clinic: Clinic) -> dict[str, int]:
    async with clinic.store.engine.connect() as conn:
        return {r.channel: r.taken for r in (await conn.execute(select(tables.day_counts))).all()}


async def by_day(clinic: Clinic) -> list[int]:
    """Counted texts, day by day."""
    async with clinic.store.engine.connect() as conn:
        days = tables.day_counts.c
        return list((await conn.execute(select(days.taken).order_by(days.day))).scalars())


# --- a day's limit ----------------------------------------------------------------------------------------------------


async def test_what_was_not_taken_gives_its_place_back_to_the_day_that_it_was_counted_on(clinic: Clinic) -> None:
    limited(clinic, per_day={Channel.SMS: 5})
    one, two = await texts(clinic, 2)
    midnight = at_midnight(clinic)
    before, after = midnight - timedelta(seconds=5), midnight + timedelta(seconds=3)
    claim = await clinic.ledger.claim(one, before)
    assert isinstance(claim, Claim)
    assert isinstance(await clinic.ledger.claim(two, after), Claim)
    assert await by_day(clinic) == [1, 1]
    await clinic.ledger.settle(one, Unavailable("no connection"), after, claim.deadline)
    assert await by_day(clinic) == [0, 1]


async def test_what_was_not_taken_gives_its_place_back_once_however_often_it_is_told(clinic: Clinic) -> None:
    limited(clinic, per_day={Channel.SMS: 5})
    one, two = await texts(clinic, 2)
    now = datetime.now(UTC)
    claim, other = await clinic.ledger.claim(one, now), await clinic.ledger.claim(two, now)
    assert isinstance(claim, Claim) and isinstance(other, Claim)
    for _ in range(2):  # the answer to the first commit was lost
        await clinic.ledger.settle(one, Unavailable("too many", code="429"), now, claim.deadline)
    assert await taken(clinic) == {"sms": 1}
    async with clinic.store.engine.connect() as conn:
        assert (await conn.execute(select(tables.brakes.c.waiting, tables.brakes.c.inquiries))).one() == (0, 1)


async def test_a_claim_that_is_made_anew_counts_once_and_on_the_day_of_the_new_one(clinic: Clinic) -> None:
    limited(clinic, per_day={Channel.SMS: 5})
    [one] = await texts(clinic, 1)
    midnight = at_midnight(clinic)
    assert isinstance(await clinic.ledger.claim(one, midnight - timedelta(seconds=5)), Claim)
    after = midnight + timedelta(seconds=3)
    view = await clinic.ledger.claim(one, after)
    if isinstance(view, View):  # its call has fallen due meanwhile
        assert isinstance(view.action, OpenTask)
        await clinic.ledger.open_task(one.lead_id, view.action.enrollment, view.action.step, view.action.part, after)
        assert isinstance(await clinic.ledger.claim(one, after), Claim)
    assert await by_day(clinic) == [0, 1]


async def test_what_is_more_than_a_days_limit_waits_for_the_next_day_and_says_so(clinic: Clinic) -> None:
    limited(clinic, per_day={Channel.SMS: 2})
    refs = await texts(clinic, 3)
    now = datetime.now(UTC)
    for ref in refs[:2]:
        assert isinstance(await clinic.ledger.claim(ref, now), Claim)
        await clinic.ledger.settle(ref, Accepted(ref.touch_id), now)
    assert isinstance(await clinic.ledger.claim(refs[2], now), View)
    rule, until = await waits(clinic, refs[2])
    assert rule == "cap.day"
    assert until >= next_day(now)
    assert await taken(clinic) == {"sms": 2}


async def test_a_place_that_its_holder_gives_back_is_taken_the_same_day(clinic: Clinic) -> None:
    limited(clinic, per_day={Channel.SMS: 2})
    refs, now = await texts(clinic, 3), datetime.now(UTC)
    claims = [await clinic.ledger.claim(ref, now) for ref in refs[:2]]
    assert isinstance(await clinic.ledger.claim(refs[2], now), View)
    rule, until = await waits(clinic, refs[2])
    assert rule == "cap.day"
    assert now < until < now + timedelta(minutes=1), "it is not known yet whether the two are taken"
    assert isinstance(claims[0], Claim)
    no_mobile = Rejected("no mobile number", "21614", Remedy.SUPPRESS)
    await clinic.ledger.settle(refs[0], no_mobile, now, claims[0].deadline)
    assert isinstance(await clinic.ledger.claim(refs[2], until), Claim)
    assert await taken(clinic) == {"sms": 2}


async def test_who_waits_for_such_a_place_in_vain_waits_for_the_next_day(clinic: Clinic) -> None:
    limited(clinic, per_day={Channel.SMS: 1})
    (one, two), now = await texts(clinic, 2), datetime.now(UTC)
    await clinic.ledger.claim(one, now)
    await clinic.ledger.claim(two, now)
    _, until = await waits(clinic, two)
    await clinic.ledger.settle(one, Accepted("SM1"), now)
    assert isinstance(await clinic.ledger.claim(two, until), View)
    assert (await waits(clinic, two))[1] >= next_day(now)


@pytest.mark.parametrize(
    ("result", "counts"),
    [
        (Unavailable("busy", "20429"), 0),
        (Rejected("no such number", "21211", Remedy.SUPPRESS_NUMBER), 0),
        (OutcomeUnknown("cut"), 1),
        (Accepted("SM1"), 1),
    ],
    ids=lambda r: type(r).__name__,
)
async def test_only_what_may_have_been_taken_counts(clinic: Clinic, result: object, counts: int) -> None:
    limited(clinic, per_day={Channel.SMS: 5})
    [ref] = await texts(clinic, 1)
    now = datetime.now(UTC)
    assert isinstance(await clinic.ledger.claim(ref, now), Claim)
    await clinic.ledger.settle(ref, result, now)  # type: ignore[arg-type]
    assert await taken(clinic) == {"sms": counts}


async def holds(
    bounds: Backpressure, conn: AsyncConnection, channel: Channel, priority: Priority, now: datetime
) -> HeldBack | None:
    brake = await conn.scalar(select(tables.brakes.c.until).where(tables.brakes.c.channel == channel.value))
    return await bounds.holds(conn, channel, priority, now, brake)


async def test_imports_leave_some_of_the_day_to_those_who_have_just_asked(clinic: Clinic) -> None:
    bounds = Backpressure(Limits(per_day={Channel.SMS: 5}))
    async with clinic.store.engine.begin() as conn:
        imported = [await holds(bounds, conn, Channel.SMS, Priority.IMPORTED, NOON) for _ in range(5)]
        asked = [await holds(bounds, conn, Channel.SMS, Priority.INQUIRY, NOON) for _ in range(2)]
    assert [held is None for held in imported] == [True] * 4 + [False]
    assert [held is None for held in asked] == [True, False]


async def test_they_get_one_at_the_least(clinic: Clinic) -> None:
    bounds = Backpressure(Limits(per_day={Channel.SMS: 1}))
    async with clinic.store.engine.begin() as conn:
        held = [await holds(bounds, conn, Channel.SMS, Priority.IMPORTED, NOON) for _ in range(2)]
    assert [one is None for one in held] == [True, False]


async def test_each_day_and_channel_counts_for_itself(clinic: Clinic) -> None:
    bounds = Backpressure(Limits(per_day={Channel.SMS: 1, Channel.EMAIL: 1}))
    async with clinic.store.engine.begin() as conn:
        assert await holds(bounds, conn, Channel.SMS, Priority.CADENCE, NOON) is None
        held = await holds(bounds, conn, Channel.SMS, Priority.CADENCE, NOON)
        assert held is not None
        assert held.until == datetime(2026, 3, 3, 8, 0, tzinfo=UTC), "midnight in Los Angeles"
        assert await holds(bounds, conn, Channel.EMAIL, Priority.CADENCE, NOON) is None
        assert await holds(bounds, conn, Channel.SMS, Priority.CADENCE, held.until) is None
        assert await holds(bounds, conn, Channel.VOICE, Priority.CADENCE, NOON) is None, "no limit"


# --- lines ------------------------------------------------------------------------------------------------------------


async def test_a_call_waits_for_a_free_line(clinic: Clinic) -> None:
    limited(clinic, calls=1)
    refs, now = [], datetime.now(UTC)
    for n in range(2):
        lead = await clinic.inquire(f"Test{'ab'[n]}", phone=f"+1212555{2000 + n}", email=None)
        later = now + timedelta(minutes=3)
        first = await clinic.next_touch(lead)
        await clinic.ledger.claim(first, now)
        await clinic.ledger.settle(first, Accepted(first.touch_id), now)
        view = await clinic.ledger.plan(lead, later)
        assert isinstance(view.action, OpenTask)
        await clinic.ledger.open_task(lead, 1, view.action.step, view.action.part, later)
        [task] = (await clinic.state(lead)).tasks.values()
        await clinic.commands.claim_task(DESK, task.id)
        await clinic.commands.dial_task(DESK, task.id)
        refs.append(await clinic.next_touch(lead))
    assert {ref.channel for ref in refs} == {Channel.VOICE}
    assert isinstance(await clinic.ledger.claim(refs[0], now), Claim)
    assert isinstance(await clinic.ledger.claim(refs[1], now), View)
    held = (await clinic.state(refs[1].lead_id)).touches[1, refs[1].step, refs[1].part]
    assert (held.rule, held.reason) == ("cap.calls", "all lines are taken (1)")
    await clinic.ledger.rang(refs[0], Rejected("no such number", "21211"), now)
    later = clinic.ledger.clock.real(held.until) if held.until else now
    assert isinstance(await clinic.ledger.claim(refs[1], later), Claim)


@pytest.mark.parametrize("ended", [False, True])
async def test_a_line_that_rings_on_after_its_task_left_the_hand_is_taken(clinic: Clinic, ended: bool) -> None:
    limited(clinic, calls=1)
    call = await dialled(clinic)
    await call.ring()
    await clinic.ledger.rang(call.ref, Accepted("CA1"), call.now)
    await clinic.commands.release_task(DESK, call.task)
    await clinic.commands.claim_task(COLLEAGUE, call.task)
    await clinic.commands.dial_task(COLLEAGUE, call.task)
    theirs = Dialled(clinic, await clinic.next_touch(call.ref.lead_id), call.task)
    assert isinstance(await theirs.ring(), View)
    assert (await theirs.touch()).rule == "cap.calls"
    if ended:
        assert not await call.ended(Disposition.NO_ANSWER)
    assert isinstance(await theirs.ring(timedelta(seconds=40 if ended else 120)), Claim)


async def test_a_call_whose_line_nobody_knows_takes_no_place_of_the_day(clinic: Clinic) -> None:
    limited(clinic, per_day={Channel.VOICE: 5})
    call = await dialled(clinic)
    async with clinic.store.engine.begin() as conn:
        await conn.execute(update(tables.touches).values(line=None))
    assert isinstance(await call.ring(), View)
    assert (await call.touch()).rule == "desk.no_line"
    assert await taken(clinic) == {"voice": 0}


# --- a provider that asked for patience -------------------------------------------------------------------------------


async def test_after_too_many_requests_nothing_of_the_channel_goes_and_all_come_back_one_by_one(clinic: Clinic) -> None:
    refs = await texts(clinic, 5)
    now = datetime.now(UTC)
    assert isinstance(await clinic.ledger.claim(refs[0], now), Claim)
    await clinic.ledger.settle(refs[0], Unavailable("busy", "20429", retry_after=10.0), now)
    for ref in refs[1:]:
        assert isinstance(await clinic.ledger.claim(ref, now), View)
    back = [await waits(clinic, ref) for ref in refs]
    assert {rule for rule, _ in back} == {"channel.unavailable", "channel.busy"}
    times = [at for _, at in back]
    assert times == sorted(times) and len(set(times)) == len(times)
    assert all(at >= now + timedelta(seconds=10) for at in times)
    for ref, at in zip(refs, times, strict=True):
        assert isinstance(await clinic.ledger.claim(ref, at), Claim)


async def test_a_provider_that_cannot_be_reached_holds_back_nobody_else(clinic: Clinic) -> None:
    refs = await texts(clinic, 2)
    now = datetime.now(UTC)
    await clinic.ledger.claim(refs[0], now)
    await clinic.ledger.settle(refs[0], Unavailable("away"), now)
    assert isinstance(await clinic.ledger.claim(refs[1], now), Claim)


async def test_those_who_have_just_asked_come_back_before_a_list_and_closer_together(clinic: Clinic) -> None:
    bounds, now = Backpressure(Limits(per_second={Channel.SMS: 2.0})), datetime.now(UTC)
    until = now + timedelta(seconds=30)
    async with clinic.store.engine.begin() as conn:
        await bounds.patience(conn, Channel.SMS, until)
        slow = [await holds(bounds, conn, Channel.SMS, Priority.IMPORTED, now) for _ in range(3)]
        fast = [await holds(bounds, conn, Channel.SMS, Priority.INQUIRY, now) for _ in range(2)]
        slow += [await holds(bounds, conn, Channel.SMS, Priority.CADENCE, now)]
    assert [held.until - until for held in slow if held] == [timedelta(seconds=s) for s in (0.0, 0.5, 1.0, 2.5)]
    assert [held.until - until for held in fast if held] == [timedelta(seconds=s) for s in (0.0, 0.1)]


async def test_patience_that_is_over_begins_anew(clinic: Clinic) -> None:
    bounds, now = Backpressure(), datetime.now(UTC)
    async with clinic.store.engine.begin() as conn:
        await bounds.patience(conn, Channel.SMS, now + timedelta(seconds=30))
        first = await holds(bounds, conn, Channel.SMS, Priority.CADENCE, now)
        await bounds.patience(conn, Channel.SMS, now + timedelta(seconds=10))
        second = await holds(bounds, conn, Channel.SMS, Priority.CADENCE, now)
        assert first is not None and second is not None
        assert second.until > first.until, "a shorter wish does not shorten a longer one"
        await conn.execute(update(tables.brakes).values(until=now - timedelta(seconds=1)))
        assert await holds(bounds, conn, Channel.SMS, Priority.CADENCE, now) is None
        await bounds.patience(conn, Channel.SMS, now + timedelta(seconds=30))
        third = await holds(bounds, conn, Channel.SMS, Priority.CADENCE, now)
        assert third is not None and third.until == first.until


async def test_a_stop_is_not_confirmed_on_a_full_day_and_it_is_said_at_once(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    noon_here = timezone(timedelta(hours=12 - datetime.now(UTC).hour))  # the next day is not near, whenever this runs
    monkeypatch.setattr("domain.backpressure._DAY_IN", noon_here)
    limited(clinic, per_day={Channel.SMS: 1})
    first, other = await texts(clinic, 2)
    assert isinstance(await clinic.ledger.claim(first, datetime.now(UTC)), Claim)
    await clinic.ledger.settle(first, Accepted("SM0"), datetime.now(UTC))
    await clinic.inbound.reply(InboundSms("SM1", "+12125551001", "+15005550006", "STOP"))
    ref = await clinic.next_touch(other.lead_id)
    view = await clinic.ledger.claim(ref, datetime.now(UTC))
    assert isinstance(view, View)
    (confirmation,) = (t for t in (await clinic.state(other.lead_id)).touches.values() if t.step == "stop")
    assert (confirmation.status, confirmation.rule) == (TouchStatus.SKIPPED, "stop.confirmation_late")
    assert "the day's limit of 1" in str(confirmation.reason)


async def test_a_confirmation_that_was_claimed_and_never_used_is_left_out_once_it_is_late(clinic: Clinic) -> None:
    (ref,) = await texts(clinic, 1)
    await clinic.inbound.reply(InboundSms("SM1", "+12125551000", "+15005550006", "STOP"))
    confirm, now = await clinic.next_touch(ref.lead_id), datetime.now(UTC)
    assert isinstance(await clinic.ledger.claim(confirm, now), Claim)
    assert isinstance(await clinic.ledger.claim(confirm, now + timedelta(minutes=6)), View)
    (touch,) = (t for t in (await clinic.state(ref.lead_id)).touches.values() if t.step == "stop")
    assert (touch.status, touch.rule) == (TouchStatus.SKIPPED, "stop.confirmation_late")
