"""Steering leads, booking, and work on tasks, over HTTP."""

import uuid
from datetime import timedelta
from typing import Any

import pytest

from domain import facts as f
from domain.access import Role
from domain.ports import InboundSms
from store import idempotency
from tests.api.office import PHONE, Office, is_problem


async def _call(office: Office, lead_id: str, within: timedelta = timedelta(minutes=10)) -> str:
    """An open call task of the lead, as the worker opens it."""
    task_id = str(uuid.uuid4())
    async with office.services.leads.lead(lead_id) as unit:
        opened = f.TaskOpened(
            task_id=task_id,
            task_kind=f.TaskKind.CALL,
            due_at=unit.now,
            claim_by=unit.now + within,
            enrollment=1,
            step="call1",
            part="call",
            script="first_call",
        )
        unit.append(opened, "system")
    return task_id


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


@pytest.mark.parametrize(
    ("verb", "body", "field"),
    [
        ("resume", {"mode": "catch_up"}, "mode"),
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
        ("notes", {"text": None}, "text"),
        ("assign", {"to": "nobody"}, "to"),
        ("assign", {"to": "00000000-0000-4000-8000-000000000000"}, "to"),
        ("skip", None, None),
    ],
)
async def test_a_command_names_the_field_that_is_wrong(office: Office, verb: str, body: Any, field: str | None) -> None:
    lead_id = await office.lead(phone=PHONE)
    answer = await office.ask("POST", f"/v1/leads/{lead_id}/{verb}", json=body)
    if field is None:
        assert answer.status_code == 200
    else:
        is_problem(answer, 422, field)


async def test_a_command_in_the_wrong_state_says_the_state(office: Office) -> None:
    lead_id = await office.lead(phone=PHONE)
    problem = is_problem(await office.ask("POST", f"/v1/leads/{lead_id}/resume", json={"mode": "shift"}), 409)
    assert problem["state"] == "starting"
    await office.post(f"/v1/leads/{lead_id}/disqualify", {"reason": "test"})
    for verb, body in (("pause", {"reason": "x"}), ("skip", None), ("disqualify", {"reason": "x"})):
        problem = is_problem(await office.ask("POST", f"/v1/leads/{lead_id}/{verb}", json=body), 409)
        assert problem["state"] == "finished"


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


# --- bookings ------------------------------------------------------------------------------------------------------


async def test_a_booking_ends_the_cadence_and_repeats_change_nothing(office: Office) -> None:
    lead_id = await office.lead(phone=PHONE)
    at = office.now.isoformat()
    first = await office.book(lead_id, occurred_at=at)
    again = await office.book(lead_id, occurred_at=at, starts_at=None)
    assert (first["changed"], again["changed"]) == (True, False)
    lead = await office.get(f"/v1/leads/{lead_id}")
    assert (lead["stage"], lead["sequence"]["key"]) == ("booked", "booked")
    assert lead["appointments"][0]["status"] == "booked"


async def test_a_scheduler_may_name_the_lead_by_its_address(office: Office) -> None:
    lead_id = await office.lead(phone=PHONE)
    body = {
        "event": "booked",
        "appointment_id": "a-2",
        "phone": "212-555-0142",
        "starts_at": (office.now + timedelta(days=2)).isoformat(),
        "occurred_at": office.now.isoformat(),
    }
    booked = await office.post("/v1/bookings", body, role=Role.SCHEDULER)
    assert (booked["lead_id"], booked["changed"]) == (lead_id, True)


@pytest.mark.parametrize(
    ("change", "status", "field"),
    [
        ({"event": "moved"}, 422, "event"),
        ({"starts_at": None}, 422, "starts_at"),
        ({"starts_at": "2026-11-23"}, 422, "starts_at"),
        ({"occurred_at": None}, 422, "occurred_at"),
        ({"appointment_id": ""}, 422, "appointment_id"),
        ({"appointment_id": "a\x00"}, 422, "appointment_id"),
        ({"lead_id": "x"}, 422, "lead_id"),
        ({"lead_id": None}, 404, None),
        ({"lead_id": str(uuid.UUID(int=7))}, 404, None),
        ({"lead_id": None, "email": "nobody@example.com"}, 404, None),
    ],
)
async def test_a_booking_that_cannot_be_is_refused(
    office: Office, change: dict[str, Any], status: int, field: str | None
) -> None:
    body = {
        "event": "booked",
        "appointment_id": "a-3",
        "lead_id": await office.lead(),
        "starts_at": "2026-12-01T15:00:00Z",
        "occurred_at": "2026-11-23T15:00:00Z",
    } | change
    body = {k: v for k, v in body.items() if v is not None}
    is_problem(await office.ask("POST", "/v1/bookings", json=body), status, field)


# --- tasks ---------------------------------------------------------------------------------------------------------


async def test_the_queue_shows_open_tasks_first_with_context_and_script(office: Office) -> None:
    lead_id = await office.lead(phone=PHONE, concern="First visit", service_line="medical_spa")
    call = await _call(office, lead_id)
    await office.services.inbound.reply(InboundSms("SM1:received", PHONE, "+12125550100", "Please call me"))
    items = (await office.get("/v1/tasks"))["items"]
    by_kind = {i["kind"]: i for i in items}
    assert set(by_kind) == {"call", "reply"}
    assert by_kind["reply"]["message"] == "Please call me"
    task = by_kind["call"]
    assert (task["id"], task["state"], task["lead_id"]) == (call, "open", lead_id)
    assert "Ada" in task["script"]
    assert task["lead"]["phone"] == PHONE
    assert task["lead"]["concern"] == "First visit"
    assert [i["kind"] for i in (await office.get("/v1/tasks?kind=reply&state=open"))["items"]] == ["reply"]
    assert (await office.get(f"/v1/tasks?lead_id={await office.lead()}"))["items"] == []
    assert (await office.get(f"/v1/tasks/{call}"))["id"] == call
    unread = (await office.get("/v1/tasks?kind=reply", Role.ENGINEER))["items"]
    assert unread[0]["message"] is None
    assert (await office.get("/v1/tasks", Role.COORDINATOR, "north"))["items"] == []
    is_problem(await office.ask("GET", f"/v1/tasks/{call}", Role.COORDINATOR, "north"), 404)
    is_problem(await office.ask("POST", f"/v1/tasks/{call}/claim", Role.COORDINATOR, "north"), 404)


async def test_the_queue_pages_over_states(office: Office) -> None:
    lead_id = await office.lead(phone=PHONE)
    made = [await _call(office, lead_id) for _ in range(5)]
    await office.post(f"/v1/tasks/{made[0]}/claim")
    await office.post(f"/v1/tasks/{made[1]}/claim")
    await office.post(f"/v1/tasks/{made[1]}/complete", {"disposition": "no_answer"})
    seen: list[str] = []
    states: list[str] = []
    cursor = ""
    while True:
        page = await office.get(f"/v1/tasks?limit=2{cursor}")
        seen += [i["id"] for i in page["items"]]
        states += [i["state"] for i in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert sorted(seen) == sorted(made)
    assert states == ["open", "open", "open", "claimed", "done"]


async def test_a_call_is_claimed_released_and_completed_by_hand(office: Office) -> None:
    call = await _call(office, await office.lead(phone=PHONE))
    claimed = await office.post(f"/v1/tasks/{call}/claim", {}, role=Role.COORDINATOR)
    assert (claimed["state"], claimed["claimed_by"]["name"]) == ("claimed", "coordinator")
    taken = is_problem(await office.ask("POST", f"/v1/tasks/{call}/claim", Role.MANAGER), 409)
    assert taken["state"] == "claimed"
    assert (await office.post(f"/v1/tasks/{call}/release", {}, role=Role.COORDINATOR))["state"] == "open"
    await office.post(f"/v1/tasks/{call}/claim", {}, role=Role.COORDINATOR)
    who: dict[str, Any] = {"role": Role.COORDINATOR}
    complete = f"/v1/tasks/{call}/complete"
    is_problem(await office.ask("POST", complete, json={}, **who), 422, "disposition")
    answered = {"disposition": "answered_by_person"}
    is_problem(await office.ask("POST", complete, json=answered, **who), 422, "outcome")
    done = await office.post(complete, answered | {"outcome": "reached", "notes": "Will come"}, **who)
    assert (done["state"], done["outcome"], done["notes"]) == ("done", "reached", "Will come")
    is_problem(await office.ask("POST", complete, json=answered, **who), 409)


async def test_dialling_plans_one_call(office: Office) -> None:
    lead_id = await office.lead(phone=PHONE)
    call = await _call(office, lead_id)
    is_problem(await office.ask("POST", f"/v1/tasks/{call}/dial"), 409)
    await office.post(f"/v1/tasks/{call}/claim")
    assert (await office.post(f"/v1/tasks/{call}/dial", {}, 202))["state"] == "claimed"
    is_problem(await office.ask("POST", f"/v1/tasks/{call}/dial"), 409)
    touches = [i for i in (await office.get(f"/v1/leads/{lead_id}/timeline"))["items"] if i["kind"] == "touch"]
    assert [(t["channel"], t["task_id"], t["status"]) for t in touches] == [("voice", call, "planned")]


@pytest.mark.parametrize("task_id", [str(uuid.UUID(int=7)), "none"])
async def test_unknown_tasks_are_not_found(office: Office, task_id: str) -> None:
    is_problem(await office.ask("GET", f"/v1/tasks/{task_id}"), 404)
    for verb in ("claim", "release", "dial", "complete"):
        is_problem(await office.ask("POST", f"/v1/tasks/{task_id}/{verb}", json={}), 404)


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
