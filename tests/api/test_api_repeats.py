"""A person who asks again: what they say is kept, where they may be, and another number of theirs."""

from datetime import UTC, datetime
from typing import Any, Literal

import pytest

from domain.access import Role
from domain.contact_window import ALL_ZONES, after_repeat
from store import tables
from tests.api.office import EMAIL, PHONE, Office, inquiry

OTHER_PHONE, OTHER_EMAIL = "+12125550177", "ada.example@example.org"
NEW_YORK, DENVER = ("America/New_York",), ("America/Denver",)
AGAIN: dict[str, Any] = {
    "last_name": None,
    "concern": "Evenings would suit me",
    "service_line": "dermatology",
    "preferred_facility": "south",
    "insurance": {"payer": "Another Health", "member_id": "Y2"},
    "best_times": ["evenings"],
    "source": {"channel": "google_ads", "keyword": "planted keyword"},
}


async def _asked(office: Office, lead_id: str, role: Role = Role.COORDINATOR) -> list[dict[str, Any]]:
    items = (await office.get(f"/v1/leads/{lead_id}/timeline", role))["items"]
    return [i for i in items if i["kind"] == "inquired"]


async def test_what_a_repeat_says_is_kept_with_it(office: Office) -> None:
    lead_id = await office.lead(phone=PHONE, email=EMAIL, concern="A first visit")
    again = await office.post("/v1/leads", inquiry(email=OTHER_EMAIL, **AGAIN), 202)
    assert again["lead_id"] == lead_id
    first, second = await _asked(office, lead_id)
    assert first["details"]["concern"] == "A first visit"
    given = {"first_name": "Ada", "phone": PHONE, "email": OTHER_EMAIL, "urgency": "routine", "postal_code": "10001"}
    assert second["details"] == given | {k: v for k, v in AGAIN.items() if k not in ("source", "last_name")}
    assert (await office.get(f"/v1/leads/{lead_id}"))["concern"] == "A first visit"
    lead = await office.get(f"/v1/leads/{lead_id}", Role.MARKETER)
    assert lead["concern"] is None
    assert lead["sources"][1]["keyword"] == "planted keyword"
    assert "Evenings" not in str(lead)


async def test_who_may_not_read_words_does_not_see_them(office: Office) -> None:
    lead_id = await office.lead(phone=PHONE)
    await office.post("/v1/leads", inquiry(email=None, **AGAIN), 202)
    plain = await office.ask("GET", f"/v1/leads/{lead_id}/timeline", Role.MARKETER)
    tasks = await office.ask("GET", "/v1/tasks?kind=callback", Role.MARKETER)
    assert "Evenings" not in plain.text + tasks.text
    assert len(await _asked(office, lead_id, Role.MARKETER)) == 2


async def test_a_persons_reasons_are_words_too(office: Office) -> None:
    lead_id = await office.lead(phone=PHONE, concern="a planted concern")
    await office.post(f"/v1/leads/{lead_id}/pause", {"reason": "a planted reason"})
    await office.post(f"/v1/leads/{lead_id}/disqualify", {"reason": "another planted reason"})
    for path in (f"/v1/leads/{lead_id}/timeline", f"/v1/leads/{lead_id}", "/v1/tasks"):
        assert "planted" not in (await office.ask("GET", path, Role.ENGINEER)).text, path
    assert "planted reason" in (await office.ask("GET", f"/v1/leads/{lead_id}/timeline")).text


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({}, "asked again"),
        ({"phone": OTHER_PHONE}, "asked again, and gave another number"),
        ({"email": OTHER_EMAIL}, "asked again, and gave another e-mail address"),
    ],
)
async def test_the_callback_says_that_another_address_was_given(
    office: Office, given: dict[str, str], reason: str
) -> None:
    lead_id = await office.lead(phone=PHONE, email=EMAIL)
    assert await office.lead(**({"phone": PHONE, "email": EMAIL, "concern": "Evenings"} | given)) == lead_id
    (task,) = (await office.get("/v1/tasks?kind=callback"))["items"]
    assert (task["reason"], task["inquiry"]["concern"]) == (reason, "Evenings")
    assert (await office.get(f"/v1/tasks/{task['id']}"))["inquiry"] == task["inquiry"]
    for kind, value in given.items():
        assert task["inquiry"][kind] == value
        assert value not in task["reason"]
    addresses = (await office.get(f"/v1/leads/{lead_id}"))["addresses"]
    assert {a["value"] for a in addresses} == {PHONE, EMAIL}  # what was given since is for a person to use


async def test_what_a_repeat_says_is_sealed(office: Office) -> None:
    await office.lead(phone=PHONE)
    seen = [_seen("planted campaign"), _seen("x") | {"channel": "planted channel"}]
    asked = await office.post("/v1/leads", inquiry(email=None, touchpoints=seen, **AGAIN), 202)
    told = (await office.get(f"/v1/leads/{asked['lead_id']}"))["touchpoints"]
    assert {point["channel"] for point in told} == {"google_ads", "planted channel"}
    async with office.services.store.engine.connect() as conn:
        for table in (tables.sources, tables.touchpoints, tables.tasks, tables.facts):
            rows = (await conn.execute(table.select())).all()
            assert rows
            for word in ("planted", "Evenings", "dermatology"):
                assert word not in str(rows), (table.name, word)


def _seen(campaign: str) -> dict[str, str]:
    return {"channel": "google_ads", "campaign": campaign, "at": "2026-11-20T10:00:00Z"}


async def test_a_lead_may_be_wherever_either_inquiry_says(office: Office) -> None:
    lead_id = await office.lead(phone=PHONE, postal_code="10001")
    await office.lead(phone=PHONE, postal_code="80202")
    await office.lead(phone=PHONE, postal_code=None)
    async with office.services.store.engine.connect() as conn:
        assert (await office.services.leads.read(conn, lead_id)).zones == NEW_YORK + DENVER


Kinds = tuple[Literal["phone", "email"], ...]


@pytest.mark.parametrize(
    ("before", "then", "same", "after"),
    [
        (NEW_YORK, DENVER, ("phone",), NEW_YORK + DENVER),
        (NEW_YORK, DENVER, (), NEW_YORK + DENVER),
        (NEW_YORK, NEW_YORK, ("phone",), NEW_YORK),
        (NEW_YORK, ALL_ZONES, ("phone",), NEW_YORK),  # it names no place
        (ALL_ZONES, DENVER, ("phone",), DENVER),
        (ALL_ZONES, DENVER, ("email",), ALL_ZONES),  # another number may be elsewhere
        (ALL_ZONES, ALL_ZONES, ("phone",), ALL_ZONES),
        # no hour is open in all three: the newest place
        (("America/New_York", "Asia/Kolkata"), ("Asia/Tokyo",), ("phone",), ("Asia/Tokyo",)),
    ],
)
def test_the_zones_after_a_repeat(
    before: tuple[str, ...], then: tuple[str, ...], same: Kinds, after: tuple[str, ...]
) -> None:
    at = datetime(2026, 1, 5, 15, tzinfo=UTC)
    assert after_repeat(before, then, at, same_number="phone" in same) == after
