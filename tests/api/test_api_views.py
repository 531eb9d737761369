"""Finding leads and seeing one: lists, the timeline, what is to come."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from domain import facts as f
from domain.access import Role
from domain.ports import InboundSms
from domain.touches import Channel, TouchStatus, touch_id
from store import tables
from tests.api.office import EMAIL, PHONE, Office, is_problem, utc


async def _touch(office: Office, lead_id: str, status: TouchStatus, step: str = "confirm", **more: Any) -> str:
    identity = touch_id(lead_id, 1, step, "sms")
    async with office.services.leads.lead(lead_id) as unit:
        fact = f.TouchChanged(
            touch_id=identity,
            enrollment=1,
            step=step,
            part="sms",
            channel=Channel.SMS,
            status=status,
            **more,
        )
        unit.append(fact, "system")
    return identity


async def test_lists_page_newest_first_by_cursor(office: Office) -> None:
    made = [await office.lead() for _ in range(7)]
    seen: list[str] = []
    cursor = ""
    while True:
        page = await office.get(f"/v1/leads?limit=3{cursor}")
        assert len(page["items"]) <= 3
        seen += [item["id"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == made[::-1]


@pytest.mark.parametrize("cursor", ["x", "bm8", "WyJhIiwgImIiXQ", "e30", "W10", "%00", "WzEsMl0", "ééé"])
async def test_a_cursor_of_others_is_refused(office: Office, cursor: str) -> None:
    for path in ("/v1/leads", "/v1/tasks"):
        is_problem(await office.ask("GET", path, params={"cursor": cursor}), 422, "cursor")


@pytest.mark.parametrize(
    ("query", "field"),
    [("limit=0", "limit"), ("limit=201", "limit"), ("state=asleep", "state"), ("stage=x", "stage"), ("x=1", "x")],
)
async def test_a_filter_that_cannot_be_is_named(office: Office, query: str, field: str) -> None:
    is_problem(await office.ask("GET", f"/v1/leads?{query}"), 422, field)


@pytest.mark.parametrize(
    "q",
    [PHONE, "(212) 555-0142", EMAIL, "ADA@example.com", "Ada Example", "ada", "EXAMPLE", " ada   example "],
)
async def test_a_lead_is_found_by_what_it_is_known_by(office: Office, q: str) -> None:
    wanted = await office.lead(phone=PHONE, email=EMAIL)
    await office.lead(first_name="Bertram", last_name="Other", phone=None, email="other@example.com")
    assert [i["id"] for i in (await office.get("/v1/leads", params={"q": q}))["items"]] == [wanted]
    assert [i["id"] for i in (await office.post("/v1/leads/search", {"q": q}))["items"]] == [wanted]


async def test_a_part_of_a_name_finds_nobody(office: Office) -> None:
    await office.lead(phone=PHONE)
    for q in ("Ad", "Exam", "212555", "example.com"):
        assert (await office.get("/v1/leads", params={"q": q}))["items"] == []


async def test_filters_narrow_the_list(office: Office) -> None:
    paused, active = await office.lead(), await office.lead(preferred_facility="north")
    await office.post(f"/v1/leads/{paused}/pause", {"reason": "test"})
    for query, expected in (
        ("state=paused", [paused]),
        ("state=starting", [active]),
        ("stage=new", [active, paused]),
        ("stage=booked", []),
        ("facility=north", [active]),
    ):
        assert [i["id"] for i in (await office.get(f"/v1/leads?{query}"))["items"]] == expected, query


async def test_every_view_leaves_an_audit_row(office: Office) -> None:
    lead_id = await office.lead()
    for path in ("", "/timeline", "/upcoming"):
        await office.get(f"/v1/leads/{lead_id}{path}", Role.COMPLIANCE)
    other = await office.lead()
    await office.get("/v1/leads", Role.COMPLIANCE)
    await office.get("/v1/leads?state=paused", Role.COMPLIANCE)
    async with office.services.store.engine.connect() as conn:
        table = tables.audit
        rows = await conn.execute(
            select(table.c.action, table.c.lead_id).where(table.c.role == "compliance").order_by(table.c.id)
        )
        seen = [tuple(r) for r in rows]
    assert seen[:3] == [("lead_viewed", lead_id), ("timeline_viewed", lead_id), ("upcoming_viewed", lead_id)]
    assert sorted(seen[3:]) == sorted([("leads_listed", lead_id), ("leads_listed", other)])


async def test_who_saw_a_lead_in_the_queue_is_known_too(office: Office) -> None:
    lead_id = await office.lead(phone=PHONE)
    await office.lead()
    for number in (1, 2):  # one row for a lead, however many of its tasks were shown
        await office.services.inbound.reply(InboundSms(f"SM{number}:received", PHONE, "+12125550100", "Hello"))
        await office.lead(phone=PHONE)
    assert len((await office.get("/v1/tasks", Role.COMPLIANCE))["items"]) > 1
    async with office.services.store.engine.connect() as conn:
        table = tables.audit
        rows = await conn.execute(select(table.c.action, table.c.lead_id).where(table.c.role == "compliance"))
        assert [tuple(r) for r in rows] == [("tasks_listed", lead_id)]


@pytest.mark.parametrize("path", ["", "/timeline", "/upcoming"])
@pytest.mark.parametrize("lead_id", ["00000000-0000-4000-8000-000000000000", "none", "%00", "1"])
async def test_an_unknown_lead_is_not_found(office: Office, path: str, lead_id: str) -> None:
    is_problem(await office.ask("GET", f"/v1/leads/{lead_id}{path}"), 404)


async def test_the_timeline_has_one_entry_for_a_touch_with_its_history(office: Office) -> None:
    lead_id = await office.lead(phone=PHONE)
    until = office.now + timedelta(hours=2)
    await _touch(office, lead_id, TouchStatus.DELAYED, due_at=office.now, until=until, rule="window", reason="night")
    identity = await _touch(office, lead_id, TouchStatus.CLAIMED)
    await _touch(office, lead_id, TouchStatus.ACCEPTED)
    await _touch(office, lead_id, TouchStatus.DELIVERED)
    items = (await office.get(f"/v1/leads/{lead_id}/timeline"))["items"]
    (touch,) = [i for i in items if i["kind"] == "touch"]
    assert touch["id"] == identity
    assert (touch["step"], touch["part"], touch["channel"], touch["status"]) == ("confirm", "sms", "sms", "delivered")
    assert [h["status"] for h in touch["history"]] == ["delayed", "claimed", "accepted", "delivered"]
    assert touch["history"][0]["reason"] == "night"
    assert utc(touch["history"][0]["until"]) == until.replace(microsecond=until.microsecond // 1000 * 1000)
    assert touch["at"] == touch["history"][1]["at"]
    assert touch["by"] == "system"


async def test_a_skipped_touch_says_its_rule_and_reason(office: Office) -> None:
    lead_id = await office.lead(phone=PHONE)
    await _touch(office, lead_id, TouchStatus.SKIPPED, rule="stop.address", reason="the lead opted out")
    (touch,) = [i for i in (await office.get(f"/v1/leads/{lead_id}/timeline"))["items"] if i["kind"] == "touch"]
    assert (touch["status"], touch["rule"], touch["reason"]) == ("skipped", "stop.address", "the lead opted out")
    assert touch["at"] == touch["history"][0]["at"]


async def test_the_timeline_tells_everything_in_order_with_who(office: Office) -> None:
    lead_id = await office.lead(
        phone=PHONE, consents=[{"channel": "sms", "purpose": "care", "text": "Yes", "at": "2026-01-01T00:00:00Z"}]
    )
    path = f"/v1/leads/{lead_id}"
    sms = InboundSms("SM1:received", PHONE, "+12125550100", "May I come on Friday?")
    await office.services.inbound.reply(sms)
    await office.post(f"{path}/notes", {"text": "Sounds friendly"}, role=Role.COORDINATOR)
    await office.post(f"{path}/messages", {"channel": "sms", "body": "Yes, Friday is fine."}, 202)
    await office.post(f"{path}/pause", {"reason": "on holiday"})
    await office.post(f"{path}/resume", {"mode": "shift"})
    await office.post(f"{path}/skip")
    await office.post(f"{path}/enroll", {"sequence": "recovery"})
    await office.book(lead_id)
    await office.post(f"{path}/opt-out", {"channels": ["sms"]})
    await office.post(f"{path}/disqualify", {"reason": "lives abroad"})

    timeline = await office.get(f"{path}/timeline")
    items = timeline["items"]
    assert [i["no"] for i in items] == sorted(i["no"] for i in items)
    assert [i["at"] for i in items] == sorted(i["at"] for i in items)
    kinds = [i["kind"] for i in items]
    for kind in (
        "inquired", "consent", "enrolled", "reply", "task", "rested", "note", "touch", "paused", "resumed", "skipped",
        "appointment", "opt_out", "decision", "finished",
    ):  # fmt: skip
        assert kind in kinds, kind
    by = {i["kind"]: i for i in items}
    assert by["reply"]["body"] == "May I come on Friday?"
    assert by["reply"]["by"] == "lead"
    assert (by["note"]["text"], by["note"]["by"]) == ("Sounds friendly", "coordinator")
    task = next(i for i in items if i["kind"] == "task" and i["task_kind"] == "reply")
    assert (task["state"], [h["status"] for h in task["history"]]) == ("done", ["open", "done"])
    assert by["touch"]["by"] == "admin"
    assert by["paused"]["reason"] == "on holiday"

    plain = await office.get(f"{path}/timeline", Role.MARKETER)
    assert "Friday" not in str(plain)
    assert "friendly" not in str(plain)
    assert len(plain["items"]) == len(items)


async def test_what_is_to_come_has_times_and_reasons(office: Office) -> None:
    lead_id = await office.lead(phone=PHONE)
    upcoming = await office.get(f"/v1/leads/{lead_id}/upcoming")
    assert upcoming["held"] is None
    steps = [(i["step"], i["kind"]) for i in upcoming["items"]]
    assert steps[0][0] == "confirm"
    assert {"call1", "bio", "call2", "link", "edu", "end"} <= {s for s, _ in steps}
    assert all(i["reason"] and i["at"] for i in upcoming["items"])
    assert [i["at"] for i in upcoming["items"]] == sorted(i["at"] for i in upcoming["items"])

    await office.post(f"/v1/leads/{lead_id}/pause", {"reason": "test"})
    assert (await office.get(f"/v1/leads/{lead_id}/upcoming"))["held"] == "paused by a person"
    await office.post(f"/v1/leads/{lead_id}/disqualify", {"reason": "test"})
    ended = await office.get(f"/v1/leads/{lead_id}/upcoming")
    assert (ended["held"], ended["items"]) == (None, [])
