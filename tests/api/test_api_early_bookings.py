"""Appointment events that come before what they belong to, or out of order."""

import re
import uuid
from datetime import timedelta

import pytest

from domain.access import Role
from tests.api.office import PHONE, Office, utc

_TIMES = re.compile(r'name="starts_at" value="([^"]+)"')


@pytest.mark.parametrize("placed_first", [True, False])
async def test_what_is_told_early_of_one_instant_keeps_its_place(office: Office, placed_first: bool) -> None:
    lead_id = await office.lead(phone=PHONE)
    early, late = ((office.now + timedelta(days=days)).replace(microsecond=0) for days in (4, 5))
    second = (office.now + timedelta(minutes=1)).replace(microsecond=0).isoformat()
    told = [{"starts_at": early.isoformat(), "facility": "south"}, {"starts_at": late.isoformat()}]
    for one in told if placed_first else reversed(told):
        assert (await office.tell("rescheduled", timedelta(0), occurred_at=second, **one))["changed"]
    await office.book(lead_id)
    (appointment,) = (await office.get(f"/v1/leads/{lead_id}"))["appointments"]
    assert (appointment["facility"], utc(appointment["starts_at"])) == ("south", late)


@pytest.mark.parametrize("booked_first", [True, False])
@pytest.mark.parametrize("later_first", [False, True])
async def test_of_two_new_times_that_occurred_in_one_second_the_later_stands(
    office: Office, later_first: bool, booked_first: bool
) -> None:
    """In whatever order they are told; the one that does not hold, and either told again, changes nothing."""
    lead_id = await office.lead(phone=PHONE)
    if booked_first:
        await office.book(lead_id)
    early, late = ((office.now + timedelta(days=days)).replace(microsecond=0) for days in (4, 5))
    second = (office.now + timedelta(minutes=1)).replace(microsecond=0).isoformat()
    order = [late, early] if later_first else [early, late]
    told = [
        await office.tell("rescheduled", timedelta(0), starts_at=starts.isoformat(), occurred_at=second)
        for starts in (*order, *order)
    ]
    assert [t["changed"] for t in told] == [True, not later_first, False, False]
    if not booked_first:
        await office.book(lead_id)
    (appointment,) = (await office.get(f"/v1/leads/{lead_id}"))["appointments"]
    assert (appointment["status"], utc(appointment["starts_at"])) == ("booked", late)


@pytest.mark.parametrize("whose", [{}, {"phone": PHONE}], ids=["by_its_id_alone", "of_who_has_not_asked_yet"])
async def test_a_cancellation_before_its_booking_is_kept_and_applied(office: Office, whose: dict[str, str]) -> None:
    told = {"occurred_at": (office.now - timedelta(minutes=1)).isoformat()} | whose
    kept, again = [await office.tell("cancelled", timedelta(0), **told) for _ in range(2)]
    assert (kept["lead_id"], kept["changed"], kept["state"]) == (None, True, None)
    assert not again["changed"]
    lead_id = await office.lead(phone=PHONE)
    starts_at = (office.now + timedelta(days=2)).isoformat()
    booked = await office.tell("booked", timedelta(minutes=-5), lead_id=lead_id, starts_at=starts_at)
    assert (booked["lead_id"], booked["changed"]) == (lead_id, True)
    lead = await office.get(f"/v1/leads/{lead_id}")
    assert [a["status"] for a in lead["appointments"]] == ["cancelled"]
    assert (lead["sequence"]["key"], lead["stage"]) == ("recovery", "booked"), "as if it were told in its order"
    anew = await office.tell("booked", timedelta(minutes=5), lead_id=lead_id, starts_at=starts_at)
    assert anew["changed"], "what was kept is applied once"
    lead = await office.get(f"/v1/leads/{lead_id}")
    assert [a["status"] for a in lead["appointments"]] == ["booked"]


async def test_a_new_time_before_its_booking_is_the_time(office: Office) -> None:
    today = office.now.replace(microsecond=0)
    early, late = (today + timedelta(days=days) for days in (2, 3))
    await office.tell("rescheduled", timedelta(minutes=-1), phone=PHONE, starts_at=late.isoformat())
    lead_id = await office.lead(phone=PHONE)
    await office.tell("booked", timedelta(minutes=-5), lead_id=lead_id, starts_at=early.isoformat())
    lead = await office.get(f"/v1/leads/{lead_id}")
    assert [(a["status"], utc(a["starts_at"])) for a in lead["appointments"]] == [("booked", late)]
    assert lead["sequence"]["key"] == "booked"


@pytest.mark.parametrize("its_own_too", [False, True])
async def test_what_a_key_of_another_facility_has_told_before_is_not_applied(office: Office, its_own_too: bool) -> None:
    body = {"event": "cancelled", "appointment_id": "a-1", "occurred_at": office.now.isoformat()}
    tellers = ["south", "north"] if its_own_too else ["south"]
    for facility in tellers:
        kept = await office.ask("POST", "/v1/bookings", Role.SCHEDULER, facility, json=body)
        assert (kept.json()["lead_id"], kept.json()["changed"]) == (None, True)
    lead_id = await office.lead(phone=PHONE, preferred_facility="north")
    starts_at = (office.now + timedelta(days=2)).isoformat()
    await office.tell("booked", timedelta(minutes=-5), lead_id=lead_id, starts_at=starts_at)
    status = "cancelled" if its_own_too else "booked"
    assert (await office.get(f"/v1/leads/{lead_id}"))["appointments"][0]["status"] == status


async def test_what_a_facility_told_early_is_applied_when_the_appointment_moves_there(office: Office) -> None:
    lead_id = await office.lead(phone=PHONE, preferred_facility="north")
    body = {"event": "cancelled", "appointment_id": "a-1", "occurred_at": office.now.isoformat()}
    assert (await office.ask("POST", "/v1/bookings", Role.SCHEDULER, "south", json=body)).status_code == 200
    starts_at = (office.now + timedelta(days=2)).isoformat()
    await office.tell("booked", timedelta(minutes=-9), lead_id=lead_id, starts_at=starts_at, facility="north")
    assert (await office.get(f"/v1/leads/{lead_id}"))["appointments"][0]["status"] == "booked"
    await office.tell("rescheduled", timedelta(minutes=-5), starts_at=starts_at, facility="south")
    assert (await office.get(f"/v1/leads/{lead_id}"))["appointments"][0]["status"] == "cancelled"


async def test_an_event_that_names_a_lead_which_is_not_known_yet_is_kept(office: Office) -> None:
    """After a restore a scheduler tells again of leads of the lost hour, which are entered anew later, by other ids."""
    told = {"appointment_id": "a-9", "lead_id": str(uuid.uuid4())}
    kept = await office.tell("cancelled", timedelta(0), **told)
    assert (kept["lead_id"], kept["changed"]) == (None, True)
    lead_id = await office.lead(phone=PHONE)
    starts_at = (office.now + timedelta(days=2)).isoformat()
    booking = {"appointment_id": "a-9", "lead_id": lead_id, "starts_at": starts_at}
    assert (await office.tell("booked", timedelta(minutes=-5), **booking))["lead_id"] == lead_id
    (appointment,) = (await office.get(f"/v1/leads/{lead_id}"))["appointments"]
    assert appointment["status"] == "cancelled"
