"""The checker itself: a run in which all is well, and each kind of violation planted in it."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.faults import kept
from tests.faults.a_good_run import LEAD, PRODUCT, Run, iso, real, sent, task, told, touch
from tests.faults.checker import KINDS, SENT, Share, too_many, too_many_at_the_instant
from tests.faults.record import Json, Round, Struck
from tests.faults.seen import Lead, Seen, moment


def test_a_run_in_which_all_is_well() -> None:
    verdict = Run().verdict()
    assert verdict.violations == ()
    assert (verdict.leads, verdict.accepted, verdict.sent) == (2, 4, 7)
    assert (verdict.off.touches, verdict.off.unknown) == (7, 0)


def _sent_twice(run: Run) -> None:
    run.outbox.append(sent(run.entry("link"), 3.0) | {"id": "SM99"})


def _a_step_as_two_touches(run: Run) -> None:
    run.timeline.append(again := touch(7, "link", "sms", id="another id"))
    run.outbox.append(sent(again) | {"id": "SM99"})


def _a_second_try_of_what_arrived(run: Run) -> None:
    run.timeline.append(again := touch(13, "link", "sms.retry1", id="another id"))
    run.outbox.append(sent(again) | {"channel": "sms"})


def _a_message_twice(run: Run) -> None:
    """By a request that was carried out again: each time with an id of its own."""
    for no in (13, 14):
        run.timeline.append(own := touch(no, "staff", f"own-{no}", channel="sms"))
        run.outbox.append(sent(own) | {"body": "Our answer, message-0-3"})
    run.told.append(told("message", "message-0-3", 11, status=202, answer={"touch_id": own["id"]}))


def _of_no_timeline(run: Run) -> None:
    run.outbox.append(sent(run.entry("link")) | {"touch_id": "nobody's"})


def _without_a_touch(run: Run) -> None:
    run.outbox.append(sent(run.entry("link")) | {"touch_id": None})


def _shown_as_sent(run: Run) -> None:
    run.keep_from_carrier("bio")


def _shown_as_skipped(run: Run) -> None:
    run.entry("link").update(status="skipped", rule="booking.stands", reason="an appointment is booked")


def _shown_as_failed(run: Run) -> None:
    run.entry("link").update(status="failed", rule="carrier.drop", reason="refused")


def _left_delayed(run: Run) -> None:
    """Its time has come, the lead is active, and nobody is waited for."""
    run.state = "active"
    run.keep_from_carrier("link").update(status="delayed", due_at=iso(PRODUCT), claimed_at=None)
    run.timeline.append({"no": 13, "at": iso(PRODUCT), "kind": "resumed"})


def _left_claimed(run: Run) -> None:
    run.keep_from_carrier("link").update(status="claimed")


def _skipped_without_a_rule(run: Run) -> None:
    run.keep_from_carrier("link").update(status="skipped", rule=None, reason=None)


def _after_its_claim(run: Run) -> None:
    entry = run.keep_from_carrier("link")
    run.outbox.append(sent(entry, 15.5))


def _after_a_stop(run: Run) -> None:
    """By the clock: the fact before the stop's, and the claim after its answer."""
    entry = run.stopped[2]
    entry["claimed_at"] = iso(real(4.2))


def _claimed_after_the_fact(run: Run) -> None:
    """By the order of facts alone, though a clock says otherwise."""
    run.stopped[2]["no"] = 8


def _under_a_pause(run: Run) -> None:
    run.timeline.append({"no": 2, "at": iso(PRODUCT), "kind": "paused", "reason": "pause-0-1"})
    run.told += [told("pause", "pause-0-1", 4.0), told("resume", "resume-0-2", 6.0)]
    run.timeline.append({"no": 6, "at": iso(PRODUCT), "kind": "resumed"})


def _of_a_sequence_that_is_over(run: Run) -> None:
    run.timeline.append({"no": 6, "kind": "enrolled", "enrollment": 2, "sequence": "booked", "at": iso(PRODUCT)})


def _not_listed(run: Run) -> None:
    run.timeline.append({"no": 8, "at": iso(PRODUCT), "kind": "opt_out", "channels": ["sms", "voice", "email"]})
    run.drop("end")
    entry = run.keep_from_carrier("edu")
    entry["no"] = 7
    run.outbox.append(sent(entry, 2.0))
    run.told.append(told("opt_out", "opt_out-0-1", 8.5, answer={"in_flight": []}))


def _not_listed_by_a_booking(run: Run) -> None:
    entry = run.keep_from_carrier("edu")
    entry["no"] = 7
    run.timeline.append({"no": 8, "kind": "enrolled", "enrollment": 2, "sequence": "booked", "at": iso(PRODUCT)})
    run.outbox.append(sent(entry, 2.0))
    body = {"appointment_id": "appt-0", "occurred_at": iso(PRODUCT)}
    run.told.append(told("booked", "booked-0-1", 8.5, answer={"in_flight": []}, body=body))


def _a_note_lost(run: Run) -> None:
    run.timeline = [e for e in run.timeline if e["kind"] != "note"]


def _a_lead_lost(run: Run) -> None:
    run.told.append(told("ask", "ask-1", 0, number=77, status=202))


def _a_stop_lost(run: Run) -> None:
    run.told.append(told("stop_text", "STOP", 12.0))


def _a_message_lost(run: Run) -> None:
    run.told.append(told("message", "message-0-0", 2, status=202, answer={"touch_id": "gone"}))


def _an_old_event_obeyed(run: Run) -> None:
    earlier, later = iso(PRODUCT), iso(PRODUCT + timedelta(hours=1))
    for event, at, seconds in (("cancelled", later, 1.0), ("booked", earlier, 2.0)):
        run.told.append(told(event, event, seconds, body={"appointment_id": "appt-0", "occurred_at": at}))
    run.appointments = [{"id": "appt-0", "status": "booked"}]


def _an_inquiry_twice(run: Run) -> None:
    run.timeline.append({"no": 13, "at": iso(PRODUCT), "kind": "inquired"})


def _a_note_twice(run: Run) -> None:
    run.timeline.append({"no": 13, "at": iso(PRODUCT), "kind": "note", "text": "note-0-0"})


def _a_step_missing_at_the_end(run: Run) -> None:
    run.drop("end")


def _a_step_passed_over(run: Run) -> None:
    run.timeline.pop()
    run.drop("link")


def _a_step_long_due(run: Run) -> None:
    run.timeline.pop()
    run.state = "active"
    for step in ("edu", "end"):
        run.drop(step)
    run.drop("end", "task")


def _overdue(run: Run) -> None:
    run.restless[LEAD] = "active, next link long ago"


def _not_in_the_list(run: Run) -> None:
    run.entry("call1", "task")["hidden"] = True


def _unknown_without_a_task(run: Run) -> None:
    run.keep_from_carrier("link").update(status="unknown")
    run.struck.append(Struck("worker-1", "kill", real(7.1), real(7.1), 4711))


def _review(run: Run) -> None:
    run.timeline.append(task(14, None, "review", reason="unknown whether sms of step link went out"))


def _unknown_and_told(run: Run) -> None:
    run.entry("link")["status"] = "unknown"
    _review(run)


def _unknown_without_a_cause(run: Run) -> None:
    run.keep_from_carrier("link")["status"] = "unknown"
    _review(run)


def _an_answer_without_a_list(run: Run) -> None:
    run.told.append(told("pause", "pause-0-1", 20))


def _with_nothing_to_come(run: Run) -> None:
    run.state = "active"


PLANTED: list[tuple[str, Callable[[Run], None]]] = [
    ("duplicate", _sent_twice),
    ("duplicate", _a_step_as_two_touches),
    ("duplicate", _a_second_try_of_what_arrived),
    ("duplicate", _a_message_twice),
    ("stranger", _of_no_timeline),
    ("stranger", _without_a_touch),
    ("phantom", _shown_as_sent),
    ("denied", _shown_as_skipped),
    ("denied", _shown_as_failed),
    ("unfinished", _left_claimed),
    ("unfinished", _left_delayed),
    ("unexplained", _skipped_without_a_rule),
    ("late", _after_its_claim),
    ("after_stop", _after_a_stop),
    ("after_stop", _claimed_after_the_fact),
    ("after_stop", _under_a_pause),
    ("after_stop", _of_a_sequence_that_is_over),
    ("unlisted", _not_listed),
    ("unlisted", _an_answer_without_a_list),
    ("unlisted", _not_listed_by_a_booking),
    ("lost", _a_note_lost),
    ("lost", _a_lead_lost),
    ("lost", _a_stop_lost),
    ("lost", _a_message_lost),
    ("lost", _an_old_event_obeyed),
    ("doubled", _an_inquiry_twice),
    ("doubled", _a_note_twice),
    ("owed", _a_step_missing_at_the_end),
    ("owed", _a_step_passed_over),
    ("owed", _a_step_long_due),
    ("forgotten", _overdue),
    ("forgotten", _with_nothing_to_come),
    ("unlisted_task", _not_in_the_list),
    ("untasked", _unknown_without_a_task),
    ("unknown", _unknown_and_told),
    ("unknown", _unknown_without_a_cause),
]


@pytest.mark.parametrize(("kind", "plant"), PLANTED, ids=[plant.__name__.strip("_") for _, plant in PLANTED])
def test_a_planted_violation_is_found(kind: str, plant: Callable[[Run], None]) -> None:
    run = Run()
    plant(run)
    verdict = run.verdict()
    assert kind in verdict.counts, verdict.violations


def test_a_second_try_of_what_did_not_arrive_is_none() -> None:
    run = Run()
    _a_second_try_of_what_arrived(run)
    run.entry("link")["status"] = "undelivered"
    assert "duplicate" not in run.verdict().counts


def test_two_leads_of_one_inquiry_are_one_too_many() -> None:
    leads = {i: Lead(i, {"last_name": "Lead 0", "state": "active"}, []) for i in ("one", "two")}
    assert [v.kind for v in kept.check(Seen([], leads, {}, {}, ""), [])] == ["doubled"]


def test_every_kind_of_violation_was_planted() -> None:
    assert {kind for kind, _ in PLANTED} == set(KINDS)


def test_what_nobody_could_know_is_no_violation() -> None:
    """A worker that died at the very request, and a carrier that may take a message late: only then."""
    lossy: Json = {"lose_answer_rate": 0.1}
    for faults, victim, at, kinds in (
        (lossy, "worker-1", 7.1, {}),
        ({}, "worker-1", 7.1, {}),
        ({}, "worker-1", 9.5, {"unknown": 1}),
        ({}, "api", 7.1, {"unknown": 1}),
    ):
        run = Run()
        run.faults = faults
        _review(run)
        run.keep_from_carrier("link")["status"] = "unknown"
        run.struck.append(Struck(victim, "kill", real(at), real(at), 4711))
        verdict = run.verdict()
        assert verdict.counts == kinds
        share = verdict.on if faults else verdict.off
        assert (share.unknown, share.unsent) == (1, 1)


def test_so_many_unknown_ones_are_not_explained_by_errors_and_blows() -> None:
    run = Run()
    run.faults = {"error_rate": 0.03, "error_status": 500}
    run.struck.append(Struck("worker-1", "kill", real(7.1), real(7.1), 4711))
    rounds = run.rounds()
    assert too_many(Share(1000, 96, 96), rounds) == []
    assert [v.kind for v in too_many(Share(1000, 200, 97), rounds)] == ["unknown"]
    assert too_many(Share(1000, 200, 5), []) == []


def test_so_many_unknown_ones_are_not_all_of_the_instant_of_their_request() -> None:
    run = Run()
    run.struck = [Struck("worker-1", "kill", real(at), real(at), 4711) for at in range(100)]
    run.struck.append(Struck("api", "kill", real(101), real(101), 4712))
    rounds = run.rounds()
    assert too_many_at_the_instant(Share(1000, 9, 7), rounds) == []
    assert [v.kind for v in too_many_at_the_instant(Share(1000, 9, 8), rounds)] == ["unknown"]
    run.faults = {"error_rate": 0.03}
    assert [v.kind for v in too_many_at_the_instant(Share(1000, 9, 2), run.rounds())] == ["unknown"], "other rounds"


def test_a_carrier_that_drops_callbacks_may_leave_a_mail_unknown_and_no_text() -> None:
    for step, violations in (("bio", 0), ("link", 1)):
        run = Run()
        run.faults = {"lose_answer_rate": 1, "drop_callback_rate": 1}
        run.entry(step)["status"] = "unknown"
        run.timeline.append(
            task(14, None, "review", reason=f"unknown whether {run.entry(step)['channel']} of step {step} went out")
        )
        assert len(run.verdict().violations) == violations


def test_what_was_never_answered_may_have_happened_or_not() -> None:
    run = Run()
    run.told += [told("note", "note-0-1", 2, status=None), told("note", "note-0-2", 3, status=None)]
    run.timeline.append({"no": 13, "at": iso(PRODUCT), "kind": "note", "text": "note-0-2"})
    assert run.verdict().violations == ()


def test_a_touch_that_a_stop_lists_may_still_arrive() -> None:
    run = Run()
    _not_listed(run)
    run.told[-1] = replace(run.told[-1], answer={"in_flight": [f"{LEAD}/edu/email"]})
    assert "unlisted" not in run.verdict().counts


def test_what_a_later_round_lets_the_carrier_do_wrong_explains_what_was_claimed_in_it() -> None:
    """A lead that was not through with its sequence when its round ended."""
    run = Run()
    mail = next(t for t in run.timeline if t.get("channel") == "email" and t["status"] in SENT)
    mail["status"] = "unknown"
    run.timeline.append(task(14, None, "review", reason=f"unknown whether email of step {mail['step']} went out"))
    claimed, faults = moment(mail["claimed_at"]), {"drop_callback_rate": 0.1, "error_rate": 0.1}

    def judged(began: datetime) -> dict[str, int]:
        clock = json.dumps({"segments": [{"real": began.isoformat()}]})
        return run.verdict(Round(2, 2, 2, faults, clock, [], [])).counts

    assert judged(claimed - timedelta(seconds=1)) == {}
    assert judged(claimed + timedelta(seconds=1))["unknown"] > 0


def test_a_run_is_read_as_it_was_written(tmp_path: Path) -> None:
    run = Run()
    run.struck.append(Struck("api", "freeze", real(1), real(17), 4711))
    record = Round(1, 0, 2, {"latency_ms": 5}, "{}", run.told, run.struck)
    record.write(tmp_path / "round-000.json")
    assert Round.read(tmp_path / "round-000.json") == record


def test_a_call_that_waits_for_a_person_is_not_unfinished() -> None:
    run, later = Run(), PRODUCT + timedelta(days=10)
    _left_delayed(run)
    run.timeline.append(task(14, "link", state="open", claim_by=iso(later)))
    assert "unfinished" not in run.verdict().counts


def test_what_goes_on_after_an_outage_half_an_hour_apart_is_not_unfinished() -> None:
    run = Run()
    _left_delayed(run)
    run.timeline[-1]["at"] = iso(PRODUCT + timedelta(days=8, hours=23, minutes=45))
    assert "unfinished" not in run.verdict().counts
