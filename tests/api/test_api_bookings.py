"""What schedulers and leads say of appointments: where they are, whose they are, and what still stands."""

import asyncio
import re
import uuid
from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest
from httpx import Response
from sqlalchemy import text

from domain import facts as f
from domain.access import Role
from store.bookings import one_at_a_time
from tests.api.office import PHONE, PUBLIC_URL, Office, is_problem, utc

_TIMES = re.compile(r'name="starts_at" value="([^"]+)"')


async def _place(office: Office, lead_id: str) -> str | None:
    (appointment,) = (await office.get(f"/v1/leads/{lead_id}"))["appointments"]
    place: str | None = appointment["facility"]
    return place


async def test_a_booking_ends_the_cadence_and_repeats_change_nothing(office: Office) -> None:
    lead_id = await office.lead(phone=PHONE)
    at, starts_at = office.now.isoformat(), office.now + timedelta(days=3)
    first, again = [await office.book(lead_id, starts_at, occurred_at=at) for _ in range(2)]
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


async def test_an_event_that_names_no_place_leaves_the_appointment_where_it_is(office: Office) -> None:
    lead_id = await office.lead(preferred_facility="north")
    await office.book(lead_id, facility="south")
    moved = (office.now + timedelta(days=5)).isoformat()
    for minutes, (event, more) in enumerate((("rescheduled", {"starts_at": moved}), ("cancelled", {})), 1):
        await office.tell(event, timedelta(minutes=minutes), **more)
        assert await _place(office, lead_id) == "south", event


async def test_an_appointments_first_event_without_a_place_is_at_the_leads(office: Office) -> None:
    lead_id = await office.lead(preferred_facility="north")
    await office.book(lead_id)
    assert await _place(office, lead_id) == "north"


@pytest.mark.parametrize("order", list(permutations(range(3))))
async def test_where_an_appointment_is_follows_no_order_of_arrival(office: Office, order: tuple[int, ...]) -> None:
    """Only the booking names a place, which is not the lead's; its scheduler may go on telling of it."""
    lead_id = await office.lead(preferred_facility="north")
    early, late = ((office.now + timedelta(days=days)).replace(microsecond=0).isoformat() for days in (2, 3))
    told: list[tuple[str, dict[str, str]]] = [
        ("booked", {"starts_at": early, "facility": "south"}),
        ("cancelled", {}),
        ("rescheduled", {"starts_at": late}),
    ]
    for i in order:
        event, more = told[i]
        await office.tell(event, timedelta(minutes=i - 3), lead_id=lead_id, **more)
    (appointment,) = (await office.get(f"/v1/leads/{lead_id}"))["appointments"]
    assert (appointment["status"], appointment["facility"]) == ("booked", "south")
    assert utc(appointment["starts_at"]) == utc(late)
    arrived = {"event": "arrived", "appointment_id": "a-1", "occurred_at": office.now.isoformat()}
    answer = await office.ask("POST", "/v1/bookings", Role.SCHEDULER, "south", json=arrived)
    assert (answer.status_code, answer.json().get("changed")) == (200, True)


async def test_a_booking_told_again_names_again_what_is_in_flight_to_the_person(office: Office) -> None:
    """The first answer may have been lost. A relative's at the same number is not the person's."""
    starts_at, at = office.now + timedelta(days=3), office.now.isoformat()
    for name in ("Ada", "Bertram"):
        before = await office.lead(phone=PHONE, email=None, first_name=name)
        await office.post(f"/v1/leads/{before}/disqualify", {"reason": "asked elsewhere"})
        claimed = await office.claimed(await office.lead(phone=PHONE, email=None, first_name=name))
        answers = [await office.book(before, starts_at, occurred_at=at, appointment_id=name) for _ in range(2)]
        assert [(a["changed"], a["in_flight"]) for a in answers] == [(True, [claimed]), (False, [claimed])], name


async def test_a_booking_told_again_names_what_goes_to_another_address_of_the_person_and_what_waits(
    office: Office,
) -> None:
    booked = await office.lead(phone=PHONE, email=None)
    await office.post(f"/v1/leads/{booked}/disqualify", {"reason": "asked elsewhere"})
    other = await office.lead(phone=PHONE, email="ada@example.com")
    words = await office.post(f"/v1/leads/{other}/messages", {"channel": "email", "body": "We call at ten."}, 202)
    starts_at, at = office.now + timedelta(days=3), office.now.isoformat()
    answers = [await office.book(booked, starts_at, occurred_at=at) for _ in range(2)]
    assert [(a["changed"], a["in_flight"]) for a in answers] == [
        (True, [words["touch_id"]]),
        (False, [words["touch_id"]]),
    ]


async def test_a_place_that_is_none_of_ours_is_refused_with_the_known_ones(office: Office) -> None:
    lead_id = await office.lead()
    body = {
        "event": "booked",
        "appointment_id": "a-1",
        "lead_id": lead_id,
        "starts_at": "2026-12-01T15:00:00Z",
        "facility": "downtown-typo",
        "occurred_at": "2026-11-23T15:00:00Z",
    }
    problem = is_problem(await office.ask("POST", "/v1/bookings", json=body), 422, "facility")
    assert "main, north, south" in problem["detail"]
    assert "typo" not in str(problem)
    assert (await office.get(f"/v1/leads/{lead_id}"))["appointments"] == []


async def test_an_appointment_belongs_to_one_lead_whoever_is_named_at_the_same_moment(office: Office) -> None:
    leads = [await office.lead(), await office.lead()]
    waiting = text(
        "SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database"
        " WHERE d.datname = current_database() AND l.locktype = 'advisory' AND NOT l.granted"
    )
    engine = office.services.store.engine
    async with engine.connect() as watch:
        async with engine.begin() as conn:
            await one_at_a_time(conn, "appointment/a-1")
            told = [
                asyncio.create_task(
                    office.ask(
                        "POST",
                        "/v1/bookings",
                        json={
                            "event": "booked",
                            "appointment_id": "a-1",
                            "lead_id": lead_id,
                            "starts_at": (office.now + timedelta(days=2)).isoformat(),
                            "occurred_at": office.now.isoformat(),
                        },
                    )
                )
                for lead_id in leads
            ]
            async with asyncio.timeout(30):
                while await watch.scalar(waiting) != 2:
                    pass
        answers = await asyncio.gather(*told)
    assert sorted(a.status_code for a in answers) == [200, 409]
    shown = [(await office.get(f"/v1/leads/{lead_id}"))["appointments"] for lead_id in leads]
    assert sorted(map(len, shown)) == [0, 1]


async def test_the_page_does_not_say_booked_when_it_is_not(office: Office) -> None:
    """A time that the scheduler gave up at a later moment of its own clock."""
    lead_id = await office.lead()
    link = office.services.links.url("booking", lead_id).removeprefix(PUBLIC_URL)
    times = _TIMES.findall((await office.http.get(link)).text)
    assert (await office.http.post(link, data={"starts_at": times[0]})).status_code == 200
    (mine,) = (await office.get(f"/v1/leads/{lead_id}"))["appointments"]
    await office.tell("cancelled", timedelta(hours=1), appointment_id=mine["id"])

    again = await office.http.post(link, data={"starts_at": times[0]})
    assert again.status_code == 409
    assert "data-appointment" not in again.text
    assert _TIMES.findall(again.text)
    assert (await office.http.post(link, data={"starts_at": times[1]})).status_code == 200
    found = (await office.get(f"/v1/leads/{lead_id}"))["appointments"]
    assert sorted(a["status"] for a in found) == [f.AppointmentStatus.BOOKED, f.AppointmentStatus.CANCELLED]


@pytest.mark.parametrize("appointment_id", ["Ada Example, laser", "a b", "a/b", "ü", "a\n", "a" * 129, " a-1"])
async def test_an_appointments_id_says_nothing_of_a_person(office: Office, appointment_id: str) -> None:
    body = {
        "event": "cancelled",
        "appointment_id": appointment_id,
        "lead_id": await office.lead(),
        "occurred_at": "2026-11-23T15:00:00Z",
    }
    problem = is_problem(await office.ask("POST", "/v1/bookings", json=body), 422, "appointment_id")
    assert "letters, digits" in problem["detail"]
    assert appointment_id not in problem["detail"]


async def test_an_appointments_id_may_be_any_that_schedulers_make(office: Office) -> None:
    lead_id = await office.lead()
    for appointment_id in ("A.b_c:d-1", "7" * 128):
        assert (await office.book(lead_id, appointment_id=appointment_id))["appointment_id"] == appointment_id


async def test_a_new_time_is_a_time_and_an_event_lies_not_ahead(office: Office) -> None:
    lead_id = await office.lead(phone=PHONE)
    told = {"event": "rescheduled", "appointment_id": "a-9", "lead_id": lead_id, "occurred_at": office.now.isoformat()}
    is_problem(await office.ask("POST", "/v1/bookings", json=told), 422, "starts_at")
    later = (office.now + timedelta(days=2)).isoformat()
    ahead = told | {"event": "cancelled", "occurred_at": later}
    is_problem(await office.ask("POST", "/v1/bookings", json=ahead), 422, "occurred_at")
    assert (await office.get(f"/v1/leads/{lead_id}"))["appointments"] == []


async def test_an_address_of_somebody_else_does_not_reach_a_leads_appointment(office: Office) -> None:
    lead_id, other = await office.lead(phone=PHONE), "+12125550177"
    await office.lead(phone=other, first_name="Ben")
    await office.book(lead_id)
    told = {"event": "cancelled", "appointment_id": "a-1", "occurred_at": office.now.isoformat()}
    is_problem(await office.ask("POST", "/v1/bookings", json=told | {"phone": other}), 409)
    answer = await office.post("/v1/bookings", told | {"phone": "+12125550178"})  # a number that nobody has
    assert (answer["lead_id"], answer["changed"]) == (lead_id, True)


async def test_a_key_of_one_place_books_there_alone(office: Office) -> None:
    lead_id = await office.lead(phone=PHONE)
    told = {
        "event": "booked",
        "appointment_id": "a-1",
        "lead_id": lead_id,
        "facility": "main",
        "starts_at": (office.now + timedelta(days=2)).isoformat(),
        "occurred_at": office.now.isoformat(),
    }
    refused = await office.ask("POST", "/v1/bookings", Role.SCHEDULER, "west", json=told)
    is_problem(refused, 422, "facility")
    assert (await office.post("/v1/bookings", told, role=Role.SCHEDULER))["changed"]


async def test_to_a_key_of_one_place_who_is_known_elsewhere_is_unknown(office: Office) -> None:
    await office.lead(phone=PHONE, preferred_facility="north")
    told = {"event": "booked", "starts_at": (office.now + timedelta(days=2)).isoformat(), "facility": "south"}
    told |= {"occurred_at": office.now.isoformat()}
    answers = [
        is_problem(
            await office.ask(
                "POST", "/v1/bookings", Role.SCHEDULER, "south", json=told | {"appointment_id": n, "phone": phone}
            ),
            404,
        )
        for n, phone in (("a-1", PHONE), ("a-2", "+12125550178"))
    ]
    assert answers[0]["detail"] == answers[1]["detail"]


# --- before its booking -----------------------------------------------------------------------------------------------


async def test_the_scheduler_of_an_appointments_facility_cancels_it_wherever_its_lead_is(office: Office) -> None:
    """Before anybody knew whose it is, and after."""
    starts_at = (office.now + timedelta(days=2)).isoformat()
    lead_id = await office.lead(phone=PHONE, preferred_facility="north")

    async def south(appointment: str) -> Response:
        body = {"event": "cancelled", "appointment_id": appointment, "occurred_at": office.now.isoformat()}
        return await office.ask("POST", "/v1/bookings", Role.SCHEDULER, "south", json=body)

    before = {"lead_id": lead_id, "starts_at": starts_at, "facility": "south"}
    assert (await south("a-1")).json()["lead_id"] is None
    await office.tell("booked", timedelta(minutes=-5), **before)
    assert (await office.get(f"/v1/leads/{lead_id}"))["appointments"][0]["status"] == "cancelled"
    await office.tell("booked", timedelta(minutes=-5), **before | {"appointment_id": "a-2"})
    assert (await south("a-2")).json()["changed"]
    await office.tell("booked", timedelta(minutes=-5), **before | {"appointment_id": "a-3", "facility": "north"})
    is_problem(await south("a-3"), 404)
    mine = {"event": "booked", "appointment_id": "a-4", "occurred_at": office.now.isoformat()} | before
    is_problem(await office.ask("POST", "/v1/bookings", Role.SCHEDULER, "south", json=mine), 404)
