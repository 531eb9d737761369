"""Whether all that was accepted with a 2xx is there, once. Pure."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator

from tests.faults.record import Json, Told
from tests.faults.seen import Lead, Seen, Violation, gone_on, number_of

# What each request leaves on the timeline: the kind of entry, and which of its fields bears the mark (None: any).
_MARKED = {
    "note": ("note", "text"),
    "reply": ("reply", "body"),
    "pause": ("paused", "reason"),
    "complete": ("task", "notes"),
}
_EVENTS = ("booked", "rescheduled", "cancelled", "arrived", "no_show", "completed")
_STANDS = {"rescheduled": "booked"}


def check(seen: Seen, told: list[Told]) -> Iterator[Violation]:
    for number, times in Counter(number_of(lead) for lead in seen.leads.values()).items():
        if times > 1:
            yield Violation("doubled", seen.by_number[number].id, f"{times} leads were made of lead {number}")
    for mark in {one.mark for one in told if one.verb in ("message", "answer")}:
        if (times := seen.bearing(f", {mark}")) > 1:
            yield Violation("duplicate", "", f"what a person wrote once, {mark}, is at the carrier {times} times")
    by_number: dict[int, list[Told]] = defaultdict(list)
    for one in told:
        by_number[one.number].append(one)
    for number, ones in by_number.items():
        lead = seen.by_number.get(number)
        if lead is None:
            if any(t.accepted for t in ones):
                yield Violation("lost", "", f"the inquiry of lead {number} was accepted, and there is no such lead")
            continue
        yield from _lead(lead, ones)
    for home in seen.homes.values():
        yield from _stops(home, [one for lead in home for one in by_number[number_of(lead)]])


def _stops(home: list[Lead], told: list[Told]) -> Iterator[Violation]:
    """A stop is kept with one of those who share the phone, and holds for all."""
    texts = [t for t in told if t.verb == "stop_text"]
    kept = sum(entry.get("intent") == "opt_out" for lead in home for entry in lead.of("reply"))
    yield from _count(home[0], "stop", kept, texts)
    accepted = any(t.accepted for t in told if t.verb in ("stop_text", "opt_out"))
    if accepted and not any(lead.of("opt_out") for lead in home):
        yield Violation("lost", home[0].id, "an opt-out was accepted and is not on the timeline")


def _lead(lead: Lead, told: list[Told]) -> Iterator[Violation]:
    asks = [t for t in told if t.verb in ("ask", "ask_again")]
    yield from _count(lead, "inquired", len(lead.of("inquired")), asks)
    marks: dict[tuple[str, str], list[Told]] = defaultdict(list)
    for one in told:
        verb = "note" if one.verb == "repeat" else one.verb
        if verb in _MARKED:
            marks[verb, one.mark].append(one)
    for (verb, mark), ones in marks.items():
        kind, field = _MARKED[verb]
        times = sum(entry.get(field) == mark for entry in lead.of(kind))
        yield from _count(lead, mark, times, _as_one(ones))
    for verb, times_of in _LEAVES.items():
        yield from _count(lead, verb, times_of(lead), [t for t in told if t.verb == verb])
    for one in (t for t in told if t.accepted):
        yield from _accepted(lead, one)
    yield from _appointment(lead, [t for t in told if t.verb in _EVENTS])


def _so_ended(task: Json) -> tuple[str, str | None]:
    return task["state"], task.get("disposition")


def _resumes(lead: Lead) -> int:
    """Each is later than a pause of the lead's."""
    since = min((int(entry["no"]) for entry in lead.of("paused")), default=None)
    return sum(int(entry["no"]) > since for entry in gone_on(lead)) if since is not None else 0


def _work(lead: Lead) -> list[Json]:
    """What became of its tasks, one after another."""
    return [past for task in lead.of("task") for past in task.get("history", ())]


def _claims(lead: Lead) -> int:
    """Of its tasks, those given back since too."""
    return sum(past["status"] == "claimed" for past in _work(lead))


def _skips(lead: Lead) -> int:
    """Steps left out, and open calls of a step that were cancelled for it."""
    return len(lead.of("skipped")) + sum(bool(past.get("reason") == "skipped by a person") for past in _work(lead))


def _enrolls(lead: Lead) -> int:
    return sum(entry.get("cause") == "a person enrolled it" for entry in lead.of("enrolled"))


# What bears no mark is counted: nobody else does it.
_LEAVES: dict[str, Callable[[Lead], int]] = {
    "resume": _resumes,
    "claim": _claims,
    "skip": _skips,
    "enroll": _enrolls,
}


def _as_one(ones: list[Told]) -> list[Told]:
    """Asked again with its key it is the same; it is there if anybody was told so."""
    return [next((t for t in ones if t.accepted), ones[0])]


def _count(lead: Lead, what: str, times: int, told: list[Told]) -> Iterator[Violation]:
    """As often as it was accepted, or more if nobody knows of some."""
    accepted = sum(t.accepted for t in told)
    perhaps = sum(not t.accepted and not t.refused for t in told)
    if times < accepted:
        yield Violation("lost", lead.id, f"{what}: accepted {accepted} times, on the timeline {times} times")
    elif times > accepted + perhaps:
        yield Violation("doubled", lead.id, f"{what}: accepted {accepted} times, on the timeline {times} times")


def _accepted(lead: Lead, told: Told) -> Iterator[Violation]:
    match told.verb:
        case "message" | "answer":
            there = any(t["id"] == told.answer["touch_id"] for t in lead.touches)
        case "complete":  # lost with its mark, or in part
            bearing = [task for task in lead.of("task") if task.get("notes") == told.mark]
            there = all(_so_ended(task) == ("done", told.body.get("disposition")) for task in bearing)
        case "disqualify":
            there = any(e.get("decision") == "disqualified" for e in lead.of("decision"))
        case _:
            return
    if not there:
        yield Violation("lost", lead.id, f"{told.mark} was accepted and is not on the timeline")


def _appointment(lead: Lead, told: list[Told]) -> Iterator[Violation]:
    """Each appointment stands as the event says that occurred last, in whatever order they came."""
    by_id: dict[str, list[Told]] = defaultdict(list)
    for one in told:
        by_id[one.body["appointment_id"]].append(one)
    for appointment, ones in by_id.items():
        accepted = [t for t in ones if t.accepted]
        if not accepted or any(not t.accepted and not t.refused for t in ones):
            continue
        last = max(accepted, key=lambda t: str(t.body["occurred_at"]))
        shown = next((a["status"] for a in lead.row["appointments"] if a["id"] == appointment), None)
        if shown != (wanted := _STANDS.get(last.verb, last.verb)):
            yield Violation("lost", lead.id, f"{appointment} was {wanted} at last, and is shown as {shown}")
        events = Counter((e["event"], e["occurred_at"]) for e in lead.of("appointment"))
        for (event, _), times in events.items():
            if times > 1:
                yield Violation("doubled", lead.id, f"{appointment}: {event} is on the timeline {times} times")
