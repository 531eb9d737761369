"""What follows for a lead whose database was put back from a copy: what it may have got meanwhile is not sent again.

Pure: facts out. Texts and calls are in the carrier's list; of mails there is none.
"""

from collections.abc import Iterator
from datetime import datetime

from domain import facts as f
from domain.consequences import task_id
from domain.lead_state import LeadState
from domain.schedule import direct, pending, ready
from domain.sequence import Sequence
from domain.touches import Channel, TouchStatus, touch_id

RULE = "restored"


def stop_for_review(state: LeadState, noticed: datetime, texts: int, calls: int, now: datetime) -> list[f.Fact]:
    """The carrier holds so many texts and calls to the lead that the copy knows nothing of: a person looks first.

    `noticed` (real) names the restore, so that asking again adds nothing. A finished lead gets nothing any more.
    """
    review = task_id(state.lead_id, RULE, noticed.isoformat())
    if state.exit_reason is not None or review in state.tasks:
        return []
    parts = [f"{count} {word}" for count, word in ((texts, "text(s)"), (calls, "call(s)")) if count]
    reason = (
        f"the database was put back from a copy, and the carrier has {' and '.join(parts)} to this lead that the copy "
        "knows nothing of: look at the carrier's log, skip what the lead has had already, then resume it"
    )
    facts: list[f.Fact] = [f.TaskOpened(task_id=review, task_kind=f.TaskKind.REVIEW, due_at=now, reason=reason)]
    if state.pause is None or state.pause.until is not None:
        facts.insert(0, f.Paused(reason="stopped for review: the database was put back from a copy"))
    return facts


def perhaps_mailed(state: LeadState, sequence: Sequence | None, now: datetime) -> Iterator[f.Fact]:
    """Mails that were due by `now` (product) are unknown: each has its review task, and the cadence goes on."""
    for touch in direct(state):
        if touch.channel is Channel.EMAIL and ready(touch) <= now:
            yield from _unknown(f.TouchChanged.of(touch, touch.status, due_at=touch.due_at), touch.status)
    if sequence is None or state.enrollment is None or state.exit_reason is not None or _held(state, now):
        return
    number = state.enrollment.number
    for due in pending(state, sequence):
        if due.channel is not Channel.EMAIL or due.at is None or due.at > now or due.condition is False:
            continue
        known = state.touches.get((number, due.step, due.part))
        name = f.TouchChanged(
            touch_id=touch_id(state.lead_id, number, due.step, due.part),
            enrollment=number,
            step=due.step,
            part=due.part,
            channel=due.channel,
            status=TouchStatus.CLAIMED,
            due_at=due.at,
        )
        yield from _unknown(name, known.status if known is not None else None)


def _held(state: LeadState, now: datetime) -> bool:
    """Whether a pause or a rest held the cadence all the time."""
    ends = [state.pause.until] if state.pause is not None else []
    ends += [state.rest.ends_at] if state.rest is not None else []
    return any(end is None or end > now for end in ends)


def _unknown(name: f.TouchChanged, status: TouchStatus | None) -> Iterator[f.Fact]:
    if status is not TouchStatus.CLAIMED:
        yield name.model_copy(update={"status": TouchStatus.CLAIMED})
    reason = "the database was put back from a copy that may be older than this mail"
    yield name.model_copy(update={"status": TouchStatus.UNKNOWN, "rule": RULE, "reason": reason})
