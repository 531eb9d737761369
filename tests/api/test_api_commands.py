"""Steering leads over HTTP."""

import json
import uuid
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event

from domain import facts as f
from domain.access import Role
from domain.ports import InboundSms
from domain.touches import Channel
from store import idempotency
from store.keys import create_key
from tests.api.office import EMAIL, PHONE, Office, is_problem
from tests.api.test_api_voice import ringing


async def test_stops_answer_with_the_new_state_while_temporal_is_away(office: Office) -> None:
    lead_id = await office.lead(phone=PHONE)
    paused = await office.post(f"/v1/leads/{lead_id}/pause", {"reason": "asked for time"})
    assert paused == {
        "lead_id": lead_id,
        "state": "paused",
        "stage": "new",
        "paused": True,
        "workflow": "pending",
        "in_flight": [],
    }
    stopped = await office.post(f"/v1/leads/{lead_id}/opt-out")
    assert (stopped["state"], stopped["workflow"]) == ("finished", "pending")
    lead = await office.get(f"/v1/leads/{lead_id}")
    assert lead["exit_reason"] == "opted_out"
    stops = {a["kind"]: [s["channel"] for s in a["stops"]] for a in lead["addresses"]}
    assert stops == {"phone": ["sms", "voice"], "email": ["email"]}


async def test_a_stop_holds_for_a_later_lead_with_the_number(office: Office) -> None:
    await office.post(f"/v1/leads/{await office.lead(phone=PHONE)}/opt-out", {"channels": ["voice"]})
    later = await office.get(f"/v1/leads/{await office.lead(phone=PHONE, first_name='Bertram', email=None)}")
    assert [s["channel"] for s in later["addresses"][0]["stops"]] == ["sms", "voice"]
    assert later["open_tasks"][0]["kind"] == "review"


async def test_a_stop_names_what_is_in_flight_to_its_address_whosever_it_is(office: Office) -> None:
    ada = await office.lead(phone=PHONE, email=EMAIL)
    bertram = await office.lead(phone=PHONE, first_name="Bertram", email=None)
    stranger = await office.lead(phone="+12125550177", first_name="Cleo", email=None)
    own, shared = await office.claimed(ada), await office.claimed(bertram)
    await office.claimed(stranger)
    paused = await office.post(f"/v1/leads/{ada}/pause", {"reason": "asked for time"})
    assert paused["in_flight"] == [own]  # a pause is of one lead
    mails = await office.post(f"/v1/leads/{ada}/opt-out", {"channels": ["email"]})
    assert mails["in_flight"] == [own]
    stopped = await office.post(f"/v1/leads/{ada}/opt-out", {"channels": ["sms"]})
    assert stopped["in_flight"] == [own, shared]
    entries = (await office.get(f"/v1/leads/{ada}/timeline"))["items"]
    told = {entry["kind"]: entry.get("in_flight") for entry in entries}
    assert told["paused"] == told["opt_out"] == [own]
    assert told["enrolled"] is None


async def test_a_booking_names_what_is_in_flight(office: Office) -> None:
    lead = await office.lead(phone=PHONE)
    own = await office.claimed(lead)
    assert (await office.book(lead))["in_flight"] == [own]
    entries = (await office.get(f"/v1/leads/{lead}/timeline"))["items"]
    assert [e["in_flight"] for e in entries if e["kind"] == "appointment"] == [[own]]


async def test_a_booking_names_what_is_in_flight_to_the_same_person_of_another_lead(office: Office) -> None:
    before = await office.lead(phone=PHONE, email=None)
    await office.post(f"/v1/leads/{before}/disqualify", {"reason": "asked elsewhere"})
    lead = await office.lead(phone=PHONE, email=None)
    own = await office.claimed(lead)
    assert (await office.book(before))["in_flight"] == [own]
    entries = (await office.get(f"/v1/leads/{lead}/timeline"))["items"]
    assert [e["in_flight"] for e in entries if e["kind"] == "finished"] == [[own]]


async def _words(office: Office, lead_id: str, channel: str = "sms") -> str:
    """A person's own, which wait while nobody carries them out."""
    body = {"channel": channel, "body": "Do come."}
    return str((await office.post(f"/v1/leads/{lead_id}/messages", body, 202))["touch_id"])


async def _told(office: Office, lead_id: str) -> dict[str, list[str] | None]:
    """What each kind of entry names as in flight."""
    entries = (await office.get(f"/v1/leads/{lead_id}/timeline"))["items"]
    return {entry["kind"]: entry.get("in_flight") for entry in entries}


@pytest.mark.parametrize(("verb", "entry"), [("pause", "paused"), ("disqualify", "decision")])
async def test_a_persons_own_words_that_wait_are_named_for_they_still_go(office: Office, verb: str, entry: str) -> None:
    lead = await office.lead(phone=PHONE, email=EMAIL)
    words = [await _words(office, lead), await _words(office, lead, "email")]
    answer = await office.post(f"/v1/leads/{lead}/{verb}", {"reason": "asked for time"})
    assert answer["in_flight"] == words
    assert (await _told(office, lead))[entry] == words


async def test_own_words_that_wait_are_named_by_a_booking_also_those_to_the_person_of_another_lead(
    office: Office,
) -> None:
    before = await office.lead(phone=PHONE, email=None)
    await office.post(f"/v1/leads/{before}/disqualify", {"reason": "asked elsewhere"})
    lead = await office.lead(phone=PHONE, email=None)
    words, others = await _words(office, before), await _words(office, lead)
    assert (await office.book(before))["in_flight"] == [words, others]
    assert (await _told(office, before))["appointment"] == [words]
    assert (await _told(office, lead))["finished"] == [others]


async def test_own_words_that_wait_are_named_by_an_enrollment(office: Office) -> None:
    lead = await office.lead(phone=PHONE)
    words = await _words(office, lead)
    assert (await office.post(f"/v1/leads/{lead}/enroll", {"sequence": "recovery"}))["in_flight"] == [words]


async def test_a_call_is_named_while_the_line_of_who_dialled_rings(office: Office) -> None:
    call = await ringing(office)
    paused = await office.post(f"/v1/leads/{call.lead_id}/pause", {"reason": "asked for time"})
    assert paused["in_flight"] == [call.touch]
    assert (await _told(office, call.lead_id))["paused"] == [call.touch]
    assert (await call.press()).find("Dial") is not None, "a person asked for it"


async def test_an_opt_out_names_own_words_that_wait_on_the_channels_it_leaves_open(office: Office) -> None:
    lead = await office.lead(phone=PHONE, email=EMAIL)
    words, _mail = await _words(office, lead), await _words(office, lead, "email")
    mails = await office.post(f"/v1/leads/{lead}/opt-out", {"channels": ["email"]})
    assert mails["in_flight"] == [words]
    assert (await _told(office, lead))["opt_out"] == [words]


async def test_an_opt_out_names_what_may_still_come_to_a_relative_whom_it_ends_too(office: Office) -> None:
    """Told again as well: the first answer may have been lost."""
    lead = await office.lead(phone=PHONE, email=None)
    relative = await office.lead(phone=PHONE, first_name="Ben", email=EMAIL)
    mail = await office.claimed(relative, Channel.EMAIL)
    answers = [await office.post(f"/v1/leads/{lead}/opt-out") for _ in range(2)]
    assert [answer["in_flight"] for answer in answers] == [[mail], [mail]]
    assert (await _told(office, relative))["finished"] == [mail]


async def test_an_opt_out_names_nothing_of_the_owner_of_a_mistyped_number_nor_the_owners_of_who_mistyped_it(
    office: Office,
) -> None:
    mistyped = await office.lead(phone=PHONE, email=EMAIL)
    async with office.services.leads.lead(mistyped) as unit:
        unit.append(f.Suppressed(channels=(Channel.SMS, Channel.VOICE), cause="wrong_number"), "desk")
    owner = await office.lead(phone=PHONE, first_name="Olga", email=None)
    mail, text = await office.claimed(mistyped, Channel.EMAIL), await office.claimed(owner)
    for lead, flying in ((mistyped, mail), (owner, text)):
        assert (await office.post(f"/v1/leads/{lead}/opt-out"))["in_flight"] == [flying]


async def test_an_opt_out_of_everything_names_no_words_that_wait_and_no_call_that_rings(office: Office) -> None:
    call = await ringing(office)
    await _words(office, call.lead_id)
    await _words(office, call.lead_id, "email")
    assert (await office.post(f"/v1/leads/{call.lead_id}/opt-out"))["in_flight"] == []
    told = await _told(office, call.lead_id)
    assert told["opt_out"] is told["finished"] is None


@pytest.mark.parametrize(
    ("verb", "body", "field"),
    [
        ("resume", {"mode": "hurry"}, "mode"),
        ("resume", {}, "mode"),
        ("pause", {}, "reason"),
        ("pause", {"reason": "x", "until": "2020-01-01T00:00:00Z"}, "until"),
        ("pause", {"reason": "x", "until": "soon"}, "until"),
        ("opt-out", {"channels": ["fax"]}, "channels[0]"),
        ("opt-out", {"channels": []}, "channels"),
        ("disqualify", {"reason": " "}, "reason"),
        ("enroll", {"sequence": "none_such"}, "sequence"),
        ("enroll", {"sequence": "recovery", "version": 99}, "version"),
        ("messages", {"channel": "voice", "body": "x"}, "channel"),
        ("messages", {"channel": "sms", "body": ""}, "body"),
        ("messages", {"channel": "sms", "body": "x" * 1601}, "body"),
        ("messages", {"channel": "sms", "body": "a\x00b"}, "body"),
        ("messages", {"channel": "sms", "body": "\ud800"}, "body"),
        ("disqualify", {"reason": "\ud800"}, "reason"),
        ("notes", {"text": "a\x00b"}, "text"),
        ("notes", {"text": "\udfff"}, "text"),
        ("notes", {"text": None}, "text"),
        ("assign", {"to": "nobody"}, "to"),
        ("assign", {"to": "00000000-0000-4000-8000-000000000000"}, "to"),
        ("skip", None, None),
    ],
)
async def test_a_command_names_the_field_that_is_wrong(office: Office, verb: str, body: Any, field: str | None) -> None:
    lead_id = await office.lead(phone=PHONE)
    headers = {"Content-Type": "application/json"}
    answer = await office.ask("POST", f"/v1/leads/{lead_id}/{verb}", content=json.dumps(body), headers=headers)
    if field is None:
        assert answer.status_code == 200
    else:
        is_problem(answer, 422, field)


async def test_a_lead_is_given_to_nobody_who_cannot_see_it(office: Office) -> None:
    lead_id = await office.lead(phone=PHONE)
    async with office.services.store.engine.begin() as conn:
        made = await create_key(conn, office.services.store.vault, name="form", role=Role.INTAKE, facilities=())
    is_problem(await office.ask("POST", f"/v1/leads/{lead_id}/assign", json={"to": made[0]}), 422, "to")


async def test_a_message_may_be_as_long_as_its_channel_takes(office: Office) -> None:
    lead_id = await office.lead(phone=PHONE, email=EMAIL)
    for channel, length in (("sms", 1600), ("email", 4000)):
        await office.post(f"/v1/leads/{lead_id}/messages", {"channel": channel, "body": "x" * length}, 202)


async def test_an_answer_says_how_far_it_has_read_and_leaves_newer_texts_to_be_read(office: Office) -> None:
    lead_id = await office.lead(phone=PHONE)
    path, answer = f"/v1/leads/{lead_id}", {"channel": "sms", "body": "Yes."}
    await office.services.inbound.reply(InboundSms("SM1:received", PHONE, "+12125550100", "May I come on Friday?"))
    seen = max(i["no"] for i in (await office.get(f"{path}/timeline"))["items"])
    await office.services.inbound.reply(InboundSms("SM2:received", PHONE, "+12125550100", "No, can I cancel?"))
    is_problem(await office.ask("POST", f"{path}/messages", json=answer | {"read_to": seen}), 409)
    tasks = (await office.get(f"/v1/tasks?lead_id={lead_id}&kind=reply&state=open"))["items"]
    assert len(tasks) == 2
    seen = max(i["no"] for i in (await office.get(f"{path}/timeline"))["items"])
    await office.post(f"{path}/messages", answer | {"read_to": seen}, 202)
    assert {(await office.get(f"/v1/tasks/{task['id']}"))["state"] for task in tasks} == {"done"}


@pytest.mark.parametrize("q", ["a\x00b", "\ud800"])
async def test_a_search_that_cannot_be_is_refused(office: Office, q: str) -> None:
    headers = {"Content-Type": "application/json"}
    content = json.dumps({"q": q})
    is_problem(await office.ask("POST", "/v1/leads/search", content=content, headers=headers), 422, "q")


async def test_a_command_in_the_wrong_state_says_the_state(office: Office) -> None:
    lead_id = await office.lead(phone=PHONE)
    problem = is_problem(await office.ask("POST", f"/v1/leads/{lead_id}/resume", json={"mode": "shift"}), 409)
    assert problem["state"] == "starting"
    await office.post(f"/v1/leads/{lead_id}/disqualify", {"reason": "test"})
    for verb, body in (("pause", {"reason": "x"}), ("skip", None), ("disqualify", {"reason": "x"})):
        problem = is_problem(await office.ask("POST", f"/v1/leads/{lead_id}/{verb}", json=body), 409)
        assert problem["state"] == "finished"


async def test_a_resume_that_names_what_it_means_ends_nothing_else(office: Office) -> None:
    path = f"/v1/leads/{await office.lead(phone=PHONE)}"
    await office.post(f"{path}/pause", {"reason": "on holiday"})
    wrong = {"mode": "shift", "of": "review"}
    problem = is_problem(await office.ask("POST", f"{path}/resume", json=wrong), 409)
    assert (problem["state"], "the pause is what holds it" in problem["detail"]) == ("paused", True)
    for of in ("hold", ""):  # an empty one is no slip that may end whatever stands
        is_problem(await office.ask("POST", f"{path}/resume", json=wrong | {"of": of}), 422)
    is_problem(await office.ask("POST", f"{path}/skip", json={"step": ""}), 422)
    assert (await office.post(f"{path}/resume", {"mode": "shift", "of": "pause"}))["paused"] is False
    items = (await office.get(f"{path}/timeline"))["items"]
    assert [i["of"] for i in items if i["kind"] == "resumed"] == ["all"]


@pytest.mark.parametrize("mode", ["shift", "catch_up", "skip_expired"])
async def test_a_pause_is_resumed_in_any_mode_and_the_timeline_says_which(office: Office, mode: str) -> None:
    path = f"/v1/leads/{await office.lead(phone=PHONE)}"
    await office.post(f"{path}/pause", {"reason": "on holiday"})  # with the confirmation due
    resumed = await office.post(f"{path}/resume", {"mode": mode})
    assert resumed["paused"] is False
    items = (await office.get(f"{path}/timeline"))["items"]
    assert [i["mode"] for i in items if i["kind"] == "resumed"] == [mode]
    left_out = [(i["step"], i["rule"], i["reason"]) for i in items if i["kind"] == "touch"]
    expired = [("confirm", "resume.expired", "its time passed while the lead was paused")]
    assert left_out == (expired if mode == "skip_expired" else [])
    steps = [u["step"] for u in (await office.get(f"{path}/upcoming"))["items"]]
    assert steps[0] == ("call1" if mode == "skip_expired" else "confirm")


async def test_what_cannot_be_resumed_in_a_mode_says_which_can(office: Office) -> None:
    lead_id = await office.lead(phone=PHONE)
    async with office.services.leads.lead(lead_id) as unit:
        unit.append(f.Rested(cause="asked for time", until=unit.now + timedelta(days=1)), "system")
    await office.post(f"/v1/leads/{lead_id}/pause", {"reason": "on holiday"})
    problem = is_problem(await office.ask("POST", f"/v1/leads/{lead_id}/resume", json={"mode": "catch_up"}), 409)
    assert "resume with shift ends the pause alone" in problem["detail"]
    await office.post(f"/v1/leads/{lead_id}/resume", {"mode": "shift"})
    await office.post(f"/v1/leads/{lead_id}/resume", {"mode": "catch_up"})


@pytest.mark.parametrize("lead_id", [str(uuid.UUID(int=7)), "none", "1 or 1=1"])
async def test_commands_on_unknown_leads_are_not_found(office: Office, lead_id: str) -> None:
    for verb, body in (
        ("pause", {"reason": "x"}), ("resume", {"mode": "shift"}), ("skip", None), ("opt-out", None),
        ("disqualify", {"reason": "x"}), ("enroll", {"sequence": "recovery"}), ("notes", {"text": "x"}),
        ("messages", {"channel": "sms", "body": "x"}), ("assign", {"to": str(uuid.uuid4())}),
    ):  # fmt: skip
        is_problem(await office.ask("POST", f"/v1/leads/{lead_id}/{verb}", json=body), 404)


@pytest.mark.parametrize("path", ["merge", "explain", "bulk"])
async def test_what_nobody_asked_for_yet_is_absent(office: Office, path: str) -> None:
    lead_id = await office.lead()
    is_problem(await office.ask("POST", f"/v1/leads/{lead_id}/{path}", json={}), 404)
    for other in ("/v1/events", "/v1/sequences", "/v1/leads/bulk", f"/v1/tasks/{lead_id}/snooze"):
        assert (await office.ask("POST", other, json={})).status_code in (404, 405)


async def test_a_wrong_method_and_an_unknown_address_are_problems(office: Office) -> None:
    wrong = await office.ask("DELETE", "/v1/leads")
    is_problem(wrong, 405)
    assert wrong.headers["allow"]
    is_problem(await office.ask("GET", "/v1/nothing"), 404)
    is_problem(await office.ask("GET", "/v1/leads/"), 404)


# --- once ----------------------------------------------------------------------------------------------------------


async def test_a_command_and_its_key_are_one_transaction(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the answer cannot be kept, nothing has been done either: the same request may come again."""
    lead_id, key = await office.lead(phone=PHONE), {"Idempotency-Key": "note-1"}
    path, note = f"/v1/leads/{lead_id}/notes", {"text": "once"}

    async def lost(*_: object) -> None:
        raise ConnectionError

    with monkeypatch.context() as patch:
        patch.setattr(idempotency, "finish", lost)
        is_problem(await office.ask("POST", path, json=note, headers=key), 500)
    for _ in range(2):
        await office.post(path, note, headers=key)
    items = (await office.get(f"/v1/leads/{lead_id}/timeline"))["items"]
    assert [i["text"] for i in items if i["kind"] == "note"] == ["once"]


async def test_a_change_is_one_transaction(office: Office) -> None:
    """The look-up of the key is the other one: it comes before the body is read, and writes nothing of the request."""
    call = await office.call(await office.lead(phone=PHONE))
    await office.key(Role.ADMIN)
    commits: list[object] = []
    event.listen(office.services.store.engine.sync_engine, "commit", commits.append)
    await office.post(f"/v1/tasks/{call}/claim")
    assert len(commits) == 2
