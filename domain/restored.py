"""What follows for a lead whose database was put back from a copy: what it may have got meanwhile is not sent again.

Pure: facts out. Texts and calls are in the carrier's list; of mails there is none (see perhaps_mailed.py).
"""

from collections.abc import Callable, Iterable, Iterator, Set
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from domain import facts as f
from domain.clock import DATED_BEFORE
from domain.consequences import task_id
from domain.lead_state import STAFF, LeadState, Touch
from domain.ports import Listed
from domain.schedule import direct, ready
from domain.touch_reactions import RETRY_AFTER
from domain.touches import Channel, TouchStatus, is_second, second_of, touch_id
from domain.unknown import ALONE_FOR

RULE = "restored"
LOST_FOR = timedelta(days=7)  # real: so long after a restore what begins at such a number may be of the lost time
SENT_ONCE_MORE_WITHIN = timedelta(days=1)  # product, of when it may be: a text's life, and a night
_PERHAPS_TRIED_AGAIN = frozenset({TouchStatus.CLAIMED, TouchStatus.UNKNOWN, TouchStatus.ACCEPTED})
_COPY = "the database was put back from a copy"
_LOOK = "look at the carrier's log, and at the mail provider's, skip what the lead has had already, then resume it"
_LOST = (
    "the carrier has texts or calls to this number, or texts from it, of a time that is lost: look at its log, and at "
    "the mail provider's, for what the lead had, skip that, then resume it"
)
_UNREAD = (
    f"{_COPY}, and this lead or one with its number could not be compared: look at the "
    "carrier's log for what it was sent and what it wrote, and at the mail provider's, and answer it; skip what it has "
    "had already, then resume it, unless it is finished"
)

_STILL = "a review after a restore was done without a resume: if the lead is still stopped for review, resume it"

Same = Callable[[str, str], bool]  # see ports.CarrierList.same


@dataclass(frozen=True, slots=True)
class Claimed:
    """A touch that was handed over at `at` (real), and the copy does not know whether it was taken."""

    channel: Channel
    at: datetime
    body: str | None = field(repr=False)  # None: of a call

    def may_be(self, one: Listed, same: Same) -> bool:
        """Nothing else goes to its address for so long. What has lost its words is nobody's."""
        in_time = self.at - DATED_BEFORE <= one.at <= self.at + ALONE_FOR
        words = self.body is None or same(one.body, self.body)
        return one.channel is self.channel and in_time and words


def unexplained(found: Iterable[Listed], claims: Iterable[Claimed], same: Same) -> list[Listed]:
    """What no claim of the copy accounts for, earliest first. A claim looks for its own by itself."""
    left = sorted(found, key=lambda one: one.at)
    for claim in sorted(claims, key=lambda claim: claim.at):
        own = next((one for one in left if claim.may_be(one, same)), None)
        if own is not None:
            left.remove(own)
    return left


def waiting(state: LeadState, channels: Set[Channel], now: datetime) -> list[Touch]:
    """What a person or a stop asked for and was due by `now` (product): no pause keeps it. Earliest first."""
    due = (t for t in direct(state) if t.channel in channels and ready(t) <= now)
    return sorted((t for t in due if t.status is not TouchStatus.CLAIMED), key=ready)


def second_tries(state: LeadState) -> list[Touch]:
    """What would be a person's text once more, if the copy knew that the first did not arrive: the carrier may have it.

    A callback that is repeated would have it sent again, and no pause keeps a person's words. Not before `due_at`.
    """
    firsts = (t for t in state.touches.values() if t.step == STAFF and t.channel is Channel.SMS and t.message_id)
    return [
        replace(
            first,
            touch_id=touch_id(state.lead_id, first.enrollment, first.step, part),
            part=part,
            due_at=first.claimed_at + RETRY_AFTER,
        )
        for first in firsts
        if first.status in _PERHAPS_TRIED_AGAIN and first.claimed_at is not None and not is_second(first.part)
        if (first.enrollment, first.step, part := second_of(first.part)) not in state.touches
    ]


def is_in_time(second: Touch, sent_at: datetime) -> bool:
    """Whether a text of that time (product) may be this second try."""
    return second.due_at is not None and second.due_at <= sent_at <= second.due_at + SENT_ONCE_MORE_WITHIN


def was_sent(touch: Touch) -> Iterator[f.Fact]:
    """It waits in the copy, and the carrier has it."""
    name = f.TouchChanged.of(touch, TouchStatus.CLAIMED, due_at=touch.due_at)
    yield name
    reason = f"{_COPY} that is older than this text"
    yield name.model_copy(update={"status": TouchStatus.ACCEPTED, "rule": RULE, "reason": reason})


def perhaps_sent(state: LeadState, channels: Set[Channel], now: datetime) -> Iterator[f.Fact]:
    """Of what waits, each may be what the carrier has on these channels and the copy cannot explain."""
    for touch in waiting(state, channels, now):
        yield from perhaps(f.TouchChanged.of(touch, touch.status, due_at=touch.due_at), touch.status)


def stop_for_review(state: LeadState, noticed: datetime, texts: int, calls: int, now: datetime) -> list[f.Fact]:
    """The carrier holds so many texts and calls to the lead that the copy knows nothing of: a person looks first.

    `noticed` (real) names the restore, so that asking again adds nothing. A finished lead gets nothing any more.
    """
    parts = [f"{count} {word}" for count, word in ((texts, "text(s)"), (calls, "call(s)")) if count]
    reason = f"{_COPY}, and the carrier has {' and '.join(parts)} to this lead that the copy knows nothing of: {_LOOK}"
    return _stop(state, noticed.isoformat(), reason, now)


def stop_as_lost(state: LeadState, lost_at: datetime, now: datetime) -> list[f.Fact]:
    """A sequence begins at a number to or from which the carrier has something of a time that is lost.

    No mail of the sequence counts as perhaps sent: the lead was not there to be compared, or has been looked at as it
    was before. `lost_at` (real) names the restore: each sequence is stopped once, unless the lead is stopped already.
    """
    if state.review is not None:
        return []
    return _stop(state, f"{lost_at.isoformat()}.{state.enrollment_no}", _LOST, now)


def review_unread(lead_id: str, noticed: datetime, due: datetime) -> f.TaskOpened:
    """Asks what became of a lead that could not be compared, and what it wrote that was not taken in.

    Beside what `stop_for_review` asks, which knows nothing of either: by an id of its own, so both stand. What was due
    by `due` (product) it may have had.
    """
    own = task_id(lead_id, RULE, noticed.isoformat(), "unread")
    return f.TaskOpened(task_id=own, task_kind=f.TaskKind.REVIEW, due_at=due, reason=_UNREAD)


def stop_as_unread(state: LeadState, review: f.TaskOpened) -> Iterator[f.Fact]:
    """It could not be compared with the carrier's list, so nobody knows what it has had: its review is opened first.

    Of a finished lead too: it may have written. What was due by then, and no pause keeps, is unknown.
    """
    yield from _stopped(state, review)
    yield from perhaps_sent(state, set(Channel), review.due_at)


def ask_on(state: LeadState, now: datetime) -> list[f.Fact]:
    """Who was asked has done the task, and has not resumed the lead: somebody is asked again, lest it is forgotten."""
    asked = (state.tasks.get(i) for i in state.review.tasks) if state.review is not None else ()
    if state.review is None or state.exit_reason is not None or any(t is not None and t.living for t in asked):
        return []
    own = task_id(state.lead_id, RULE, "still", str(state.last_no))
    return _stopped(state, f.TaskOpened(task_id=own, task_kind=f.TaskKind.REVIEW, due_at=now, reason=_STILL))


def _stop(state: LeadState, named: str, reason: str, now: datetime) -> list[f.Fact]:
    if state.exit_reason is not None:
        return []
    own = task_id(state.lead_id, RULE, named)
    return _stopped(state, f.TaskOpened(task_id=own, task_kind=f.TaskKind.REVIEW, due_at=now, reason=reason))


def _stopped(state: LeadState, review: f.TaskOpened) -> list[f.Fact]:
    """Once for each review: who has been resumed since, a person has looked at."""
    return [] if review.task_id in state.tasks else [f.UnderReview(task_id=review.task_id), review]


def perhaps(name: f.TouchChanged, status: TouchStatus | None) -> Iterator[f.Fact]:
    """It may have gone out in the lost time: that is unknown, and asked of a person."""
    if status is not TouchStatus.CLAIMED:
        yield name.model_copy(update={"status": TouchStatus.CLAIMED})
    reason = f"{_COPY} that may be older than this {name.channel}"
    yield name.model_copy(update={"status": TouchStatus.UNKNOWN, "rule": RULE, "reason": reason})
