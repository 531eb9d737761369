"""What follows for a lead whose database was put back from a copy: what it may have got meanwhile is not sent again.

Pure: facts out. Texts and calls are in the carrier's list; of mails there is none.
"""

from collections.abc import Callable, Iterable, Iterator, Set
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from domain import facts as f
from domain.clock import DATED_BEFORE
from domain.consequences import PUT_BACK, task_id
from domain.contact_window import closes, is_open
from domain.lead_state import LeadState, Touch
from domain.ports import Listed
from domain.schedule import Due, direct, pending, ready
from domain.sequence import Sequence
from domain.standing import held_until, once_over
from domain.touches import SETTLED, Channel, TouchStatus, second_of, touch_id
from domain.unknown import ALONE_FOR, given_up_after, may_be_resent

RULE = "restored"
LOST_FOR = timedelta(days=7)  # real: so long after a restore what begins at such a number may be of the lost time
_LOOK = "look at the carrier's log, skip what the lead has had already, then resume it"
_UNREAD = (
    "the database was put back from a copy, and this lead or one with its number could not be compared: look at the "
    "carrier's log for what it was sent and what it wrote, and at the mail provider's, and answer it; skip what it has "
    "had already, then resume it, unless it is finished"
)

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


def was_sent(touch: Touch) -> Iterator[f.Fact]:
    """It waits in the copy, and the carrier has it."""
    name = f.TouchChanged.of(touch, TouchStatus.CLAIMED, due_at=touch.due_at)
    yield name
    reason = "the database was put back from a copy that is older than this text"
    yield name.model_copy(update={"status": TouchStatus.ACCEPTED, "rule": RULE, "reason": reason})


def perhaps_sent(state: LeadState, channels: Set[Channel], now: datetime) -> Iterator[f.Fact]:
    """Of what waits, each may be what the carrier has on these channels and the copy cannot explain."""
    for touch in waiting(state, channels, now):
        yield from _unknown(f.TouchChanged.of(touch, touch.status, due_at=touch.due_at), touch.status)


def stop_for_review(state: LeadState, noticed: datetime, texts: int, calls: int, now: datetime) -> list[f.Fact]:
    """The carrier holds so many texts and calls to the lead that the copy knows nothing of: a person looks first.

    `noticed` (real) names the restore, so that asking again adds nothing. A finished lead gets nothing any more.
    """
    parts = [f"{count} {word}" for count, word in ((texts, "text(s)"), (calls, "call(s)")) if count]
    reason = (
        f"the database was put back from a copy, and the carrier has {' and '.join(parts)} to this lead that the copy "
        f"knows nothing of: {_LOOK}"
    )
    return _stop(state, noticed, reason, now)


def stop_as_lost(state: LeadState, lost_at: datetime, now: datetime) -> list[f.Fact]:
    """A sequence begins at a number to which the carrier has texts or calls of a time that is lost.

    `lost_at` (real) names the restore, as for `stop_for_review`: who was stopped then is not stopped again.
    """
    return _stop(state, lost_at, f"the carrier has texts or calls to this number of a time that is lost: {_LOOK}", now)


def review_unread(lead_id: str, noticed: datetime, due: datetime) -> f.TaskOpened:
    """Asks what became of a lead that could not be compared, and what it wrote that was not taken in.

    Beside what `stop_for_review` asks, which knows nothing of either: by an id of its own, so both stand. What was due
    by `due` (product) it may have had.
    """
    own = task_id(lead_id, RULE, noticed.isoformat(), "unread")
    return f.TaskOpened(task_id=own, task_kind=f.TaskKind.REVIEW, due_at=due, reason=_UNREAD)


def stop_as_unread(state: LeadState, review: f.TaskOpened) -> Iterator[f.Fact]:
    """It could not be compared with the carrier's list, so nobody knows what it has had: its review is opened first.

    Of a finished lead too, which is not paused: it may have written. What was due by then, and no pause keeps, is
    unknown.
    """
    yield from _stopped(state, review)
    yield from perhaps_sent(state, set(Channel), review.due_at)


def _stop(state: LeadState, named: datetime, reason: str, now: datetime) -> list[f.Fact]:
    if state.exit_reason is not None:
        return []
    own = task_id(state.lead_id, RULE, named.isoformat())
    return _stopped(state, f.TaskOpened(task_id=own, task_kind=f.TaskKind.REVIEW, due_at=now, reason=reason))


def _stopped(state: LeadState, review: f.TaskOpened) -> list[f.Fact]:
    """Until its review is over: an end of the sequence has ended the pause, though nobody has looked yet."""
    known = state.tasks.get(review.task_id)
    if known is not None and not known.living:
        return []
    facts: list[f.Fact] = []
    if known is None:
        facts.append(review)
    if state.exit_reason is None and (state.pause is None or state.pause.until is not None):
        facts.insert(0, f.Paused(reason=PUT_BACK))
    return facts


def perhaps_mailed(
    state: LeadState,
    sequence: Sequence | None,
    now: datetime,
    *,
    wrote_at: datetime | None = None,
    copied: LeadState | None = None,
    compared: datetime | None = None,
) -> Iterator[f.Fact]:
    """Mails that were due by `now` (product) are unknown: each has its review task, and the cadence goes on.

    `wrote_at` (product): when the lead wrote first in the lost time, and so began to rest.
    `copied`: the state before anything was entered anew or compared, if that was another one.
    `compared` (product): now. A sequence that began since was begun in the lost time too, if it was entered anew: so
    its mails that are due by now are as unknown, unless it turns on an event that occurred later.
    """
    for touch in direct(state):
        if touch.channel is Channel.EMAIL and ready(touch) <= now:
            yield from _unknown(f.TouchChanged.of(touch, touch.status, due_at=touch.due_at), touch.status)
    if sequence is None or state.enrollment is None or state.exit_reason is not None:
        return
    if not state.reachable(Channel.EMAIL):  # the gate refuses it, then as now
        return
    number, known_then = state.enrollment.number, True
    if copied is None or copied.enrollment is None or copied.enrollment.number != number:
        known_then = copied is None
        anchor = state.anchor()
        if copied is not None and compared is not None and (anchor is None or anchor.occurred_at <= now):
            now = compared
        copied = state
    to_come = {(due.step, due.part) for due in pending(state, sequence) if due.condition is not False}
    to_come |= {(due.step, due.part) for due in _second_tries(state, sequence)}
    due_then = _due_then(copied, sequence, now, wrote_at if state.rest is not None else None)
    due_then = [due for due in due_then if (due.step, due.part) in to_come]
    mails = [due for due in due_then if due.channel is Channel.EMAIL]
    for due in [*mails, *_at_once(copied, due_then, now if not known_then else None)]:
        known = state.touches.get((number, due.step, due.part))
        if known is not None and known.status in SETTLED:
            continue
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


def _due_then(copied: LeadState, sequence: Sequence, now: datetime, wrote_at: datetime | None) -> list[Due]:
    """What fell due by `now` before a pause or rest held the cadence.

    A hold of the copy that ended by itself by then has moved what it held, as it will move it again: what counts is
    the time so moved. Where the lead wrote before that end, it went on.
    """
    since = min((hold.since for hold in (copied.pause, copied.rest) if hold is not None), default=None)
    end = held_until(copied)
    if end is not None and end <= now and (wrote_at is None or end <= wrote_at):
        copied, since = once_over(copied, end), None
    held = min((at for at in (since, wrote_at) if at is not None), default=None)
    return [
        due
        for due in [*pending(copied, sequence), *_second_tries(copied, sequence)]
        if due.at is not None and due.at <= now and (held is None or due.at < held)
    ]


def _at_once(copied: LeadState, due_then: list[Due], entered: datetime | None) -> Iterator[Due]:
    """The mails that went at once if their text or call was put off: the copy knows of none.

    Put off by the night, a day's limit, a carrier that was busy: the copy knows none of these. `entered`: now
    (product), of a sequence that began since the copy was noticed. Most of these nobody has worked on yet, and the mail
    may be all that comes today: so of them only where it has been night.
    """
    known = {(due.step, due.part) for due in due_then}
    for due in due_then:
        at_once = due.spec.at_once if due.spec is not None and due.channel is not None else None
        if at_once is None or at_once.channel is not Channel.EMAIL or (due.step, at_once.name) in known:
            continue
        if due.channel in copied.closed:  # it is refused, not put off
            continue
        night = entered is None or due.at is None or _met_a_night(copied.zones, due.at, entered)
        if night or not copied.phone:
            known.add((due.step, at_once.name))
            yield replace(due, part=at_once.name, channel=Channel.EMAIL)


def _met_a_night(zones: tuple[str, ...], since: datetime, now: datetime) -> bool:
    """Whether the window was shut at some time by `now`."""
    return not is_open(since, zones) or any(closes(since, (zone,)) <= now for zone in zones)


def _second_tries(state: LeadState, sequence: Sequence) -> list[Due]:
    """Mails of unknown outcome that their step has sent once more; not those that wait to be."""
    firsts = (t for t in state.touches.values() if t.status in (TouchStatus.CLAIMED, TouchStatus.UNKNOWN))
    after = given_up_after(Channel.EMAIL)
    return [
        Due(t.step, second_of(t.part), t.channel, (t.claimed_at or t.at) + after, spec=None, action=None)
        for t in firsts
        if t.channel is Channel.EMAIL
        and may_be_resent(state, sequence, t)
        and (t.enrollment, t.step, second_of(t.part)) not in state.touches
    ]


def _unknown(name: f.TouchChanged, status: TouchStatus | None) -> Iterator[f.Fact]:
    if status is not TouchStatus.CLAIMED:
        yield name.model_copy(update={"status": TouchStatus.CLAIMED})
    reason = f"the database was put back from a copy that may be older than this {name.channel}"
    yield name.model_copy(update={"status": TouchStatus.UNKNOWN, "rule": RULE, "reason": reason})
