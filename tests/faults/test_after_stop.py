"""What is claimed or arrives after a stop of a shared phone, and after a skip: each planted in a run of two leads."""

import pytest

from tests.faults.a_good_run import LEAD, OTHER, PRODUCT, Run, iso, real, sent, told
from tests.faults.record import Json

STOPPED_AT = 10.0  # real seconds: after the answer to it comes the last mail, as a run of this file has it


def _relatives(verb: str = "opt_out", **answer: object) -> Run:
    """The one lead stops, by a person or by a text, while the other, at the same phone, has a mail to come.

    The stop became a fact of the first alone.
    """
    run = Run()
    run.phones = ("+1", "+1")
    run.told = [t for t in run.told if t.verb != "stop_text"]
    run.stopped[:] = [e for e in run.stopped if e["kind"] not in ("reply", "touch") or e.get("step") == "confirm"]
    run.outbox = [item for item in run.outbox if item["touch_id"] != f"{OTHER}/stop"]
    if verb == "stop_text":
        run.stopped.append({"no": 7, "at": iso(PRODUCT), "kind": "reply", "body": "STOP", "intent": "opt_out"})
    run.told.append(told(verb, f"{verb}-1-0", STOPPED_AT, number=1, answer=answer if verb == "opt_out" else {}))
    return run


def _late(run: Run, step: str, /, **more: object) -> Json:
    """This touch of the relative is claimed after the answer."""
    entry = run.entry(step)
    entry.update(claimed_at=iso(real(STOPPED_AT + 1)), **more)
    run.outbox = [item for item in run.outbox if item["touch_id"] != entry["id"]]
    run.outbox.append(sent(entry))
    return entry


@pytest.mark.parametrize("verb", ["opt_out", "stop_text"])
@pytest.mark.parametrize("step", ["link", "edu"])
def test_a_stop_that_never_was_the_relatives_fact_is_found_by_the_clock(verb: str, step: str) -> None:
    run = _relatives(verb, in_flight=[])
    assert run.verdict().violations == ()
    _late(run, step)
    assert run.verdict().counts == {"after_stop": 1}


def test_a_step_of_a_relative_that_was_left_out_before_its_channel_was_chosen_is_no_matter() -> None:
    run = _relatives(in_flight=[])
    edu = run.entry("edu")
    run.outbox = [item for item in run.outbox if item["touch_id"] != edu["id"]]
    edu.update(status="skipped", rule="step.left_out", reason="no channel is left")
    del edu["channel"], edu["claimed_at"]
    _late(run, "link")
    assert run.verdict().counts["after_stop"] == 1


def test_what_an_appointment_needs_and_a_persons_own_words_still_go_to_a_relative_by_mail() -> None:
    for more in ({"enrollment": 2}, {"step": "staff"}):
        run = _relatives(in_flight=[])
        at = {"at": iso(PRODUCT), "kind": "enrolled", "enrollment": 2, "sequence": "booked", "version": 1}
        run.timeline.append(at | {"no": 11})
        _late(run, "edu", no=12, **more)
        assert "after_stop" not in run.verdict().counts, more


def test_no_words_of_a_person_go_to_a_relative_by_phone() -> None:
    run = _relatives(in_flight=[])
    _late(run, "link", step="staff")
    assert run.verdict().counts["after_stop"] == 1


def test_who_asked_after_the_stop_is_written_to_by_mail_alone_until_the_next_stop() -> None:
    for step, later, counts in (
        ("edu", False, {}),
        ("link", False, {"after_stop": 1}),
        ("edu", True, {"after_stop": 1}),
    ):
        run = _relatives(in_flight=[])
        run.timeline[0]["stopped"] = ["sms", "voice"]
        if not later:  # its inquiry was answered when nobody knows whether the stop was there
            run.told = [told("ask", "ask-0", STOPPED_AT, status=202) if t.mark == "ask-0" else t for t in run.told]
        _late(run, step)
        assert run.verdict().counts == counts


def test_a_relatives_mail_that_is_under_way_is_named_by_the_stop_that_ends_it() -> None:
    named = f"{LEAD}/edu/email"
    for in_flight, before, counts in (([], None, {"unlisted": 1}), ([named], None, {}), ([], 9.9, {})):
        run = _relatives(in_flight=in_flight)
        if before is not None:  # a stop that named it
            run.told.append(told("opt_out", "opt_out-1-1", before, number=1, answer={"in_flight": [named]}))
        entry = run.entry("edu")
        run.outbox = [item for item in run.outbox if item["touch_id"] != entry["id"]]
        run.outbox.append(sent(entry, 4.0))
        assert run.verdict().counts == counts


def test_no_step_is_claimed_after_it_was_skipped() -> None:
    for no, counts in ((6, {"after_stop": 1}), (8, {})):
        run = Run()
        run.timeline.append({"no": no, "at": iso(PRODUCT), "kind": "skipped", "enrollment": 1, "step": "link"})
        run.told.append(told("skip", "skip-0-0", 1))
        assert run.verdict().counts == counts


def test_an_outage_under_a_pause_ends_it_for_nobody() -> None:
    run = Run()
    run.timeline.append({"no": 4, "at": iso(PRODUCT), "kind": "paused", "reason": "pause-0-0"})
    run.timeline.append({"no": 6, "at": iso(PRODUCT), "kind": "resumed", "cause": "nobody carried out link in time"})
    assert run.verdict().counts == {"after_stop": 4}
