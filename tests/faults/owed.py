"""What the sequences owe: each step of an enrollment that ran to its end, and each before one that was carried out."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from domain.sequence import After, Part, Sequence, Step
from tests.faults.record import Json
from tests.faults.seen import Lead, Violation, moment, own

# So much an outage may delay one channel while another goes on.
OVERTAKES = timedelta(hours=16)
# What outages and nights may add to a plan that nothing else has moved. A round of `make soak` has 40 h to a minute,
# and strikes so often that a lead's task finds no worker for a minute on end, twice: seen in a history.
LATE = timedelta(hours=100)
CARRIED_OUT = frozenset({"accepted", "delivered", "undelivered", "unknown"})


def owed(lead: Lead, sequences: Mapping[str, Sequence], now: datetime) -> Iterator[Violation]:
    """`now` is product time."""
    for enrolled in lead.of("enrolled"):
        sequence, number = sequences[enrolled["sequence"]], int(enrolled["enrollment"])
        missing = [(s, p) for s in sequence.steps for p in s.parts if not _accounted(lead, number, s, p.name)]
        for step, part in missing:
            if _ran_out(lead, enrolled):
                why = "the sequence ran to its end"
            elif step.when is not None or _moved(lead, number, part):
                continue
            elif (later := _later(lead, sequence, number, step)) is not None:
                why = f"{later.key} after it was carried out"
            elif _long_due(lead, enrolled, step, now):
                why = "it was due long ago"
            else:
                continue
            yield Violation("owed", lead.id, f"{step.key} ({part.name}) of {sequence.key} is missing, though {why}")


def _accounted(lead: Lead, number: int, step: Step, part: str) -> bool:
    for entry in lead.timeline:
        if entry.get("enrollment") != number or entry.get("step") != step.key:
            continue
        if entry["kind"] == "skipped" or (entry["kind"] in ("touch", "task") and entry["part"] == part):
            return True
    return False


def _moved(lead: Lead, number: int, part: Part) -> bool:
    """What was put off moves the later steps of its channel, by days if a night follows on a night."""
    ours = (t for t in lead.touches if t["enrollment"] == number and t.get("channel") == part.channel)
    return any(entry["status"] == "delayed" for touch in ours for entry in touch.get("history", ()))


def _ran_out(lead: Lead, enrolled: Json) -> bool:
    """Nothing ended it but that no step was left: what became of an appointment may end it, too, and says the same."""
    following = [e for e in lead.timeline if e["no"] > enrolled["no"]]
    end = next((e for e in following if e["kind"] in ("enrolled", "finished")), None)
    if end is None or end.get("exit_reason") != "exhausted":
        return False
    return not any(e["kind"] == "appointment" and e["no"] < end["no"] for e in following)


def _later(lead: Lead, sequence: Sequence, number: int, step: Step) -> Step | None:
    """A step so much later that this one must have been looked at before it was carried out."""
    if not isinstance(step.timing, After) or step.timing.of is not None:
        return None
    for other in sequence.steps:
        counted = isinstance(other.timing, After) and other.timing.of is None
        if counted and isinstance(other.timing, After) and other.timing.delay - step.timing.delay > OVERTAKES:
            done = any(
                t["enrollment"] == number and t["step"] == other.key and t["status"] in CARRIED_OUT
                for t in lead.touches
            )
            if done:
                return other
    return None


def _long_due(lead: Lead, enrolled: Json, step: Step, now: datetime) -> bool:
    """Counted from the start of an enrollment that nobody paused or wrote into, and in which nobody overslept."""
    if not isinstance(step.timing, After) or step.timing.of is not None:
        return False
    if any(lead.of(kind) for kind in ("paused", "rested", "resumed")) or any(own(t) for t in lead.touches):
        return False
    following = (e for e in lead.timeline if e["no"] > enrolled["no"] and e["kind"] in ("enrolled", "finished"))
    ended = next((moment(e["at"]) for e in following), now)
    return moment(enrolled["at"]) + step.timing.delay + LATE < ended
