"""Plans and tasks: asked at the activity's own time, answered in the workflow's."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from temporalio.testing import ActivityEnvironment

from activities import watch
from activities.plan import PlanActivities
from activities.plans import MOST_UPCOMING, to_plan
from domain.clock import Clock, Pace, virtual_clock
from domain.errors import ClocksApart
from domain.facts import ExitReason
from domain.foretell import Upcoming
from domain.next_action import Action, ExpireTask, Finish, OpenTask, Record, Touch, Wait
from domain.touches import Channel
from tests.activities.ports import LEAD, STARTED, FakeLedger, Stopwatch, view
from workflows import names
from workflows.messages import Do, DoRef, LeadRef, Plan

PRODUCT = datetime(2026, 3, 3, 15, 0, tzinfo=UTC)
FINISH = view(Finish(ExitReason.EXHAUSTED))
TASK = Do(kind="open_task", enrollment=2, step="call1", part="call")
EXPIRED = Do(kind="expire_task", task_id="T1")
TOUCH = Touch(1, "link", "only", Channel.SMS, "t1")


@pytest.fixture(autouse=True)
def _no_time_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "time", Stopwatch())


def environment() -> ActivityEnvironment:
    env = ActivityEnvironment()
    env.info = replace(env.info, started_time=STARTED)
    return env


async def carry_out(ledger: FakeLedger, kind: str, wall: datetime = STARTED) -> Plan:
    activities, env = PlanActivities(ledger, Clock(), lambda: wall), environment()
    match kind:
        case names.PLAN:
            return await env.run(activities.plan, LeadRef(lead_id=LEAD))
        case names.OPEN_TASK:
            return await env.run(activities.open_task, DoRef(lead_id=LEAD, do=TASK))
        case _:
            return await env.run(activities.expire_task, DoRef(lead_id=LEAD, do=EXPIRED))


@pytest.mark.parametrize("kind", [names.PLAN, names.OPEN_TASK, names.EXPIRE_TASK])
async def test_now_is_when_the_activity_started(kind: str) -> None:
    ledger = FakeLedger(FINISH)
    await carry_out(ledger, kind)
    assert ledger.asked == [(kind, STARTED)]


@pytest.mark.parametrize("kind", [names.PLAN, names.OPEN_TASK, names.EXPIRE_TASK])
async def test_where_temporals_clock_is_far_ahead_nothing_is_done(kind: str) -> None:
    ledger = FakeLedger(FINISH)
    with pytest.raises(ClocksApart, match="the clock of Temporal is 11 s ahead of this machine's"):
        await carry_out(ledger, kind, STARTED - timedelta(seconds=11))
    assert ledger.asked == []


async def test_a_little_ahead_it_says_when_the_work_began() -> None:
    ledger = FakeLedger(FINISH)
    await carry_out(ledger, names.PLAN, STARTED - timedelta(seconds=9))
    assert ledger.asked == [(names.PLAN, STARTED)]


async def test_a_task_is_named_to_the_ledger_and_the_answer_says_what_is_next() -> None:
    ledger = FakeLedger(FINISH)
    plans = [await carry_out(ledger, kind) for kind in (names.OPEN_TASK, names.EXPIRE_TASK)]
    assert ledger.tasks == [(LEAD, "2", "call1", "call"), (LEAD, "T1")]
    assert [(p.action, p.reason) for p in plans] == [("finish", "exhausted")] * 2


@pytest.mark.parametrize("pace", [1.0, 7.0, 360.0, 3600.0, 20000.0])
def test_a_wait_ends_in_real_time_never_early_and_at_once(pace: float) -> None:
    clock = virtual_clock(STARTED, PRODUCT, [Pace(pace, None)])
    for until in (PRODUCT + timedelta(seconds=s) for s in (0.000001, 1 / 3, 7200, 604800.123457)):
        real = to_plan(view(Wait(until, "next: link", TOUCH)), clock).until
        assert real is not None
        assert clock.product(real) >= until
        assert clock.product(real - timedelta(microseconds=1)) < until


@pytest.mark.parametrize(
    "action", [TOUCH, OpenTask(2, "call1", "call"), ExpireTask("T1")], ids=lambda a: type(a).__name__
)
def test_what_is_done_now_and_what_is_done_when_the_timer_rings_are_named_alike(action: Action) -> None:
    assert isinstance(action, Touch | OpenTask | ExpireTask)
    now = to_plan(view(action), Clock())
    later = to_plan(view(Wait(STARTED, "next", action)), Clock())
    assert (now.action, later.action) == ("do", "wait")
    assert now.do is not None
    assert now.do == later.do
    named = {"touch": TOUCH.touch_id, "open_task": "call1", "expire_task": "T1"}
    assert named[now.do.kind] in (now.do.touch_id, now.do.step, now.do.task_id)


def test_a_wait_for_a_signal_has_no_time() -> None:
    plan = to_plan(view(Wait(None, "resting: a reply")), Clock())
    assert (plan.until, plan.do, plan.reason) == (None, None, "resting: a reply")


def test_a_record_never_leaves_the_ledger() -> None:
    with pytest.raises(TypeError):
        to_plan(view(Record(())), Clock())


def test_what_is_told_ahead_is_short() -> None:
    many = tuple(Upcoming(f"step{n}", "only", Channel.SMS, "sms", STARTED, "") for n in range(40))
    whole = view(Wait(None, "next"))
    plan = to_plan(replace(whole, standing=replace(whole.standing, to_come=many)), Clock())
    assert [u.step for u in plan.upcoming] == [f"step{n}" for n in range(MOST_UPCOMING)]
