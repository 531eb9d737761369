"""Whether anything was claimed or arrived after a stop: by the order of facts, and by the clock of the told. Pure."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from tests.faults.plan import STOPS as OPT_OUTS
from tests.faults.record import Json, Round, Told
from tests.faults.seen import Lead, Seen, Violation, claimed_at, gone_on, moment, number_of, own

_STOPS = OPT_OUTS | {"pause", "disqualify"}
_NAMES = frozenset({"opt_out", "pause", "disqualify", "booked"})  # of these the answer names what is in flight


def check(seen: Seen, rounds: list[Round]) -> Iterator[Violation]:
    for lead in seen.leads.values():
        yield from _by_facts(lead)
    opt_outs = [t for r in rounds for t in r.told if t.verb in OPT_OUTS and not t.refused]
    asked = {t.number: t for r in rounds for t in r.told if t.verb == "ask"}
    for round_ in rounds:
        for stop in (t for t in round_.told if t.verb in _STOPS and t.accepted):
            owner = seen.by_number.get(stop.number)
            if owner is None:
                continue  # told as lost
            yield from _by_clock(seen, owner, owner.touches, stop, _ends(stop, round_))
            if stop.verb in OPT_OUTS:
                home = seen.homes[str(owner.row["phone"])]
                for relative in (lead for lead in home if lead is not owner):
                    first = _is_first(stop, opt_outs, home)
                    yield from _of_relative(seen, relative, stop, asked.get(number_of(relative)), first=first)
        for told in (t for t in round_.told if t.verb in _NAMES and t.accepted and "in_flight" not in t.answer):
            yield Violation("unlisted", told.lead_id or "", f"the answer of {told.mark} does not say what may arrive")
        for booked in (t for t in round_.told if t.verb == "booked" and t.accepted):
            if (owner := seen.by_number.get(booked.number)) is not None:
                yield from _by_booking(seen, owner, booked)


def _is_first(stop: Told, opt_outs: list[Told], home: list[Lead]) -> bool:
    """Whether no other stop of the phone may have come before it."""
    assert stop.answered_at is not None
    numbers = {number_of(lead) for lead in home}
    return not any(
        other is not stop and other.number in numbers and other.asked_at <= stop.answered_at for other in opt_outs
    )


def _of_relative(seen: Seen, lead: Lead, stop: Told, ask: Told | None, *, first: bool) -> Iterator[Violation]:
    """Of a shared phone every stop shuts as much as a text: the phone, and e-mail but what an appointment needs.

    For all who had asked by then. Who asks later is told that the phone is shut, and may be written to by e-mail, until
    the next stop.
    """
    stop = replace(stop, verb="stop_text")
    mails = [touch for touch in lead.touches if touch.get("channel") == "email"]  # a step left out has none
    yield from _by_clock(seen, lead, [touch for touch in lead.touches if touch not in mails], stop, None)
    shut_by_then = any("sms" in (entry.get("stopped") or ()) for entry in lead.of("inquired")[:1])
    if not shut_by_then or (ask is not None and ask.answered_at is not None and stop.asked_at > ask.answered_at):
        # a mail is named by the stop that has ended its sequence
        yield from _by_clock(seen, lead, mails, stop if first else replace(stop, answer={}), None)


def _ends(stop: Told, round_: Round) -> datetime | None:
    """A pause holds until somebody asks to go on, whatever the answer."""
    if stop.verb != "pause":
        return None
    later = [t.asked_at for t in round_.told if t.number == stop.number and t.verb == "resume"]
    return min((at for at in later if at >= stop.asked_at), default=None)


def _may_go(lead: Lead, verb: str, touch: Json) -> bool:
    """The one confirmation; a person's own doing under a pause; e-mail that an appointment needs."""
    if touch["step"] == "stop":
        return True
    if verb in ("pause", "disqualify"):
        return own(touch)
    serves = any(e["enrollment"] == touch["enrollment"] and e["sequence"] == "booked" for e in lead.of("enrolled"))
    return verb == "stop_text" and touch["channel"] == "email" and (serves or own(touch))


def _by_clock(seen: Seen, lead: Lead, touches: list[Json], stop: Told, ends: datetime | None) -> Iterator[Violation]:
    assert stop.answered_at is not None
    for touch in touches:
        claimed = claimed_at(touch)
        if claimed is None or _may_go(lead, stop.verb, touch) or (ends is not None and claimed >= ends):
            continue
        if claimed > stop.answered_at:
            late = (claimed - stop.answered_at).total_seconds()
            yield Violation(
                "after_stop", lead.id, f"{_name(touch)} was claimed {late:.3f} s after {stop.mark} was answered"
            )
            continue
        yield from _unlisted(seen, lead, stop, touch)


def _by_booking(seen: Seen, lead: Lead, booked: Told) -> Iterator[Violation]:
    """Of the sequence that it ended; what the next one claims is no matter of the answer. Claims: see `_by_facts`."""
    then = min((e["enrollment"] for e in lead.of("enrolled") if e["sequence"] == "booked"), default=0)
    for touch in lead.touches:
        if touch["enrollment"] < then and not own(touch):
            yield from _unlisted(seen, lead, booked, touch)


def _unlisted(seen: Seen, lead: Lead, stop: Told, touch: Json) -> Iterator[Violation]:
    assert stop.answered_at is not None
    arrived = [i for i in seen.by_touch.get(touch["id"], []) if moment(i["at"]) > stop.answered_at]
    listed = stop.answer.get("in_flight")  # a text is answered with nothing
    if arrived and listed is not None and touch["id"] not in listed:
        yield Violation("unlisted", lead.id, f"{_name(touch)} arrived after {stop.mark}, whose answer does not list it")


def _by_facts(lead: Lead) -> Iterator[Violation]:
    """No claim has a later number than the stop, the end, the skip or the change of sequence that forbids it."""
    for entry in lead.timeline:
        verb = _verb(entry)
        if verb is None:
            continue
        until = _goes_on(lead, entry) if verb == "pause" else None
        for touch in lead.touches:
            after = touch["no"] > entry["no"] and (until is None or touch["no"] < until)
            if claimed_at(touch) is None or not after:
                continue
            if verb == "skip":
                wrong = (touch["enrollment"], touch["step"]) == (entry["enrollment"], entry["step"]) and not own(touch)
            elif verb == "over":
                wrong = _began(lead, touch) < entry["no"] and not own(touch) and touch["step"] != "stop"
            else:
                wrong = not _may_go(lead, verb, touch)
            if wrong:
                yield Violation("after_stop", lead.id, f"{_name(touch)} was claimed after fact {entry['no']} ({verb})")


def _verb(entry: Json) -> str | None:
    match entry["kind"]:
        case "opt_out":
            return "opt_out" if "email" in entry["channels"] else "stop_text"
        case "paused":
            return "pause"
        case "decision":
            return "disqualify" if entry.get("decision") == "disqualified" else None
        case "enrolled" | "finished":
            return "over"
        case "skipped":
            return "skip"
        case _:
            return None


def _began(lead: Lead, touch: Json) -> int:
    return next((int(e["no"]) for e in lead.of("enrolled") if e["enrollment"] == touch["enrollment"]), 0)


def _goes_on(lead: Lead, paused: Json) -> int | None:
    return min((e["no"] for e in gone_on(lead) if e["no"] > paused["no"]), default=None)


def _name(touch: Json) -> str:
    return f"{touch['step']} ({touch['part']}, {touch['status']})"
