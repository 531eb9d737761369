"""The queue, and work on tasks, over HTTP."""

import uuid
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import update
from sqlalchemy.exc import OperationalError

from domain import facts as f
from domain.access import Role
from domain.ports import InboundSms
from store import tables
from tests.api.office import PHONE, Office, is_problem


async def test_the_queue_shows_open_tasks_first_with_context_and_script(office: Office) -> None:
    lead_id = await office.lead(phone=PHONE, concern="First visit", service_line="medical_spa")
    call = await office.call(lead_id)
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


async def test_each_text_is_somebodys_to_read_and_the_lead_rests_until_all_are(office: Office) -> None:
    lead_id, texts = await office.lead(phone=PHONE), ("How much is it?", "Actually, I went elsewhere, thank you.")
    for no, text in enumerate(texts):
        await office.services.inbound.reply(InboundSms(f"SM{no}:received", PHONE, "+12125550100", text))
    for read, text in enumerate(texts):
        waiting = (await office.get("/v1/tasks?kind=reply&state=open"))["items"]
        assert [task["message"] for task in waiting] == list(texts[read:])
        await office.post(f"/v1/tasks/{waiting[0]['id']}/complete", {})
        lead = await office.get(f"/v1/leads/{lead_id}")
        assert (lead["state"], lead["next_step"]["at"] is None) == ("resting", text != texts[-1])


async def test_the_queue_pages_over_states(office: Office) -> None:
    lead_id = await office.lead(phone=PHONE)
    made = [await office.call(lead_id) for _ in range(5)]
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
    call = await office.call(await office.lead(phone=PHONE))
    claimed = await office.post(f"/v1/tasks/{call}/claim", {}, role=Role.COORDINATOR)
    assert (claimed["state"], claimed["claimed_by"]["name"]) == ("claimed", "coordinator")
    taken = is_problem(await office.ask("POST", f"/v1/tasks/{call}/claim", Role.MANAGER), 409)
    assert taken["state"] == "claimed"
    assert (await office.post(f"/v1/tasks/{call}/release", {}, role=Role.COORDINATOR))["state"] == "open"
    unclaimed = {"disposition": "busy"}
    assert is_problem(await office.ask("POST", f"/v1/tasks/{call}/complete", json=unclaimed), 409)["state"] == "open"
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
    call = await office.call(lead_id)
    is_problem(await office.ask("POST", f"/v1/tasks/{call}/dial"), 409)
    await office.post(f"/v1/tasks/{call}/claim")
    assert (await office.post(f"/v1/tasks/{call}/dial", {}, 202))["state"] == "claimed"
    is_problem(await office.ask("POST", f"/v1/tasks/{call}/dial"), 409)
    touches = [i for i in (await office.get(f"/v1/leads/{lead_id}/timeline"))["items"] if i["kind"] == "touch"]
    assert [(t["channel"], t["task_id"], t["status"]) for t in touches] == [("voice", call, "planned")]


async def test_who_has_no_phone_of_their_own_is_told_how_to_get_one(office: Office) -> None:
    lead_id = await office.lead(phone=PHONE)
    call = await office.call(lead_id)
    await office.post(f"/v1/tasks/{call}/claim", role=Role.MANAGER)
    refused = is_problem(await office.ask("POST", f"/v1/tasks/{call}/dial", Role.MANAGER), 409)
    assert "tend keys create --phone" in refused["detail"]
    timeline = (await office.get(f"/v1/leads/{lead_id}/timeline"))["items"]
    assert [i for i in timeline if i["kind"] == "touch" and i["channel"] == "voice"] == []


@pytest.mark.parametrize("task_id", [str(uuid.UUID(int=7)), "none"])
async def test_unknown_tasks_are_not_found(office: Office, task_id: str) -> None:
    is_problem(await office.ask("GET", f"/v1/tasks/{task_id}"), 404)
    for verb in ("claim", "release", "dial", "complete"):
        is_problem(await office.ask("POST", f"/v1/tasks/{task_id}/{verb}", json={}), 404)


async def test_where_a_claim_cannot_be_shown_it_was_not_made(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    call = await office.call(await office.lead(phone=PHONE))

    async def away(*_: object) -> None:
        raise OperationalError("SELECT 1", None, ConnectionError())

    with monkeypatch.context() as patch:
        patch.setattr("api.routes.tasks.read_task", away)
        is_problem(await office.ask("POST", f"/v1/tasks/{call}/claim"), 503)
    assert (await office.get(f"/v1/tasks/{call}"))["state"] == "open"


async def test_a_lead_that_cannot_be_read_hides_no_task_of_another(office: Office) -> None:
    """A later release has written to it: its task is shown without the script that is filled in from it."""
    newer, other = [await office.lead(phone=f"+1212555018{n}", email=None) for n in range(2)]
    tasks = {lead: await office.call(lead) for lead in (newer, other)}
    await office.post(f"/v1/leads/{newer}/notes", {"text": "by a later release"})
    facts = tables.facts
    async with office.services.store.engine.begin() as conn:
        note = update(facts).where(facts.c.lead_id == newer, facts.c.kind == "note")
        await conn.execute(note.values(version=2, release="0.7.0"))
    scripts = {task["id"]: task["script"] for task in (await office.get("/v1/tasks"))["items"]}
    assert scripts.keys() == set(tasks.values())
    assert scripts[tasks[newer]] is None


async def test_one_person_answers_a_lead_however_many_texts_it_wrote(office: Office) -> None:
    lead_id = await office.lead(phone=PHONE)
    one, other = (Role.COORDINATOR,), (Role.COORDINATOR, "main")
    for no, text in enumerate(("How much is it?", "And where are you?")):
        await office.services.inbound.reply(InboundSms(f"SM{no}:received", PHONE, "+12125550100", text))
    first, second = (await office.get("/v1/tasks?kind=reply&state=open"))["items"]
    path, read = (
        f"/v1/leads/{lead_id}",
        max(i["no"] for i in (await office.get(f"/v1/leads/{lead_id}/timeline"))["items"]),
    )
    answer = {"channel": "sms", "body": "At the station.", "read_to": read}

    assert (await office.ask("POST", f"/v1/tasks/{first['id']}/claim", *one)).status_code == 200
    held = (await office.get("/v1/tasks?kind=reply&state=claimed"))["items"]
    assert [task["id"] for task in held] == [first["id"], second["id"]]
    is_problem(await office.ask("POST", f"/v1/tasks/{second['id']}/claim", *other), 409)
    refused = await office.ask("POST", f"{path}/messages", *other, json=answer)
    assert "coordinator answers this lead" in is_problem(refused, 409)["detail"]
    assert (await office.ask("POST", f"/v1/tasks/{second['id']}/release", *one)).status_code == 200
    assert len((await office.get("/v1/tasks?kind=reply&state=open"))["items"]) == 2

    assert (await office.ask("POST", f"{path}/messages", *one, json=answer)).status_code == 202
    assert (await office.get("/v1/tasks?kind=reply&state=open"))["items"] == []
    refused = await office.ask("POST", f"{path}/messages", *other, json=answer)
    assert "the practice has written" in is_problem(refused, 409)["detail"]
    read = max(i["no"] for i in (await office.get(f"{path}/timeline"))["items"])
    assert (await office.ask("POST", f"{path}/messages", *other, json=answer | {"read_to": read})).status_code == 202


async def test_a_text_that_comes_while_somebody_answers_is_nobody_elses(office: Office) -> None:
    await office.lead(phone=PHONE)
    await office.services.inbound.reply(InboundSms("SM1:received", PHONE, "+12125550100", "How much is it?"))
    (task,) = (await office.get("/v1/tasks?kind=reply"))["items"]
    await office.ask("POST", f"/v1/tasks/{task['id']}/claim", Role.COORDINATOR)
    await office.services.inbound.reply(InboundSms("SM2:received", PHONE, "+12125550100", "And where are you?"))
    (new,) = (await office.get("/v1/tasks?kind=reply&state=open"))["items"]
    told = is_problem(await office.ask("POST", f"/v1/tasks/{new['id']}/claim", Role.COORDINATOR, "main"), 409)
    assert "lead's texts are claimed by coordinator" in told["detail"]
    answer = await office.ask("POST", f"/v1/tasks/{new['id']}/complete", Role.COORDINATOR, "main", json={})
    told = is_problem(answer, 409)
    assert ("lead's texts are claimed by coordinator" in told["detail"], told["state"]) == (True, "open")
    await office.post(f"/v1/tasks/{task['id']}/complete", {})
    assert (await office.ask("POST", f"/v1/tasks/{new['id']}/claim", Role.COORDINATOR, "main")).status_code == 200


async def test_what_is_asked_of_an_appointment_names_it_also_once_the_next_one_has_its_sequence(office: Office) -> None:
    lead_id, first = await office.lead(phone=PHONE), office.now + timedelta(days=5)
    await office.book(lead_id, first, appointment_id="A")
    await office.book(lead_id, first + timedelta(days=7), appointment_id="B")
    async with office.services.leads.lead(lead_id) as unit:
        number = unit.state.enrollment_no
        asks = {"task_kind": f.TaskKind.REVIEW, "due_at": unit.now, "step": "ask_outcome", "script": "outcome_missing"}
        unit.append(f.TaskOpened(task_id=str(uuid.uuid4()), enrollment=number, part="task", **asks), "system")
        begun = unit.state.enrollment
        assert begun is not None and begun.appointment_id == "A"
        following = f.Enrolled(
            enrollment=number + 1, sequence=begun.sequence, version=begun.version, appointment_id="B",
            cause="a further appointment",
        )  # fmt: skip
        unit.append(following, "system")
    (task,) = (await office.get("/v1/tasks?kind=review"))["items"]
    facility = ZoneInfo(office.services.voice.facilities.get(None).zone)
    assert f"on {first.astimezone(facility):%A, %B} {first.astimezone(facility).day} at" in task["script"]
