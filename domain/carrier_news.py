"""What a provider tells of a touch, by callback or in its list, as facts. Pure; repeated and late news give none."""

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import replace

from domain import facts as f
from domain.consequences import PHONE
from domain.lead_state import LeadState, Touch
from domain.ports import Remedy, TouchUpdate
from domain.signals import WITNESS
from domain.touches import SENT, Channel, TouchStatus, may_become

_WAITS = (TouchStatus.PLANNED, TouchStatus.DELAYED)
_WENT_WRONG = (TouchStatus.UNDELIVERED, TouchStatus.FAILED)


def _rule(was: TouchStatus, *, went_wrong: bool) -> str | None:
    if was is TouchStatus.UNKNOWN:
        return WITNESS
    return "carrier.callback" if went_wrong else None


def what_became(state: LeadState, told: TouchUpdate, closed: AbstractSet[Channel]) -> Iterator[f.Fact]:
    """`closed`: the channels stopped on the lead's addresses, as the database says."""
    touch = next((t for t in state.touches.values() if t.touch_id == told.touch_id), None)
    if touch is None:
        return
    if touch.status in _WAITS and touch.channel is not Channel.VOICE and told.status in SENT:
        yield f.TouchChanged.of(touch, TouchStatus.CLAIMED, due_at=touch.due_at)
        touch = replace(touch, status=TouchStatus.CLAIMED)  # the database was put back from a copy, say
    went_wrong = told.status in _WENT_WRONG
    news = may_become(touch.status, told.status, touch.channel)
    if news:
        yield f.TouchChanged.of(
            touch,
            told.status,
            rule=_rule(touch.status, went_wrong=went_wrong),
            reason=f"the carrier reports {told.status}" + (f" ({told.code})" if told.code else ""),
            code=told.code,
            remedy=told.remedy,
        )
    elif left := tuple(channel for channel in _closes(touch, told) if channel not in closed):
        # the touch has its last word already, and yet this tells of the address
        yield f.Suppressed(channels=left, cause="suppressed", code=told.code)
    task = state.tasks.get(touch.task_id) if touch.task_id else None
    follows = news and told.status is TouchStatus.FAILED  # that its call has ended too
    if told.disposition is not None and not follows and task is not None and touch.touch_id not in task.ended:
        yield f.CallEnded(task_id=task.id, touch_id=touch.touch_id, disposition=told.disposition)


def _closes(touch: Touch, told: TouchUpdate) -> tuple[Channel, ...]:
    """What late news of a touch says cannot be used: of a text only where nobody has said why it went wrong."""
    unexplained = touch.channel is Channel.SMS and touch.status in _WENT_WRONG and touch.code is None
    if touch.channel is None or not (touch.channel is Channel.EMAIL or unexplained):
        return ()
    if told.remedy is Remedy.SUPPRESS_NUMBER:
        return PHONE
    return (touch.channel,) if told.remedy is Remedy.SUPPRESS else ()
