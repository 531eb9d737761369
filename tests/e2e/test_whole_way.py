"""The whole way of a lead on the real stack: a worker killed in the middle, everything stopped and started again."""

import base64
import sqlite3
from collections import Counter
from datetime import datetime

import psycopg
import pytest

from domain.patience import PATIENCE
from stack.carrier import STAFF_PHONE
from store.engine import plain_url
from tests.e2e.story import SENT, Story, Told
from tests.e2e.traces import search

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("whole_way")]


async def test_every_expected_touch_is_at_the_carrier_exactly_once(story: Story) -> None:
    arrived = Counter(item["touch_id"] for item in story.outbox)
    assert None not in arrived, "something reached the carrier without saying which touch it is"
    assert [touch for touch, times in arrived.items() if times > 1] == []

    told = {touch["id"]: (lead, touch) for lead in story.leads for touch in lead.touches}
    assert set(arrived) <= set(told), "something was sent that no timeline knows"
    for touch_id, (lead, touch) in told.items():
        where = f"{lead.person.persona}: {touch['step']}/{touch['part']} {touch['status']}"
        match touch["status"]:
            case "accepted" | "delivered" | "undelivered":
                assert arrived[touch_id] == 1, where
            case "unknown":
                assert arrived[touch_id] <= 1, where
                reviews = [t for t in lead.kind("task") if t["task_kind"] == "review"]
                assert any(touch["step"] in (task.get("reason") or "") for task in reviews), where
            case "skipped" | "failed" if touch["channel"] == "voice" and touch.get("task_id"):
                assert arrived[touch_id] <= 1, where  # the coordinator's line rang, and the lead was not dialled
                assert touch.get("reason"), where
            case "skipped" | "missed":
                assert arrived[touch_id] == 0, where
                assert touch.get("reason"), where
            case _:
                pytest.fail(f"left behind: {where}")

    by_touch = {item["touch_id"]: item for item in story.outbox}
    for touch_id, item in by_touch.items():
        lead, touch = told[touch_id]
        assert item["channel"] == touch["channel"]
        # a call is placed to the coordinator, whose key has the lead dialled
        assert item["to"] in ((STAFF_PHONE,) if touch["channel"] == "voice" else (lead.person.phone, lead.person.email))


async def test_a_silent_lead_gets_the_reference_cadence(story: Story) -> None:
    for lead in story.of("silent"):
        _reference(lead)
        assert lead.summary["exit_reason"] == "exhausted"


async def test_voicemail_is_no_answer_and_the_cadence_goes_on(story: Story) -> None:
    (lead,) = story.of("voicemail")
    _reference(lead)
    calls = [task for task in lead.kind("task") if task["task_kind"] == "call"]
    ends = {(task["state"], task.get("disposition")) for task in calls}
    assert ("done", "voicemail") in ends, lead.describe()
    assert ends <= {("done", "voicemail"), ("missed", None), ("missed", "voicemail")}, lead.describe()
    for task in calls:
        if (task["state"], task.get("disposition")) == ("missed", "voicemail"):
            ran_out = task["history"][-1]["at"]  # parts were away for so long that the carrier was heard after it
            assert any(call["at"] >= ran_out for call in lead.kind("call")), lead.describe()


async def test_an_eager_lead_is_answered_by_a_person_before_the_cadence_goes_on(story: Story) -> None:
    (lead,) = story.of("eager")
    (reply,) = lead.kind("reply")
    tasks = [task for task in lead.kind("task") if task["task_kind"] == "reply"]
    assert [task["state"] for task in tasks] == ["done"]
    answers = [touch for touch in lead.touches if touch["step"] == "staff" and touch["channel"] == "sms"]
    assert [touch["status"] in SENT for touch in answers] == [True]
    rested, resumed = lead.kind("rested")[0], lead.kind("resumed")[0]
    assert reply["no"] < rested["no"] < resumed["no"]
    machine = [t for t in lead.touches if t["step"] != "staff" and not t.get("task_id") and t["status"] in SENT]
    assert not [t for t in machine if rested["no"] < t["no"] < resumed["no"]], lead.describe()
    _reference(lead)


async def test_after_a_stop_nothing_goes_out_but_its_confirmation(story: Story) -> None:
    (lead,) = story.of("opts_out")
    (stop,) = lead.kind("opt_out")
    assert lead.summary["exit_reason"] == "opted_out"
    after = [t for t in lead.touches if t["no"] > stop["no"] and t["status"] in SENT | {"unknown"}]
    confirmed = [t for t in lead.touches if t["step"] == "stop"]
    assert [t["channel"] for t in confirmed] == ["sms"]
    if confirmed[0]["status"] == "skipped":  # parts were away for so long that it may not go out any more
        assert confirmed[0]["rule"] == "stop.confirmation_late", lead.describe()
        late = datetime.fromisoformat(confirmed[0]["at"]) - datetime.fromisoformat(stop["at"])
        assert late > PATIENCE.confirmation, lead.describe()
        assert after == [], lead.describe()
    else:
        assert after == confirmed, lead.describe()
    assert lead.sent()["confirm", "sms"] == 1


async def test_an_answered_call_takes_the_place_of_the_mail_after_it(story: Story) -> None:
    (lead,) = story.of("answers")
    (call,) = [t for t in lead.kind("task") if t.get("step") == "call1" and t["task_kind"] == "call"]
    assert (call["state"], call.get("disposition")) in {("done", "answered_by_person"), ("missed", None)}
    (bio,) = [touch for touch in lead.touches if touch["step"] == "bio"]
    if call["state"] == "done":
        assert (bio["status"], bio.get("rule")) == ("skipped", "when")
        _reference(lead, without={("bio", "email")})
    else:  # nobody claimed it in time
        assert bio["status"] in SENT
        _reference(lead)


async def test_a_booking_ends_the_cadence_and_the_visit_converts(story: Story) -> None:
    (lead,) = story.of("books")
    booked = _booked(lead)
    assert [a["event"] for a in lead.kind("appointment")] == ["booked", "arrived", "completed"]
    assert lead.summary["exit_reason"] == lead.summary["stage"] == "converted"
    assert [e["sequence"] for e in lead.kind("enrolled")] == ["consultation", "booked"]
    later = [t for t in lead.touches if t["no"] > booked["no"] and t["enrollment"] == 1 and t["status"] in SENT]
    assert later == [], lead.describe()


async def test_a_no_show_is_offered_a_new_time(story: Story) -> None:
    (lead,) = story.of("no_show")
    _booked(lead)
    assert [e["sequence"] for e in lead.kind("enrolled")] == ["consultation", "booked", "recovery"]
    recovery = lead.sent(enrollment=3)
    assert recovery["link", "sms"] == 1, lead.describe()
    assert recovery["mail", "email"] == 1, lead.describe()
    assert lead.called("call"), lead.describe()


async def test_nothing_of_a_person_is_in_clear_and_a_planted_word_is_found(story: Story) -> None:
    directory = story.launched.directory
    url = plain_url(story.launched.endpoints["database_url"])
    words = set(story.words)
    assert {person.person.phone for person in story.leads} < words
    assert any("remedy" in word for word in words)
    assert any("Yes, please" in word for word in words), "what a lead wrote belongs to the words"
    assert search(directory, url, words) == []

    lead = story.leads[0].person
    with psycopg.connect(url, autocommit=True) as database:
        database.execute("CREATE TABLE planted (clear text, sealed bytea)")
        database.execute("INSERT INTO planted VALUES (%s, %s)", (lead.phone[1:], lead.last_name.encode()))
    with sqlite3.connect(directory.temporal, timeout=20) as temporal:
        temporal.execute("CREATE TABLE planted (data BLOB)")
        temporal.execute("INSERT INTO planted VALUES (?)", (b"\x07\x01" + lead.email.upper().encode(),))
    temporal.close()
    encoded = base64.b64encode(f"it is about: {lead.concern}".encode()).decode()
    (directory.logs / "planted.log").write_text(f"payload {encoded}\n")

    found = set(search(directory, url, words))
    assert {("dump", lead.phone), ("dump", lead.last_name), ("planted.log", lead.concern)} <= found
    assert any(place.startswith("temporal.db") and word == lead.email for place, word in found)


def _reference(lead: Told, without: set[tuple[str, str]] = frozenset()) -> None:  # type: ignore[assignment]
    """Two texts, three mails, three calls, each once; a text or mail whose outcome nobody knows has its task."""
    unknown = {(t["step"], t["channel"]) for t in lead.touches if t["status"] == "unknown"}
    wanted = {("confirm", "sms"), ("link", "sms"), ("bio", "email"), ("edu", "email"), ("end", "email")}
    sent = {what: n for what, n in lead.sent(1).items() if what[1] != "voice" and what[0] != "staff"}
    assert sent == dict.fromkeys(wanted - without - unknown, 1), lead.describe()
    for step in ("call1", "call2", "end"):
        assert lead.called(step), lead.describe()


def _booked(lead: Told) -> dict[str, object]:
    """Booked from the link in a text; confirmations and reminders sent once, or refused because it had begun."""
    first = lead.kind("appointment")[0]
    assert first["event"] == "booked"
    assert first["by"] == "lead"
    assert lead.sent(1)["link", "sms"] == 1
    touches = [t for t in lead.touches if t["enrollment"] == 2]
    assert {t["step"] for t in touches} <= {"confirm", "remind_day", "remind_hours"}
    for touch in touches:
        late = (touch.get("rule") or "").startswith("late.")
        assert touch["status"] in SENT or late, lead.describe()
    return first
