"""One person with several leads: a booking of one is every lead's, and none of a relative at the same number."""

import asyncio
import re
import uuid
from datetime import timedelta
from typing import Any

import pytest

from domain import facts as f
from domain.access import Role
from tests.api.office import EMAIL, PHONE, PUBLIC_URL, Office, is_problem
from tests.api.test_api_pages import lock_waits
from tests.api.test_api_unread_leads import of_a_later_release
from tests.api.test_api_voice import ringing

_TIMES = re.compile(r'name="starts_at" value="([^"]+)"')
_BOOKED = re.compile(r'data-appointment="([^"]+)" data-starts-at="([^"]+)"')


async def _lead(office: Office, lead_id: str) -> Any:
    return await office.get(f"/v1/leads/{lead_id}")


async def _let_go_and_back(office: Office) -> tuple[str, str]:
    """Ada's lead that the practice let go, and the one with which she asked again."""
    before = await office.lead(phone=PHONE, email=None)
    await office.post(f"/v1/leads/{before}/disqualify", {"reason": "asked for what is not offered"})
    again = await office.lead(phone=PHONE, email=None)
    assert before != again
    return before, again


# --- a lead that is named and not there -------------------------------------------------------------------------------


async def test_a_lost_leads_event_does_not_reach_a_relative_at_its_number(office: Office) -> None:
    """After a restore the dump knows Ben alone, and the scheduler tells again of Ada's appointment."""
    ben = await office.lead(phone=PHONE, email=EMAIL, first_name="Ben")
    lost = {"lead_id": str(uuid.uuid4()), "phone": PHONE, "email": EMAIL}
    starts_at = (office.now + timedelta(days=2)).isoformat()
    body = {"event": "booked", "appointment_id": "a-1", "occurred_at": office.now.isoformat(), "starts_at": starts_at}
    problem = is_problem(await office.ask("POST", "/v1/bookings", Role.SCHEDULER, json=body | lost), 404)
    assert "no lead has this id" in problem["detail"]
    for event, more in (("rescheduled", {"starts_at": starts_at}), ("cancelled", {})):
        kept = await office.tell(event, timedelta(minutes=1), **lost, **more)
        assert (kept["lead_id"], kept["changed"]) == (None, True)
    lead = await _lead(office, ben)
    assert (lead["appointments"], lead["exit_reason"]) == ([], None)

    ada = await office.lead(phone=PHONE, email=EMAIL)  # entered anew
    assert ada != ben
    booked = await office.tell("booked", timedelta(0), lead_id=ada, starts_at=starts_at)
    assert booked["lead_id"] == ada
    assert [a["status"] for a in (await _lead(office, ada))["appointments"]] == ["cancelled"]
    assert (await _lead(office, ben))["appointments"] == []


async def test_once_an_appointment_is_known_the_lost_lead_that_its_events_name_is_nobody_else(office: Office) -> None:
    """The scheduler goes on naming it; a lead that is there, and not the appointment's, is refused as ever."""
    ada, ben = await office.lead(phone=PHONE), await office.lead(phone="+12125550177", first_name="Ben")
    await office.book(ada)
    lost = {"lead_id": str(uuid.uuid4())}
    arrived = await office.tell("arrived", timedelta(minutes=1), **lost)
    assert (arrived["lead_id"], arrived["changed"]) == (ada, True)
    told = {"event": "completed", "appointment_id": "a-1", "occurred_at": office.now.isoformat()}
    is_problem(await office.ask("POST", "/v1/bookings", json=told | {"lead_id": ben}), 409)
    is_problem(await office.ask("POST", "/v1/bookings", json=told | lost | {"phone": "+12125550177"}), 409)


# --- who was let go, and asked again ----------------------------------------------------------------------------------


@pytest.mark.parametrize("stood", [True, False], ids=["stood", "was_cancelled"])
async def test_who_comes_back_is_reminded_of_an_old_appointment_that_moves(office: Office, stood: bool) -> None:
    """The appointment's lead takes over from the one that asks again."""
    before = await office.lead(phone=PHONE, email=None)
    await office.book(before)
    if not stood:
        await office.tell("cancelled", timedelta(0))
    await office.post(f"/v1/leads/{before}/disqualify", {"reason": "x"})
    again = await office.lead(phone=PHONE, email=None)
    moved = (office.now + timedelta(days=5)).isoformat()
    assert (await office.tell("rescheduled", timedelta(minutes=1), starts_at=moved))["changed"]
    reminded, other = await _lead(office, before), await _lead(office, again)
    assert (reminded["exit_reason"], reminded["sequence"]["key"]) == (None, "booked")
    assert other["exit_reason"] == "booked"
    missed = await office.tell("no_show", timedelta(minutes=2))
    assert missed["changed"]
    assert (await _lead(office, before))["sequence"]["key"] == "recovery", "it was let go before she came back"


async def test_what_begins_no_reminders_ends_no_cadence(office: Office) -> None:
    """Of an appointment that stands with a lead which is over: an older event of it, and news of another one."""
    before = await office.lead(phone=PHONE, email=None)
    starts_at = office.now + timedelta(days=3)
    await office.book(before, starts_at)
    await office.book(before, starts_at + timedelta(days=1), appointment_id="a-2")
    await office.post(f"/v1/leads/{before}/disqualify", {"reason": "x"})
    again = await office.lead(phone=PHONE, email=None)
    older = {"starts_at": starts_at.isoformat(), "facility": "south"}
    assert (await office.tell("rescheduled", timedelta(minutes=-5), **older))["changed"]
    assert (await office.tell("cancelled", timedelta(minutes=1), appointment_id="a-2"))["changed"]
    assert (await _lead(office, before))["exit_reason"] == "disqualified"
    assert (await _lead(office, again))["exit_reason"] is None, "somebody writes to her"


async def test_a_walk_in_that_is_entered_late_ends_the_lead_with_which_the_person_asked_again(office: Office) -> None:
    before, again = await _let_go_and_back(office)
    claimed = await office.claimed(again)
    starts_at, at = office.now - timedelta(minutes=1), office.now.isoformat()
    assert [(await office.book(before, starts_at, occurred_at=at))["in_flight"] for _ in range(2)] == [[claimed]] * 2
    assert (await _lead(office, before))["sequence"]["key"] == "booked"
    assert (await _lead(office, again))["exit_reason"] == "booked"


@pytest.mark.parametrize(("event", "ends"), [("completed", "booked"), ("arrived", None)])
async def test_a_visit_of_a_lead_that_is_over_ends_the_other_where_it_converts(
    office: Office, event: str, ends: str | None
) -> None:
    before = await office.lead(phone=PHONE, email=None)
    async with office.services.leads.lead(before) as unit:
        unit.append(f.Finished(exit_reason=f.ExitReason.EXHAUSTED), "test")
    again = await office.lead(phone=PHONE, email=None)
    assert (await office.tell(event, timedelta(0), lead_id=before))["changed"]
    assert (await _lead(office, before))["exit_reason"] == ("converted" if ends else "exhausted")
    assert (await _lead(office, again))["exit_reason"] == ends


# --- what may still arrive --------------------------------------------------------------------------------------------


async def test_a_finished_lead_that_cannot_be_read_refuses_no_booking_and_hides_nothing(office: Office) -> None:
    before, other = await _let_go_and_back(office)
    claimed = await office.claimed(other)
    assert (await office.book(before))["in_flight"] == [claimed]
    await of_a_later_release(office, other)
    told = await office.book(before, facility="south")
    assert (told["changed"], told["in_flight"]) == (True, [claimed])


async def test_a_living_lead_that_cannot_be_read_refuses_the_booking(office: Office) -> None:
    """It would go on asking a person to book who has."""
    before, other = await _let_go_and_back(office)
    await of_a_later_release(office, other)
    body = {"event": "booked", "appointment_id": "a-1", "lead_id": before, "occurred_at": office.now.isoformat()}
    starts_at = (office.now + timedelta(days=2)).isoformat()
    is_problem(await office.ask("POST", "/v1/bookings", json=body | {"starts_at": starts_at}), 503)
    assert (await _lead(office, before))["appointments"] == []


async def test_told_again_a_booking_names_what_waits_for_a_person_and_still_goes(office: Office) -> None:
    """A call whose line rings, words on an open channel: not once their task or channel is gone."""
    before = await office.lead(phone=PHONE, email=EMAIL)
    await office.post(f"/v1/leads/{before}/disqualify", {"reason": "x"})
    call = await ringing(office)
    lead = call.lead_id
    words = [
        (await office.post(f"/v1/leads/{lead}/messages", {"channel": channel, "body": "Do come."}, 202))["touch_id"]
        for channel in ("sms", "email")
    ]
    starts_at, at = office.now + timedelta(days=3), office.now.isoformat()
    first, again = [await office.book(before, starts_at, occurred_at=at) for _ in range(2)]
    assert set(first["in_flight"]) == set(again["in_flight"]) == {call.touch, *words}
    await office.post(f"/v1/leads/{lead}/opt-out", {"channels": ["email"]})
    assert set((await office.book(before, starts_at, occurred_at=at))["in_flight"]) == {call.touch, words[0]}


# --- by the link in a message -----------------------------------------------------------------------------------------


def _link(office: Office, lead_id: str) -> str:
    return office.services.links.url("booking", lead_id).removeprefix(PUBLIC_URL)


async def test_the_link_of_a_persons_other_lead_shows_what_is_booked_and_books_nothing(office: Office) -> None:
    """Whichever lead it is of; a relative's at the same number books for the relative."""
    before, again = await _let_go_and_back(office)
    ben = await office.lead(phone=PHONE, email=None, first_name="Ben")
    times = _TIMES.findall((await office.http.get(_link(office, again))).text)
    assert (await office.http.post(_link(office, again), data={"starts_at": times[0]})).status_code == 200
    for lead in (before, again):
        page = await office.http.get(_link(office, lead))
        ((appointment, at),) = _BOOKED.findall(page.text)
        assert at == times[0]
        assert _TIMES.findall(page.text) == []
        answers = [await office.http.post(_link(office, lead), data={"starts_at": t}) for t in times[:2]]
        assert [a.status_code for a in answers] == [200, 409]
        assert [_BOOKED.findall(a.text) for a in answers] == [[(appointment, at)]] * 2
    assert (await _lead(office, before))["appointments"] == []
    assert _BOOKED.findall((await office.http.get(_link(office, ben))).text) == []
    assert (await office.http.post(_link(office, ben), data={"starts_at": times[1]})).status_code == 200
    assert len((await _lead(office, ben))["appointments"]) == 1


async def test_an_appointment_that_was_given_up_keeps_no_lead_of_the_person_from_booking(office: Office) -> None:
    before, again = await _let_go_and_back(office)
    await office.book(before)
    assert _BOOKED.findall((await office.http.get(_link(office, again))).text)
    await office.tell("cancelled", timedelta(minutes=1))
    times = _TIMES.findall((await office.http.get(_link(office, again))).text)
    assert (await office.http.post(_link(office, again), data={"starts_at": times[0]})).status_code == 200


async def test_of_clicks_on_the_links_of_one_persons_leads_one_books(office: Office) -> None:
    """Both pages have shown free times; the second learns under the lock of the shared address that one stands."""
    leads = await _let_go_and_back(office)
    links = [_link(office, lead) for lead in leads]
    first, second = _TIMES.findall((await office.http.get(links[0])).text)[:2]
    async with office.services.leads.lead(leads[0]):
        clicks = [
            asyncio.create_task(office.http.post(link, data={"starts_at": at}))
            for link, at in zip(links, (first, second), strict=True)
        ]
        await lock_waits(office, len(clicks))
    answers = await asyncio.gather(*clicks)
    assert sorted(a.status_code for a in answers) == [200, 409]
    assert len({_BOOKED.findall(a.text)[0] for a in answers}) == 1
    found = [(await _lead(office, lead))["appointments"] for lead in leads]
    assert sorted(map(len, found)) == [0, 1]
