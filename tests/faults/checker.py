"""The verdict on a run: the carrier's outbox against what was accepted, what is shown, and what sequences owe. Pure."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta

from domain.sequence import Sequence
from domain.touches import first_of, is_second
from tests.faults import after_stop, kept
from tests.faults.owed import owed
from tests.faults.record import Json, Round
from tests.faults.seen import Lead, Seen, Violation, claimed_at, moment, number_of, unfinished

KINDS = {
    "duplicate": "a touch, or a step of a lead, reached the carrier twice",
    "after_stop": "claimed after a stop was answered, or after its sequence was over or its step skipped",
    "unlisted": "arrived after a stop whose answer does not list it as in flight",
    "late": "reached the carrier after its claim had run out",
    "stranger": "the carrier holds what no timeline knows",
    "phantom": "shown as sent, and the carrier does not hold it",
    "denied": "shown as not sent, and the carrier holds it",
    "lost": "accepted with a 2xx, and not there",
    "doubled": "accepted once, and there twice",
    "owed": "a step that fell due and is neither sent nor skipped nor unknown",
    "forgotten": "a lead that did not come to rest",
    "unfinished": "a touch left claimed, planned or delayed",
    "unexplained": "skipped or failed without rule and reason",
    "unlisted_task": "a task that the list of tasks shows otherwise than the timeline",
    "untasked": "unknown, and nobody was given the task to look",
    "unknown": "unknown, though the carrier has told of it, or without a cause",
}
SENT = frozenset({"accepted", "delivered", "undelivered"})
NOT_SENT = frozenset({"planned", "delayed", "failed", "skipped", "missed"})
CLAIM_LIVES = timedelta(seconds=15)  # real
A_FEW = 5
# From the claim to its request's first byte on a machine that has much to do; real.
AN_INSTANT = timedelta(seconds=1)
ONE_IN = 50  # blows at who holds requests, on average, that meet one at that instant: a matter of milliseconds
_HOLD_THE_REQUEST = ("worker", "backend", "postgres")
MEANWHILE = timedelta(seconds=3)  # real: what follows a blow, while a part is started again


@dataclass(frozen=True, slots=True)
class Share:
    """Touches of rounds with the carrier's faults off, or on. Of the `unknown` ones `unsent` never reached it."""

    touches: int = 0
    unknown: int = 0
    unsent: int = 0

    def __add__(self, other: "Share") -> "Share":
        return Share(self.touches + other.touches, self.unknown + other.unknown, self.unsent + other.unsent)


@dataclass(frozen=True, slots=True)
class Verdict:
    leads: int
    accepted: int
    sent: int
    off: Share
    on: Share
    violations: tuple[Violation, ...]

    @property
    def counts(self) -> dict[str, int]:
        return dict(Counter(v.kind for v in self.violations))

    @property
    def duplicates(self) -> int:
        return self.counts.get("duplicate", 0)

    @property
    def after_stop(self) -> int:
        return self.counts.get("after_stop", 0) + self.counts.get("unlisted", 0)

    @property
    def unaccounted(self) -> int:
        return len(self.violations) - self.duplicates - self.after_stop


def check(seen: Seen, rounds: list[Round], sequences: Mapping[str, Sequence]) -> Verdict:
    """`rounds`: all that the data directory has seen; `sequences`: the versions that leads are pinned to, by key."""
    found = [
        *_carrier(seen),
        *_shown(seen, rounds),
        *_unknown(seen, rounds),
        *_tasks(seen),
        *kept.check(seen, [one for r in rounds for one in r.told]),
        *after_stop.check(seen, rounds),
        *(v for lead in seen.leads.values() for v in owed(lead, sequences, moment(seen.now))),
        *(Violation("forgotten", lead_id, why) for lead_id, why in seen.restless.items()),
        *(v for lead in seen.leads.values() for v in _stranded(seen, lead)),
    ]
    shares = {False: Share(), True: Share()}
    for lead, touch in seen.touches.values():
        shares[bool(faults_at(rounds, lead, touch))] += _share(seen, touch)
    found += [*too_many(shares[True], rounds), *too_many_at_the_instant(shares[False], rounds)]
    accepted = sum(one.accepted for r in rounds for one in r.told)
    return Verdict(len(seen.leads), accepted, len(seen.outbox), shares[False], shares[True], tuple(found))


def faults_at(rounds: list[Round], lead: Lead, touch: Json) -> Json:
    """What the carrier did wrong in the round of the touch's claim, which may be a later one than that of its lead."""
    number, claimed = number_of(lead), claimed_at(touch)
    own = next((i for i, r in enumerate(rounds) if number in r), None)
    if own is None:
        return {}
    later = [r for r in rounds[own + 1 :] if claimed is not None and r.began_at is not None and r.began_at <= claimed]
    return [rounds[own], *later][-1].faults


def _share(seen: Seen, touch: Json) -> Share:
    unknown = touch["status"] == "unknown"
    return Share(int(claimed_at(touch) is not None), int(unknown), int(unknown and touch["id"] not in seen.by_touch))


def too_many(share: Share, rounds: list[Round]) -> list[Violation]:
    """That errors and blows explain each one does not say that they explain so many."""
    rate = max((float(r.faults["error_rate"]) for r in rounds if _may_refuse(r.faults)), default=0.0)
    struck = sum(s.pid is not None for r in rounds if _may_refuse(r.faults) for s in r.struck)
    most = A_FEW + 3 * rate * share.touches + struck
    if share.unsent <= most:
        return []
    return [Violation("unknown", "", f"{share.unsent} of {share.touches} touches, where {most:.0f} could be")]


def too_many_at_the_instant(share: Share, rounds: list[Round]) -> list[Violation]:
    """With the carrier well: that a blow fell near each does not say that all were in that instant."""
    blows = [s for r in rounds if not r.faults for s in r.struck]
    mean = sum(s.pid is not None and s.victim.startswith(_HOLD_THE_REQUEST) for s in blows) / ONE_IN
    most = 1 + mean + 3 * math.sqrt(mean)  # it is chance: more than that is not
    if share.unsent <= most:
        return []
    return [Violation("unknown", "", f"{share.unsent} of {share.touches} touches, where {most:.0f} could be")]


def _carrier(seen: Seen) -> Iterator[Violation]:
    """What the carrier holds: each touch once, each step of a lead once, and each in a timeline."""
    steps: Counter[tuple[str, int, str, str]] = Counter()
    for touch_id, items in seen.by_touch.items():
        if touch_id not in seen.touches:
            yield Violation("stranger", "", f"{items[0]['channel']} {items[0]['id']} is in no timeline")
            continue
        lead, touch = seen.touches[touch_id]
        if len(items) > 1:
            yield Violation("duplicate", lead.id, f"{_name(touch)} reached the carrier {len(items)} times")
        failed = is_second(touch["part"]) and _has_failed(lead, touch)
        part = touch["part"] if failed else first_of(touch["part"])
        steps[lead.id, touch["enrollment"], touch["step"], part] += 1
    for (lead_id, enrollment, step, part), times in steps.items():
        if times > 1:
            yield Violation("duplicate", lead_id, f"{step} ({part}) of enrollment {enrollment} is {times} touches")


def _has_failed(lead: Lead, second: Json) -> bool:
    """Whether its first try is known not to have arrived."""
    key = (second["enrollment"], second["step"], first_of(second["part"]))
    first = next((t for t in lead.touches if (t["enrollment"], t["step"], t["part"]) == key), None)
    return first is not None and first["status"] in ("undelivered", "failed")


def _shown(seen: Seen, rounds: list[Round]) -> Iterator[Violation]:
    """What the timelines say of each touch agrees with the carrier, and says why where nothing was sent."""
    now = moment(seen.now) - timedelta(minutes=1)
    for touch_id, (lead, touch) in seen.touches.items():
        status, items, claimed = touch["status"], seen.by_touch.get(touch_id, []), claimed_at(touch)
        if status in SENT and not items:
            yield Violation("phantom", lead.id, f"{_name(touch)} never reached the carrier")
        if status in NOT_SENT and items:
            yield Violation("denied", lead.id, f"{_name(touch)} is at the carrier")
        if unfinished(lead, touch, now):
            yield Violation("unfinished", lead.id, _name(touch))
        if status in ("skipped", "failed") and not (touch.get("rule") and touch.get("reason")):
            yield Violation("unexplained", lead.id, _name(touch))
        if not faults_at(rounds, lead, touch).get("accept_late_rate"):
            for item in items:
                if claimed is not None and moment(item["at"]) - claimed > CLAIM_LIVES:
                    seconds = (moment(item["at"]) - claimed).total_seconds()
                    yield Violation("late", lead.id, f"{_name(touch)} came {seconds:.1f} s after its claim")


def _stranded(seen: Seen, lead: Lead) -> Iterator[Violation]:
    """Living, and neither a time nor a person is waited for. A pause may have no end.

    Who wrote from a phone that is shared is asked once, of one of those who share it. Who came before their time waits
    for that time: then the reminders are left out.
    """
    asked = [*(task["id"] for task in lead.of("task")), *(entry.get("task_id") for entry in lead.of("rested"))]
    someone = any(seen.tasks[task]["state"] in ("open", "claimed") for task in asked if task in seen.tasks)
    at = (lead.row.get("next_step") or {}).get("at")
    starts = [a["starts_at"] for a in lead.row["appointments"] if a.get("starts_at")]
    expected = any(moment(start) > moment(seen.now) for start in starts)
    if lead.state in ("active", "resting") and not (at or someone or expected):
        yield Violation("forgotten", lead.id, f"{lead.state}, and nothing is to come")


def _tasks(seen: Seen) -> Iterator[Violation]:
    for lead in seen.leads.values():
        for task in lead.of("task"):
            listed = seen.tasks.get(task["id"])
            if listed is None or listed["state"] != task["state"]:
                yield Violation("unlisted_task", lead.id, f"{task['task_kind']} task {task['id']}")


def _unknown(seen: Seen, rounds: list[Round]) -> Iterator[Violation]:
    """Nobody knows only what nobody can know, and then a person has a task."""
    for lead in seen.leads.values():
        left = [t.get("reason") or "" for t in lead.of("task") if t["task_kind"] == "review"]
        for touch in (t for t in lead.touches if t["status"] == "unknown"):
            faults, asks = faults_at(rounds, lead, touch), f"{touch['channel']} of step {touch['step']} went out"
            own = next((reason for reason in left if asks in reason), None)
            if own is None:
                yield Violation("untasked", lead.id, _name(touch))
            else:
                left.remove(own)  # each has its own
            if touch["id"] in seen.by_touch:
                if touch["channel"] != "email" or not faults.get("drop_callback_rate"):
                    yield Violation("unknown", lead.id, f"{_name(touch)}, and the carrier has told of it")
            elif not faults and not _at_the_instant(touch, rounds):
                yield Violation("unknown", lead.id, f"{_name(touch)}, and the carrier was well")
            elif not _may_refuse(faults) and not _cut_off(touch, rounds):
                yield Violation("unknown", lead.id, f"{_name(touch)}, and nothing was killed or frozen meanwhile")


def _may_refuse(faults: Json) -> bool:
    """Whether the carrier may refuse without saying plainly that it did not take it."""
    return bool(faults.get("error_rate")) and int(faults.get("error_status", 500)) >= 500


def _cut_off(touch: Json, rounds: list[Round]) -> bool:
    """Whether a part was killed or frozen while the touch was under way: its worker never got to the request."""
    claimed = claimed_at(touch)
    if claimed is None:
        return False
    struck = (s for r in rounds for s in r.struck if s.pid is not None)
    return any(s.at - CLAIM_LIVES < claimed < s.until + MEANWHILE for s in struck)


def _at_the_instant(touch: Json, rounds: list[Round]) -> bool:
    """Whether its worker, or the database, was struck in the moment of the request.

    The claim is used by one commit and the request written after it: a worker that stops in between has sent nothing,
    and nobody can know. Not to be had away; how often it happens is the share that is told.
    """
    claimed = claimed_at(touch)
    struck = (s for r in rounds for s in r.struck if s.pid is not None and s.victim.startswith(_HOLD_THE_REQUEST))
    return claimed is not None and any(claimed <= s.at < claimed + AN_INSTANT for s in struck)


def _name(touch: Json) -> str:
    return f"{touch['step']} ({touch['part']}) of enrollment {touch['enrollment']}, shown as {touch['status']}"
