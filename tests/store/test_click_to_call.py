"""The key pressed at a coordinator's line: the gate and the claim, once; and lines that stay silent."""

import asyncio
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from domain import facts as f
from domain.access import Actor, Role
from domain.desk import WAITS, rings
from domain.errors import Refused
from domain.lead_state import Touch
from domain.ledger import Claim, TouchRef, View
from domain.next_action import OpenTask, Wait
from domain.ports import (
    Accepted,
    Call,
    DeskCallEnded,
    HeardMachine,
    OutcomeUnknown,
    Rejected,
    Remedy,
    TouchUpdate,
    Unavailable,
    Unseen,
)
from domain.touches import Channel, Disposition, TouchStatus
from store import home, tables
from store.click_to_call import OVER, ClickToCall, Connected, NotConnected
from store.open_claims import CLAIM_LIVES
from tests.store.test_rules import DESK, Clinic, clinic

__all__ = ["clinic"]  # the fixture
LEAD_PHONE = "+12125550101"
COLLEAGUE = Actor(str(uuid.uuid4()), "colleague", Role.COORDINATOR, phone="+12025550144")


class Dialled:
    """A lead whose call somebody has dialled."""

    def __init__(self, clinic: Clinic, ref: TouchRef, task: str) -> None:
        self.clinic, self.ref, self.task = clinic, ref, task
        self.now = datetime.now(UTC) + timedelta(minutes=3)  # as its task was opened

    async def touch(self) -> Touch:
        return (await self.clinic.state(self.ref.lead_id)).touches[self.ref.enrollment, self.ref.step, self.ref.part]

    async def row(self) -> dict[str, object]:
        table = tables.touches
        async with self.clinic.store.engine.connect() as conn:
            return dict((await conn.execute(select(table).where(table.c.id == self.ref.touch_id))).mappings().one())

    async def held(self) -> f.TaskState:
        return (await self.clinic.state(self.ref.lead_id)).tasks[self.task].state

    async def ring(self, after: timedelta = timedelta(0)) -> Claim | View:
        return await self.clinic.ledger.claim(self.ref, self.now + after)

    async def press(self, leg: str = "CA1") -> Connected | NotConnected:
        return await self.clinic.click_to_call.connect(self.ref.touch_id, leg)

    async def ended(self, how: Disposition, leg: str = "CA1") -> bool:
        return await self.clinic.click_to_call.leg_ended(DeskCallEnded(self.ref.touch_id, leg, how))

    async def told(self, status: TouchStatus, disposition: Disposition | None = None) -> bool:
        update = TouchUpdate(self.ref.touch_id, "CA2", status, disposition=disposition)
        return await self.clinic.news.update(update)


async def dialled(clinic: Clinic, **who: str) -> Dialled:
    lead, later = await clinic.inquire(**who), datetime.now(UTC) + timedelta(minutes=3)
    first = await clinic.next_touch(lead)
    await clinic.ledger.claim(first, datetime.now(UTC))
    await clinic.ledger.settle(first, Accepted(first.touch_id), datetime.now(UTC))
    action = (await clinic.ledger.plan(lead, later)).action
    assert isinstance(action, OpenTask)
    await clinic.ledger.open_task(lead, action.enrollment, action.step, action.part, later)
    (task,) = (await clinic.state(lead)).tasks
    await clinic.commands.claim_task(DESK, task)
    await clinic.commands.dial_task(DESK, task)
    return Dialled(clinic, await clinic.next_touch(lead), task)


# --- the coordinator's line -------------------------------------------------------------------------------------------


async def test_the_line_of_who_dialled_rings_and_nothing_is_claimed_yet(clinic: Clinic) -> None:
    call = await dialled(clinic)
    claim = await call.ring()
    assert isinstance(claim, Claim)
    assert claim.message == Call(call.ref.touch_id, DESK.phone or "")
    assert claim.search is None
    touch, row = await call.touch(), await call.row()
    assert (touch.status, touch.rule, touch.claimed_at) == (TouchStatus.DELAYED, "desk.rings", None)
    assert (row["claimed_at"], row["attempts"]) == (None, 1)
    assert row["leg_at"] is not None
    assert b"5550143" not in bytes(row["line"])  # type: ignore[call-overload]
    await clinic.ledger.rang(call.ref, Accepted("CA1"), call.now)
    assert (await call.row())["leg_id"] == "CA1"
    assert (await call.touch()).status is TouchStatus.DELAYED


async def test_the_line_is_called_once_whatever_becomes_of_the_request(clinic: Clinic) -> None:
    call = await dialled(clinic)
    assert isinstance(await call.ring(), Claim)
    await clinic.ledger.rang(call.ref, OutcomeUnknown("cut"), call.now)
    view = await call.ring(timedelta(seconds=20))  # the worker died before it had written anything, and tries again
    assert isinstance(view, View) and isinstance(view.action, Wait)
    assert isinstance(await call.press("CA9"), Connected), "it rang after all"


async def test_a_line_of_which_nothing_is_heard_ends_with_its_time(clinic: Clinic) -> None:
    call = await dialled(clinic)
    await call.ring()
    await clinic.ledger.plan(call.ref.lead_id, call.now + WAITS - timedelta(seconds=1))
    assert rings(await call.touch())
    await clinic.ledger.plan(call.ref.lead_id, call.now + WAITS + timedelta(seconds=1))
    touch = await call.touch()
    assert (touch.status, touch.rule) == (TouchStatus.FAILED, "desk.no_answer")
    assert await call.press() == OVER
    assert await call.held() is f.TaskState.CLAIMED
    await clinic.commands.dial_task(DESK, call.task)  # and can be dialled again


@pytest.mark.parametrize(
    ("how", "rule"),
    [
        (Disposition.NO_ANSWER, "desk.no_answer"),
        (Disposition.BUSY, "desk.busy"),
        (Disposition.FAILED, "desk.failed"),
        (Disposition.ANSWERED, "desk.no_key"),
    ],
)
async def test_a_line_that_brings_no_key_fails_the_call_and_keeps_the_task(
    clinic: Clinic, how: Disposition, rule: str
) -> None:
    call = await dialled(clinic)
    await call.ring()
    assert await call.ended(how)
    assert not await call.ended(how), "told once"
    touch = await call.touch()
    assert (touch.status, touch.rule) == (TouchStatus.FAILED, rule)
    state = await clinic.state(call.ref.lead_id)
    assert (state.tasks[call.task].state, state.tasks[call.task].disposition) == (
        f.TaskState.CLAIMED,
        Disposition.FAILED,
    )
    assert await call.press() == OVER
    await clinic.commands.release_task(DESK, call.task)
    assert (await clinic.state(call.ref.lead_id)).tasks[call.task].claim_by is not None, "it can be missed like any"


async def test_the_end_of_another_call_changes_nothing(clinic: Clinic) -> None:
    call = await dialled(clinic)
    await call.ring()
    await clinic.ledger.rang(call.ref, Accepted("CA1"), call.now)
    assert not await call.ended(Disposition.NO_ANSWER, "CA7")
    assert isinstance(await call.press("CA1"), Connected)
    assert not await call.ended(Disposition.ANSWERED), "the coordinator hung up after the call"
    assert (await call.touch()).status is TouchStatus.CLAIMED


@pytest.mark.parametrize(
    ("result", "status", "rule"),
    [
        (Unavailable("away"), TouchStatus.DELAYED, "channel.unavailable"),
        (Rejected("no balance", "20003", Remedy.ALERT), TouchStatus.DELAYED, "carrier.alert"),
        (Rejected("no such number", "21211", Remedy.SUPPRESS_NUMBER), TouchStatus.FAILED, "desk.refused"),
    ],
    ids=lambda r: getattr(r, "remedy", type(r).__name__),
)
async def test_what_the_carrier_says_of_the_coordinators_line_is_nothing_of_the_leads(
    clinic: Clinic, result: Unavailable | Rejected, status: TouchStatus, rule: str
) -> None:
    call = await dialled(clinic)
    await call.ring()
    await clinic.ledger.rang(call.ref, result, call.now)
    touch = await call.touch()
    assert (touch.status, touch.rule) == (status, rule)
    assert (await clinic.state(call.ref.lead_id)).closed == frozenset()
    assert await call.held() is f.TaskState.CLAIMED


async def test_who_dialled_before_lines_were_kept_dials_again(clinic: Clinic) -> None:
    call = await dialled(clinic)
    async with clinic.store.engine.begin() as conn:
        await conn.execute(tables.touches.update().values(line=None))
    assert isinstance(await call.ring(), View)
    assert (await call.touch()).rule == "desk.no_line"


# --- the key ----------------------------------------------------------------------------------------------------------


async def test_the_key_claims_the_call_for_the_lead_and_the_lease_counts_anew(clinic: Clinic) -> None:
    call = await dialled(clinic)
    await call.ring()
    before = (await clinic.state(call.ref.lead_id)).tasks[call.task].lease_until
    answer = await call.press()
    assert isinstance(answer, Connected)
    assert answer.number == LEAD_PHONE
    assert LEAD_PHONE not in repr(answer)
    touch, row = await call.touch(), await call.row()
    assert touch.status is TouchStatus.CLAIMED
    assert row["leg_id"] == "CA1"
    assert row["deadline"] - row["claimed_at"] == CLAIM_LIVES  # type: ignore[operator]
    after = (await clinic.state(call.ref.lead_id)).tasks[call.task].lease_until
    assert before is not None and after is not None
    assert after > before


async def test_the_same_request_again_is_answered_alike_and_any_other_hears_that_it_is_over(clinic: Clinic) -> None:
    call = await dialled(clinic)
    await call.ring()
    answers = await asyncio.gather(*(call.press() for _ in range(4)))
    assert {type(a) for a in answers} == {Connected}
    assert await call.press("CA7") == OVER
    assert (await history(call)).count(TouchStatus.CLAIMED) == 1
    late = ClickToCall(clinic.leads, lambda: datetime.now(UTC) + CLAIM_LIVES)
    assert await late.connect(call.ref.touch_id, "CA1") == OVER, "by now it is looked for"
    assert isinstance(await call.press(), Connected)
    await call.told(TouchStatus.ACCEPTED)
    assert await call.press() == OVER, "the lead's phone rings: the answer has reached the carrier"


async def test_two_lines_at_once_are_one_claim(clinic: Clinic) -> None:
    call = await dialled(clinic)
    await call.ring()
    answers = await asyncio.gather(*(call.press(f"CA{n}") for n in range(1, 5)))
    assert sorted(type(a).__name__ for a in answers) == ["Connected", *["NotConnected"] * 3]


@pytest.mark.parametrize("touch_id", ["8d1f2a34-0000-4000-8000-000000000001", "no-id-of-ours"])
async def test_a_touch_of_nobody_is_over(clinic: Clinic, touch_id: str) -> None:
    assert await clinic.click_to_call.connect(touch_id, "CA1") == OVER
    assert not await clinic.click_to_call.leg_ended(DeskCallEnded(touch_id, "CA1", Disposition.BUSY))
    assert not await clinic.news.heard_machine(HeardMachine(touch_id, "CA2"))


async def test_from_a_database_that_was_put_back_nobody_is_dialled(clinic: Clinic) -> None:
    call = await dialled(clinic)
    await call.ring()
    async with clinic.store.engine.begin() as conn:
        await home.put_back(conn)
    assert await call.press() == OVER
    assert rings(await call.touch())


async def test_a_stop_between_dialling_and_the_key_shuts_the_gate(clinic: Clinic) -> None:
    call = await dialled(clinic)
    await call.ring()
    applied = await clinic.commands.opt_out(DESK, call.ref.lead_id, (Channel.VOICE,))
    assert applied.in_flight == [], "the coordinator's line is no touch of the lead"
    assert await call.press() == NotConnected("stop.opted_out")
    touch = await call.touch()
    assert (touch.status, touch.rule) == (TouchStatus.SKIPPED, "stop.opted_out")
    assert await call.press() == NotConnected("stop.opted_out"), "nobody is told to dial once more"


async def test_a_stop_after_the_key_names_the_call_in_flight(clinic: Clinic) -> None:
    call = await dialled(clinic)
    await call.ring()
    await call.press()
    applied = await clinic.commands.opt_out(DESK, call.ref.lead_id, (Channel.VOICE,))
    assert applied.in_flight == [call.ref.touch_id]


async def test_a_task_that_is_over_dials_nobody(clinic: Clinic) -> None:
    call = await dialled(clinic)
    await call.ring()
    await clinic.commands.complete_task(DESK, call.task, disposition=Disposition.BUSY)
    assert await call.press() == NotConnected("task.over")
    assert (await call.touch()).rule == "task.over"


async def test_a_task_given_back_dials_nobody(clinic: Clinic) -> None:
    call = await dialled(clinic)
    await call.ring()
    await clinic.commands.release_task(DESK, call.task)
    assert await call.press() == NotConnected("task.over")


@pytest.mark.parametrize("pressed", ["before the claim", "after the claim", "after the dial"])
async def test_who_gave_a_task_back_is_not_connected_on_the_task_of_who_took_it(clinic: Clinic, pressed: str) -> None:
    call = await dialled(clinic)
    await call.ring()
    await clinic.ledger.rang(call.ref, Accepted("CA1"), call.now)
    await clinic.commands.release_task(DESK, call.task)
    if pressed == "before the claim":
        assert await call.press() == NotConnected("task.over")
    await clinic.commands.claim_task(COLLEAGUE, call.task)
    lease = (await clinic.state(call.ref.lead_id)).tasks[call.task].lease_until
    if pressed == "after the claim":
        assert await call.press() == NotConnected("task.over")
    await clinic.commands.dial_task(COLLEAGUE, call.task)
    theirs = Dialled(clinic, await clinic.next_touch(call.ref.lead_id), call.task)
    assert theirs.ref.touch_id != call.ref.touch_id
    ringing = await theirs.ring()
    assert isinstance(ringing, Claim)
    assert ringing.message == Call(theirs.ref.touch_id, COLLEAGUE.phone or "")
    assert await call.press() == NotConnected("task.over"), "and hears why"
    assert (await clinic.state(call.ref.lead_id)).tasks[call.task].lease_until == lease
    assert not await call.ended(Disposition.ANSWERED), "whose line it was hangs up"
    assert await theirs.press("CA7") == Connected(LEAD_PHONE)
    assert TouchStatus.CLAIMED not in await history(call)


async def test_a_call_that_waits_does_not_ring_the_line_of_who_gave_its_task_back(clinic: Clinic) -> None:
    call = await dialled(clinic)
    await call.ring()
    await clinic.ledger.rang(call.ref, Unavailable("too many", retry_after=60), call.now)
    await clinic.commands.release_task(DESK, call.task)
    await clinic.commands.claim_task(COLLEAGUE, call.task)
    assert isinstance(await call.ring(timedelta(minutes=2)), View)
    assert ((await call.touch()).status, (await call.touch()).rule) == (TouchStatus.SKIPPED, "task.over")


async def test_while_the_leads_phone_rings_who_took_the_task_does_not_dial(clinic: Clinic) -> None:
    call = await dialled(clinic)
    await call.ring()
    assert isinstance(await call.press(), Connected)
    await clinic.commands.release_task(DESK, call.task)
    await clinic.commands.claim_task(COLLEAGUE, call.task)
    with pytest.raises(Refused, match="on its way"):
        await clinic.commands.dial_task(COLLEAGUE, call.task)
    assert (await call.touch()).status is TouchStatus.CLAIMED


async def test_no_two_calls_to_one_number_at_once(clinic: Clinic) -> None:
    first = await dialled(clinic, first_name="Ada", email="ada@example.com")
    second = await dialled(clinic, first_name="Ben", email="ben@example.com")
    await first.ring()
    await second.ring()
    assert isinstance(await first.press(), Connected)
    assert await second.press("CA8") == NotConnected("claim.open")
    assert (await second.touch()).status is TouchStatus.FAILED
    assert await second.held() is f.TaskState.CLAIMED


# --- how it ends ------------------------------------------------------------------------------------------------------


async def test_the_leads_call_settles_the_touch(clinic: Clinic) -> None:
    call = await dialled(clinic)
    await call.ring()
    await call.press()
    for _ in ("initiated", "ringing", "in-progress"):
        await call.told(TouchStatus.ACCEPTED)
    assert (await call.touch()).status is TouchStatus.ACCEPTED
    assert (await call.row())["provider_id"] == "CA2"
    await call.told(TouchStatus.DELIVERED)  # by the coordinator's call, which knows not by whom
    assert await call.held() is f.TaskState.CLAIMED
    await call.told(TouchStatus.DELIVERED, Disposition.ANSWERED)
    state = await clinic.state(call.ref.lead_id)
    assert state.tasks[call.task].disposition is Disposition.ANSWERED
    assert (await call.touch()).status is TouchStatus.DELIVERED


async def test_a_machine_that_was_heard_meanwhile_makes_it_a_voicemail(clinic: Clinic) -> None:
    call = await dialled(clinic)
    await call.ring()
    await call.press()
    heard = HeardMachine(call.ref.touch_id, "CA2")
    assert await clinic.news.heard_machine(heard)
    assert not await clinic.news.heard_machine(heard)
    assert await call.held() is f.TaskState.CLAIMED, "while they talk nothing is decided"
    await call.told(TouchStatus.DELIVERED, Disposition.ANSWERED)
    state = await clinic.state(call.ref.lead_id)
    assert (state.tasks[call.task].state, state.tasks[call.task].disposition) == (
        f.TaskState.DONE,
        Disposition.VOICEMAIL,
    )


async def test_a_claim_that_nobody_settled_is_looked_for_within_the_coordinators_call(clinic: Clinic) -> None:
    call = await dialled(clinic)
    await call.ring()
    await call.press()
    later = call.now + WAITS + timedelta(seconds=1)
    claim = await clinic.ledger.claim(call.ref, later)
    assert isinstance(claim, Claim) and claim.search is not None
    assert claim.message == Call(call.ref.touch_id, LEAD_PHONE)
    assert claim.search.child_of == "CA1"
    await clinic.ledger.settle(call.ref, Unseen("not there"), later)
    touch = await call.touch()
    assert (touch.status, touch.looks) == (TouchStatus.UNKNOWN, 1)
    state = await clinic.state(call.ref.lead_id)
    assert [t.kind for t in state.tasks.values() if t.id != call.task] == [f.TaskKind.REVIEW]
    await clinic.ledger.settle(call.ref, Accepted("CA2"), later)
    assert (await call.touch()).status is TouchStatus.ACCEPTED


async def history(call: Dialled) -> list[TouchStatus]:
    async with call.clinic.store.engine.connect() as conn:
        records = await call.clinic.leads.records(conn, call.ref.lead_id)
    changes = [r.fact for r in records if isinstance(r.fact, f.TouchChanged)]
    return [change.status for change in changes if change.touch_id == call.ref.touch_id]
