"""Taking in leads: what is stored, what is refused, and that one request counts once."""

import asyncio
import json
import re
from typing import Any

import pytest
from sqlalchemy import func, select

from domain.access import Role
from store import tables
from tests.api.office import EMAIL, PHONE, Office, inquiry, is_problem

FULL: dict[str, Any] = {
    "service_line": "medical_spa",
    "concern": "Would like a first consultation",
    "urgency": "soon",
    "timezone": "America/New_York",
    "language": "en-US",
    "channels": ["sms", "email"],
    "best_times": "mornings",
    "insurance": {"payer": "Example Health", "member_id": "X1"},
    "source": {
        "channel": "google_ads",
        "form": "contact",
        "page": "https://clinic.example.com/contact",
        "campaign": "spring",
        "click_ids": {"gclid": "abc"},
        "visitor_id": "v1",
    },
    "touchpoints": [{"channel": "google_ads", "campaign": "spring", "at": "2026-11-20T10:00:00Z", "position": 2}],
    "consents": [
        {
            "channel": "sms",
            "purpose": "care",
            "text": "You may text me.",
            "at": "2026-11-23T10:00:00-05:00",
            "ip": "192.0.2.1",
            "url": "https://clinic.example.com/contact",
        }
    ],
}


async def test_a_lead_is_taken_in_and_shown_with_all_it_said(office: Office) -> None:
    taken = await office.post("/v1/leads", inquiry(phone="(212) 555-0142", email="Ada@Example.com", **FULL), 202)
    assert taken["state"] == "starting"
    assert taken["workflow_id"] == f"lead/{taken['lead_id']}"
    assert taken["duplicate_of"] is None
    assert (taken["sequence"], taken["sequence_version"]) == ("consultation", 1)

    lead = await office.get(f"/v1/leads/{taken['lead_id']}")
    assert (lead["phone"], lead["email"]) == (PHONE, EMAIL)
    assert lead["insurance"] == {"payer": "Example Health", "member_id": "X1"}
    assert lead["best_times"] == ["mornings"]
    assert lead["consents"][0] | {"at": None} == {
        "channel": "sms",
        "purpose": "care",
        "text": "You may text me.",
        "at": None,
        "ip": "192.0.2.1",
        "url": "https://clinic.example.com/contact",
    }
    assert lead["consents"][0]["at"] == "2026-11-23T15:00:00.000+00:00"
    assert lead["sources"][0]["campaign"] == "spring"
    assert lead["sources"][0]["click_ids"] == {"gclid": "abc"}
    assert lead["touchpoints"][0]["position"] == 2
    assert lead["sequence"] == {"key": "consultation", "version": 1, "enrollment": 1}
    assert lead["next_step"]["step"] == "confirm"
    assert lead["next_step"]["reason"]
    assert lead["score"] is None


async def test_everything_is_written_in_one_transaction_and_a_start_waits_for_temporal(office: Office) -> None:
    lead_id = await office.lead()
    async with office.services.store.engine.connect() as conn:
        started = (await conn.execute(select(tables.outbox.c.kind, tables.outbox.c.lead_id))).all()
        audited = (await conn.execute(select(tables.audit.c.action).where(tables.audit.c.lead_id == lead_id))).scalars()
        assert [(k, str(i)) for k, i in started] == [("start", lead_id)]
        assert list(audited) == ["lead_taken_in"]


def _without(path: str) -> dict[str, Any]:
    body = inquiry()
    del body[path]
    return body


POINT = {"channel": "event", "at": "2026-11-20T10:00:00Z"}
BAD: list[tuple[str, dict[str, Any]]] = [
    ("first_name", _without("first_name")),
    ("first_name", inquiry(first_name="")),
    ("first_name", inquiry(first_name="   ")),
    ("first_name", inquiry(first_name=7)),
    ("first_name", inquiry(first_name="A\x00da")),
    ("first_name", inquiry(first_name="A" * 101)),
    ("source", _without("source")),
    ("source.channel", inquiry(source={})),
    ("source.channel", inquiry(source={"channel": "pigeon"})),
    ("phone", inquiry(phone=None, email=None)),
    ("phone", inquiry(phone="", email="")),
    ("phone", inquiry(phone="12345")),
    ("phone", inquiry(phone="+19995550123")),
    ("phone", inquiry(phone="call me")),
    ("email", inquiry(email="ada at example.com")),
    ("email", inquiry(email="ada@localhost")),
    ("postal_code", inquiry(postal_code="1000")),
    ("timezone", inquiry(timezone="Mars/Olympus")),
    ("timezone", inquiry(timezone="../../etc/passwd")),
    ("urgency", inquiry(urgency="very")),
    ("language", inquiry(language="English please")),
    ("channels[0]", inquiry(channels=["fax"])),
    ("consents[0].at", inquiry(consents=[FULL["consents"][0] | {"at": "2026-11-23T10:00:00"}])),
    ("consents[0].at", inquiry(consents=[FULL["consents"][0] | {"at": "9999-12-31T23:59:59-12:00"}])),
    ("consents[0].purpose", inquiry(consents=[FULL["consents"][0] | {"purpose": "fun"}])),
    ("consents[0].ip", inquiry(consents=[FULL["consents"][0] | {"ip": "here"}])),
    ("touchpoints[0].at", inquiry(touchpoints=[{"channel": "event"}])),
    ("insurance.group", inquiry(insurance={"payer": "Example", "group": "1"})),
    ("preferred_facility", inquiry(preferred_facility="downtown-typo")),
    ("sequence", inquiry(sequence="none_such")),
    ("sequence", inquiry(sequence="booked")),  # it turns on an appointment
    ("nickname", inquiry(nickname="Ad")),
    ("first_name", inquiry(first_name="\u200b \u00a0")),
    ("concern", inquiry(concern="a\x00b")),
    ("concern", inquiry(concern="\ud800")),
    ("timezone", inquiry(timezone="\ud800")),
    ("source.click_ids.gclid", inquiry(source={"channel": "web_form", "click_ids": {"gclid": "a\x00"}})),
    ("touchpoints[0].page", inquiry(touchpoints=[POINT | {"page": ["a\x00"]}])),
    ("touchpoints[0].page", inquiry(touchpoints=[POINT | {"page": {"x": "\ud800"}}])),
    ("touchpoints[0].page", inquiry(touchpoints=[POINT | {"page": {"\ud800": 1}}])),
    ("touchpoints[0].page", inquiry(touchpoints=[POINT | {"page": float("nan")}])),
    ("touchpoints[0]", inquiry(touchpoints=[POINT | {"\ud800": 1}])),
    ("is_test", inquiry(is_test="perhaps")),
]


@pytest.mark.parametrize(("field", "body"), BAD, ids=[f"{n}-{field}" for n, (field, _) in enumerate(BAD)])
async def test_what_cannot_be_is_refused_by_name_and_not_repeated(
    office: Office, field: str, body: dict[str, Any]
) -> None:
    headers = {"Content-Type": "application/json"}
    answer = await office.ask("POST", "/v1/leads", content=json.dumps(body), headers=headers)
    is_problem(answer, 422, field)
    for value in ("12345", "call me", "ada at", "Mars", "English please", "pigeon", "typo"):
        assert value not in answer.text
    async with office.services.store.engine.connect() as conn:
        assert await conn.scalar(select(func.count()).select_from(tables.leads)) == 0


@pytest.mark.parametrize(
    ("content", "status"),
    [(b'{"first_name": "Ada"', 400), (b"[" * 100_000, 400), (b"\xff\xfe{", 400), (b"[]", 422), (b"", 422)],
)
async def test_a_body_that_is_not_one_is_a_problem(office: Office, content: bytes, status: int) -> None:
    headers = {"Content-Type": "application/json"}
    is_problem(await office.ask("POST", "/v1/leads", content=content, headers=headers), status)


async def test_a_body_over_a_megabyte_is_not_read(office: Office) -> None:
    is_problem(await office.ask("POST", "/v1/leads", content=b" " * 1_000_001), 413)

    async def endless() -> Any:
        for _ in range(200):
            yield b" " * 10_000

    headers = {"Content-Type": "application/json"}
    is_problem(await office.ask("POST", "/v1/leads", content=endless(), headers=headers), 413)


async def test_an_inquiry_again_is_the_same_lead(office: Office) -> None:
    first = await office.lead(phone=PHONE)
    again = await office.post("/v1/leads", inquiry(first_name="ada"), 202)
    assert again["lead_id"] == again["duplicate_of"] == first

    relative = await office.post("/v1/leads", inquiry(first_name="Bertram", email=None), 202)
    assert relative["lead_id"] != first
    assert relative["duplicate_of"] is None


async def test_an_intake_key_does_not_learn_who_asked_before(office: Office) -> None:
    first = await office.lead(phone=PHONE)
    await office.post(f"/v1/leads/{first}/pause", {"reason": "test"})
    again = await office.post("/v1/leads", inquiry(), 202, role=Role.INTAKE)
    assert again["lead_id"] == first
    assert again["duplicate_of"] is None
    assert again["state"] == "starting"


async def test_the_same_idempotency_key_gives_the_same_answer(office: Office) -> None:
    headers = {"Idempotency-Key": "form-1"}
    first = await office.ask("POST", "/v1/leads", json=inquiry(), headers=headers)
    again = await office.ask("POST", "/v1/leads", json=inquiry(), headers=headers)
    assert (again.status_code, again.json()) == (first.status_code, first.json()) == (202, first.json())
    other = await office.ask("POST", "/v1/leads", json=inquiry(first_name="Bea"), headers=headers)
    is_problem(other, 422, "Idempotency-Key")
    elsewhere = await office.ask("POST", "/v1/leads/search", json={}, headers=headers)
    assert elsewhere.status_code == 200  # nothing is done there, so nothing is remembered
    another = await office.ask("POST", "/v1/leads", Role.MANAGER, json=inquiry(first_name="Bea"), headers=headers)
    assert another.status_code == 202  # keys of two callers do not meet
    is_problem(
        await office.ask("POST", "/v1/leads", json=inquiry(), headers={"Idempotency-Key": "x" * 201}),
        422,
        "Idempotency-Key",
    )


async def test_an_idempotency_key_is_kept_as_a_keyed_hash(office: Office) -> None:
    headers = {"Idempotency-Key": "ada@example.com"}
    for _ in range(2):
        await office.post("/v1/leads", inquiry(), 202, headers=headers)
    async with office.services.store.engine.connect() as conn:
        (stored,) = (await conn.execute(select(tables.idempotency.c.key))).scalars()
    assert re.fullmatch(r"[0-9a-f]{64}", stored)


async def test_the_idempotency_keys_that_are_described_are_those_that_are_taken(office: Office) -> None:
    made = (await office.http.get("/openapi.json")).json()
    (described,) = [p for p in made["paths"]["/v1/leads"]["post"]["parameters"] if p["name"] == "Idempotency-Key"]
    for number, key in enumerate(("ada@example.com", "a", "x" * 200, "x" * 201, "a b", "é", '"q/1"', "a\tb")):
        headers = {"Idempotency-Key": key.encode()}
        answer = await office.ask("POST", "/v1/leads", json=inquiry(first_name=f"A{number}"), headers=headers)
        if re.search(described["schema"]["pattern"], key):
            assert answer.status_code == 202, key
        else:
            is_problem(answer, 422, "Idempotency-Key")


async def test_two_requests_at_once_with_one_idempotency_key_are_one_lead(office: Office) -> None:
    headers = {"Idempotency-Key": "form-2"}
    body = inquiry(phone=None, email="twice@example.com")
    await office.key(Role.ADMIN)
    answers = await asyncio.gather(*(office.ask("POST", "/v1/leads", json=body, headers=headers) for _ in range(8)))
    assert {a.status_code for a in answers} == {202}
    assert len({a.text for a in answers}) == 1
    async with office.services.store.engine.connect() as conn:
        assert await conn.scalar(select(func.count()).select_from(tables.facts).where(tables.facts.c.no == 1)) == 1
        assert await conn.scalar(select(func.count()).select_from(tables.sources)) == 1


async def test_a_refused_request_may_be_tried_again_with_its_key(office: Office) -> None:
    headers = {"Idempotency-Key": "form-3"}
    bad = inquiry(sequence="none_such")
    is_problem(await office.ask("POST", "/v1/leads", json=bad, headers=headers), 422, "sequence")
    assert (await office.ask("POST", "/v1/leads", json=inquiry(), headers=headers)).status_code == 202


async def test_a_command_with_an_idempotency_key_is_done_once(office: Office) -> None:
    lead_id = await office.lead()
    headers = {"Idempotency-Key": "note-1"}
    for _ in range(2):
        await office.post(f"/v1/leads/{lead_id}/notes", {"text": "Prefers mornings"}, headers=headers)
    timeline = await office.get(f"/v1/leads/{lead_id}/timeline")
    assert [e["text"] for e in timeline["items"] if e["kind"] == "note"] == ["Prefers mornings"]
    elsewhere = f"/v1/leads/{await office.lead()}/notes"
    is_problem(await office.ask("POST", elsewhere, json={"text": "Prefers mornings"}, headers=headers), 422)
