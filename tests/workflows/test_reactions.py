"""What happens to a lead changes what comes next: the production workflow on skipped time."""

from datetime import datetime, timedelta

from domain import facts as f
from domain.desk import rings
from domain.lead_state import STAFF, STOP, State
from domain.ledger import Claim, TouchRef
from domain.ports import OutcomeUnknown, Rejected, Remedy, TouchUpdate, Unavailable
from domain.touches import Channel, Disposition, TouchStatus, touch_id
from store.bookings import Booking
from store.click_to_call import Connected
from store.engine import Store
from tests.workflows.world import COORDINATOR, NEW_YORK, UTC_TEN, World, open_world
from wire.keyring import KeyRing

SLACK = timedelta(seconds=3)


def near(at: datetime, wanted: datetime) -> bool:
    return abs(at - wanted) <= SLACK


async def begin(world: World, **changes: object) -> str:
    """A lead whose confirmation has gone out."""
    lead = await world.inquire(**changes)
    await world.deliver()
    await world.until(lead, lambda s: len(s.touches) > 0 and s.enrollment is not None, "the first touch")
    return lead


async def book(world: World, lead: str, event: str, appointment: str = "A1", **more: object) -> None:
    await world.tick()
    await world.commands.booking(
        COORDINATOR,
        Booking(f.BookingEvent(event), appointment, occurred_at=world.time, lead_id=lead, **more),  # type: ignore[arg-type]
    )
    await world.deliver()


async def test_a_reply_rests_until_answered_and_goes_on_two_days_later(store: Store, keyring: KeyRing) -> None:
    async with open_world(store, keyring) as world:
        lead = await begin(world)
        await world.advance(minutes=30)
        await world.reply("Is this covered?")
        await world.until(lead, lambda s: s.rest is not None)
        await world.advance(days=3)
        assert world.sent("email") == []
        await world.commands.message(COORDINATOR, lead, Channel.SMS, "Yes, we will call you.")
        answered = await world.tick()
        await world.deliver()
        state = await world.until(
            lead, lambda s: any(t.step == STAFF and t.status is TouchStatus.ACCEPTED for t in s.touches.values())
        )
        assert [t.state for t in state.tasks.values() if t.kind is f.TaskKind.REPLY] == [f.TaskState.DONE]
        await world.advance(days=2, hours=1)
        state = await world.until(lead, lambda s: s.rest is None, "resumed")
        # 30 minutes of the first hour were left when the lead wrote
        await world.until(lead, lambda _: len(world.sent("email")) == 1, "the e-mail")
        assert near(world.sent("email")[0], answered + timedelta(days=2, minutes=30))


async def test_stop_ends_everything_with_one_confirmation(store: Store, keyring: KeyRing) -> None:
    async with open_world(store, keyring) as world:
        lead = await begin(world)
        relative = await begin(world, first_name="Ben")
        await world.reply("Stop!")
        state = await world.until(lead, lambda s: s.exit_reason is not None)
        for other in (lead, relative):
            stopped = await world.state(other)
            assert stopped.exit_reason is f.ExitReason.OPTED_OUT, other
            assert {Channel.SMS, Channel.VOICE} <= stopped.closed
        await world.until(lead, lambda _: len(world.sent("sms")) == 3, "the confirmation")
        await world.reply("STOP")
        assert await world.result(lead) == await world.result(relative) == "opted_out"
        await world.advance(days=9)
        confirmations = [t for s in (lead, relative) for t in (await world.state(s)).touches.values() if t.step == STOP]
        assert [t.status for t in confirmations] == [TouchStatus.ACCEPTED]
        assert len(world.sent("sms")) == 3 and world.sent("email") == []
        # a later lead with this number is taken in, but no machine writes to it
        later = await world.inquire(first_name="Cleo")
        await world.deliver()
        state = await world.until(later, lambda s: any(t.step == "confirm" for t in s.touches.values()))
        assert state.touches[1, "confirm", "sms"].rule == "stop.address"
        assert [t.kind for t in state.tasks.values()] == [f.TaskKind.REVIEW]
        assert len(world.sent("sms")) == 3


async def test_a_booking_ends_the_cadence_and_its_reminders_follow_the_appointment(
    store: Store, keyring: KeyRing
) -> None:
    async with open_world(store, keyring) as world:
        lead = await begin(world)
        starts = UTC_TEN + timedelta(days=3, hours=1)
        await book(world, lead, "booked", starts_at=starts, facility="main")
        state = await world.until(lead, lambda s: s.enrollment is not None and s.enrollment.sequence == "booked")
        await world.until(lead, lambda _: len(world.sent("sms")) == 2, "the booking's confirmation")
        moved = UTC_TEN + timedelta(days=5, hours=2)
        await book(world, lead, "rescheduled", starts_at=moved)
        await world.until(lead, lambda _: len(world.sent("sms")) == 3, "the new confirmation")
        await world.advance(days=5)
        await world.until(lead, lambda _: len(world.sent("sms")) == 5, "the reminders")
        assert near(world.sent("sms")[3], moved - timedelta(hours=24))
        assert near(world.sent("sms")[4], moved - timedelta(hours=2))
        await world.advance(hours=3)
        await book(world, lead, "no_show")
        state = await world.until(lead, lambda s: s.enrollment is not None and s.enrollment.sequence == "recovery")
        assert state.exit_reason is None
        await book(world, lead, "booked", "A2", starts_at=world.time + timedelta(days=2), facility="main")
        await world.until(lead, lambda s: s.enrollment is not None and s.enrollment.appointment_id == "A2")
        await book(world, lead, "arrived", "A2")
        await book(world, lead, "completed", "A2")
        assert await world.result(lead) == "converted"


async def test_a_cancellation_before_its_booking_is_kept(store: Store, keyring: KeyRing) -> None:
    async with open_world(store, keyring) as world:
        lead = await begin(world)
        later = world.time + timedelta(minutes=1)
        cancelled = Booking(f.BookingEvent.CANCELLED, "A1", occurred_at=later, lead_id=lead)
        booked = Booking(
            f.BookingEvent.BOOKED, "A1", occurred_at=world.time, lead_id=lead, starts_at=world.time + timedelta(days=1)
        )
        assert (await world.commands.booking(COORDINATOR, cancelled)).changed
        await world.commands.booking(COORDINATOR, booked)
        assert not (await world.commands.booking(COORDINATOR, booked)).changed
        state = await world.state(lead)
        assert state.appointments["A1"].status is f.AppointmentStatus.CANCELLED
        assert state.enrollment is not None and state.enrollment.sequence == "recovery"


async def test_pause_holds_and_resume_moves_what_was_left(store: Store, keyring: KeyRing) -> None:
    async with open_world(store, keyring) as world:
        lead = await begin(world)
        await world.advance(minutes=30)
        await world.commands.pause(COORDINATOR, lead, "on holiday", world.time + timedelta(days=1))
        await world.deliver()
        assert (await world.state(lead)).state is State.PAUSED
        await world.advance(hours=23)
        assert world.sent("email") == []
        await world.advance(hours=2)
        await world.until(lead, lambda _: len(world.sent("email")) == 1, "the e-mail, moved by a day")
        assert near(world.sent("email")[0], UTC_TEN + timedelta(days=1, hours=1))


async def test_catch_up_sends_what_is_overdue_at_a_distance_and_what_is_not_at_its_own_time(
    store: Store, keyring: KeyRing
) -> None:
    async with open_world(store, keyring) as world:
        lead = await begin(world)
        await world.advance(minutes=30)
        await world.commands.pause(COORDINATOR, lead, "on holiday", None)
        await world.deliver()
        await world.advance(days=2)
        await world.commands.resume(COORDINATOR, lead, "catch_up")
        resumed = await world.tick()
        await world.deliver()
        await world.until(lead, lambda _: len(world.sent("email")) == 1, "the e-mail")
        await world.advance(hours=3)
        await world.until(lead, lambda _: len(world.sent("sms")) == 2, "the link")
        await world.advance(days=1)
        await world.until(lead, lambda _: len(world.sent("email")) == 2, "the education")
        state = await world.state(lead)
        call = next(t for t in state.tasks.values() if t.step == "call2")
        assert near(world.sent("email")[0], resumed)
        assert near(call.opened_at, resumed + timedelta(minutes=30))
        assert near(world.sent("sms")[1], resumed + timedelta(hours=1))
        assert near(world.sent("email")[1], UTC_TEN + timedelta(days=3))


async def test_staff_can_skip_enroll_and_disqualify(store: Store, keyring: KeyRing) -> None:
    async with open_world(store, keyring) as world:
        lead = await begin(world)
        await world.advance(minutes=20)
        await world.commands.skip(COORDINATOR, lead)
        await world.deliver()
        await world.advance(hours=1)
        assert world.sent("email") == []  # the 1 h e-mail was next, and was skipped
        await world.tick()
        await world.commands.enroll(COORDINATOR, lead, "recovery", None)
        await world.deliver()
        await world.advance(minutes=31)
        await world.until(
            lead, lambda s: (2, "link", "sms") in s.touches or any(t.enrollment == 2 for t in s.touches.values())
        )
        await world.commands.disqualify(COORDINATOR, lead, "not a patient")
        await world.deliver()
        assert await world.result(lead) == "disqualified"


async def test_an_answered_call_rests_until_its_outcome(store: Store, keyring: KeyRing) -> None:
    async with open_world(store, keyring) as world:
        lead = await begin(world)
        await world.advance(minutes=3)
        state = await world.until(lead, lambda s: bool(s.tasks))
        task = next(iter(state.tasks.values()))
        await world.commands.claim_task(COORDINATOR, task.id)
        await world.commands.dial_task(COORDINATOR, task.id)
        await world.deliver()
        assert isinstance(await world.presses_1(lead), Connected)
        await world.until(lead, lambda _: len(world.sent("voice")) == 1, "the call to the desk")
        (_, call) = world.channels["voice"].sent[0]
        assert call.to == COORDINATOR.phone
        state = await world.state(lead)
        dial = next(t for t in state.touches.values() if t.task_id == task.id)
        answered = TouchUpdate(dial.touch_id, "CA1", TouchStatus.DELIVERED, disposition=Disposition.ANSWERED)
        assert await world.news.update(answered)
        assert not await world.news.update(answered)  # once
        await world.deliver()
        await world.until(lead, lambda s: s.rest is not None)
        await world.advance(hours=2)
        state = await world.state(lead)
        assert world.sent("email") == []  # rests although the 1 h e-mail was due
        assert state.tasks[task.id].state is f.TaskState.OPEN and state.tasks[task.id].escalation == 2
        await world.tick()
        await world.commands.claim_task(COORDINATOR, task.id)
        await world.commands.complete_task(COORDINATOR, task.id, outcome=f.Outcome.REACHED, notes="spoke")
        await world.deliver()
        state = await world.until(lead, lambda s: s.rest is None)
        await world.advance(hours=6)
        state = await world.state(lead)
        assert state.touches[1, "bio", "email"].rule == "when"  # only if the call was not answered


async def test_a_call_whose_end_nobody_told_is_looked_for_and_a_silent_desk_is_no_call(
    store: Store, keyring: KeyRing
) -> None:
    async with open_world(store, keyring) as world:
        lead = await begin(world)
        await world.advance(minutes=3)
        task = next(iter((await world.until(lead, lambda s: bool(s.tasks))).tasks))
        await world.commands.claim_task(COORDINATOR, task)
        await world.commands.dial_task(COORDINATOR, task)
        await world.deliver()
        await world.until(lead, lambda s: any(rings(t) for t in s.touches.values()), "the line rings")
        await world.advance(seconds=95)
        state = await world.until(lead, lambda s: s.tasks[task].disposition is not None, "nobody pressed a key")
        assert [t.rule for t in state.touches.values() if t.task_id] == ["desk.no_answer"]
        assert (state.tasks[task].state, state.tasks[task].disposition) == (f.TaskState.CLAIMED, Disposition.FAILED)
        await world.commands.dial_task(COORDINATOR, task)
        await world.deliver()
        assert isinstance(await world.presses_1(lead), Connected)
        dial = next(t for t in (await world.state(lead)).touches.values() if t.status is TouchStatus.CLAIMED)
        world.channels["voice"].listed.append(dial.touch_id)
        await world.advance(seconds=95)
        state = await world.until(
            lead, lambda s: any(t.status is TouchStatus.ACCEPTED and t.task_id for t in s.touches.values())
        )
        assert len(world.sent("voice")) == 2, "one call to the desk for each time it was dialled"


async def test_what_the_carrier_did_not_take_is_tried_again_and_what_is_unknown_never(
    store: Store, keyring: KeyRing
) -> None:
    async with open_world(store, keyring) as world:
        world.channels["sms"].answers = [Unavailable("busy", "20429", retry_after=0.1)] * 2
        lead = await begin(world)
        async with world.env.time_skipping_unlocked():
            await world.until(lead, lambda s: s.touches[1, "confirm", "sms"].status is TouchStatus.ACCEPTED)
        assert len(world.sent("sms")) == 1
        world.channels["sms"].answers = [OutcomeUnknown("cut")]
        other = await begin(world, first_name="Ben", phone="+12125550102", email=None)
        await world.until(other, lambda s: s.touches[1, "confirm", "sms"].status is TouchStatus.UNKNOWN)
        async with world.env.time_skipping_unlocked():
            state = await world.until(other, lambda s: s.touches[1, "confirm", "sms"].looks > 0)
        assert [t.kind for t in state.tasks.values() if t.step is None] == [f.TaskKind.REVIEW]
        world.channels["sms"].answers = [Rejected("no such number", "21211", Remedy.SUPPRESS)]
        third = await begin(world, first_name="Cleo", phone="+12125550103", email="cleo@example.com")
        state = await world.until(third, lambda s: Channel.SMS in s.closed)
        assert state.exit_reason is None and Channel.EMAIL not in state.closed
        assert len(world.sent("sms")) == 1


async def test_a_claim_whose_worker_died_is_looked_up_never_sent_again(store: Store, keyring: KeyRing) -> None:
    async with open_world(store, keyring) as world:
        lead = await world.inquire()
        ledger_touch = await _claim_and_die(world, lead)
        world.channels["sms"].listed = [ledger_touch]
        await world.deliver()
        async with world.env.time_skipping_unlocked():
            await world.until(lead, lambda s: s.touches[1, "confirm", "sms"].status is TouchStatus.ACCEPTED)
        assert world.sent("sms") == []
        lost = await world.inquire(first_name="Ben", phone="+12125550102")
        await _claim_and_die(world, lost)
        await world.deliver()
        async with world.env.time_skipping_unlocked():
            await world.until(lost, lambda s: s.touches[1, "confirm", "sms"].status is TouchStatus.UNKNOWN)
        assert len(world.sent("sms")) == 0


async def test_a_claim_whose_worker_died_before_its_request_is_made_anew_and_sent_once(
    store: Store, keyring: KeyRing
) -> None:
    async with open_world(store, keyring) as world:
        lead = await world.inquire()
        await _claim_and_die(world, lead, used=False)
        await world.deliver()
        async with world.env.time_skipping_unlocked():
            state = await world.until(lead, lambda s: s.touches[1, "confirm", "sms"].status is TouchStatus.ACCEPTED)
        assert len(world.sent("sms")) == 1
        assert not any(t.kind is f.TaskKind.REVIEW for t in state.tasks.values())


async def _claim_and_die(world: World, lead: str, *, used: bool = True) -> str:
    """What a worker killed between its claim and the answer leaves behind. `used`: it had begun to write."""
    identity = touch_id(lead, 1, "confirm", "sms")
    ref = TouchRef(lead, identity, 1, "confirm", "sms", Channel.SMS)
    claim = await world.ledger.claim(ref, await world.env.get_current_time())
    assert isinstance(claim, Claim) and claim.search is None
    if used:
        await world.ledger.begin(ref, claim, await world.env.get_current_time())
    return identity


async def test_a_reply_from_a_shared_number_is_assigned_by_a_person(store: Store, keyring: KeyRing) -> None:
    async with open_world(store, keyring) as world:
        ada = await begin(world)
        ben = await begin(world, first_name="Ben", zones=NEW_YORK)
        await world.reply("Can you call me?")
        states = [await world.until(i, lambda s: s.rest is not None) for i in (ada, ben)]
        tasks = [t for s in states for t in s.tasks.values()]
        assert [t.kind for t in tasks] == [f.TaskKind.REVIEW]
        assert set(tasks[0].candidates) == {ada, ben}
        await world.commands.complete_task(COORDINATOR, tasks[0].id, lead_id=ada)
        await world.deliver()
        state = await world.until(ada, lambda s: any(t.kind is f.TaskKind.REPLY for t in s.tasks.values()))
        assert state.rest is not None
        await world.until(ben, lambda s: s.rest is None)
