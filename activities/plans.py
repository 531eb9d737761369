"""Turns what the ledger found (product time) into what the workflow obeys (its own, real time)."""

from datetime import timedelta
from typing import assert_never

from domain.clock import Clock
from domain.ledger import View
from domain.next_action import Do as DomainDo
from domain.next_action import ExpireTask, Finish, OpenTask, Record, Touch, Wait
from domain.priority import Priority
from workflows.messages import Do, Plan, Snapshot, UpcomingStep

MOST_UPCOMING = 8
# Who waits for no longer (real) is not looked for in Temporal's list, and each change of it costs as much as a timer.
A_MOMENT = timedelta(seconds=5)


def to_plan(view: View, clock: Clock) -> Plan:
    stands = view.standing
    snapshot = Snapshot(
        state=stands.state.value,
        sequence=view.sequence_code,
        step=stands.step,
        facility=view.facility,
        paused=stands.state.value == "paused",
        next_at=stands.at,
        reason=stands.reason or "",
    )
    coming = tuple(UpcomingStep(step=u.step, part=u.part, kind=u.kind, at=u.at) for u in stands.to_come[:MOST_UPCOMING])
    match view.action:
        case Wait(until, reason, then):
            real = clock.real(until) if until is not None else None
            do = to_do(then, view.priority) if then is not None else None
            show = real is None or real - clock.real(view.now) > A_MOMENT
            return Plan(action="wait", until=real, do=do, reason=reason, snapshot=snapshot, upcoming=coming, show=show)
        case Finish(exit_reason):
            return Plan(action="finish", reason=exit_reason.value, snapshot=snapshot)
        case Touch() | OpenTask() | ExpireTask():
            return Plan(action="do", do=to_do(view.action, view.priority), snapshot=snapshot, upcoming=coming)
        case Record():
            raise TypeError("the ledger records what time has decided; it never hands it on")
        case _:
            assert_never(view.action)


def to_do(do: DomainDo, priority: Priority) -> Do:
    match do:
        case Touch(enrollment, step, part, channel, touch_id):
            return Do(
                kind="touch",
                enrollment=enrollment,
                step=step,
                part=part,
                channel=channel.value,
                touch_id=touch_id,
                priority=priority.value,
            )
        case OpenTask(enrollment, step, part):
            return Do(kind="open_task", enrollment=enrollment, step=step, part=part, priority=priority.value)
        case ExpireTask(task_id):
            return Do(kind="expire_task", task_id=task_id, priority=priority.value)
        case _:
            assert_never(do)
