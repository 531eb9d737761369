"""The pages behind signed links."""

import asyncio
import re
from datetime import datetime, timedelta

import httpx
import pytest
from sqlalchemy import func, select, text

from api.own_booking import book_free, own_booking
from content.links import Purpose
from domain.errors import Refused
from domain.facts import BookingEvent
from store import tables
from store.bookings import Booking, Bookings
from tests.api.office import PHONE, PUBLIC_URL, Office, utc
from tests.api.test_api_unread_leads import of_a_later_release, stops

_TIMES = re.compile(r'name="starts_at" value="([^"]+)"')
_BOOKED = re.compile(r'data-appointment="([^"]+)" data-starts-at="([^"]+)"')


def _link(office: Office, purpose: Purpose, lead_id: str) -> str:
    return office.services.links.url(purpose, lead_id).removeprefix(PUBLIC_URL)


def _times(page: httpx.Response) -> list[str]:
    assert page.headers["content-type"].startswith("text/html")
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["referrer-policy"] == "no-referrer"
    assert "default-src 'none'" in page.headers["content-security-policy"]
    return _TIMES.findall(page.text)


async def test_a_lead_books_one_of_the_free_times(office: Office) -> None:
    lead_id = await office.lead(phone=PHONE)
    link = _link(office, "booking", lead_id)
    page = await office.http.get(link)
    times = _times(page)
    assert page.status_code == 200
    assert "Main Street Clinic" in page.text
    assert times == sorted(times)
    assert all(office.now < datetime.fromisoformat(t) < office.now + timedelta(days=15) for t in times)
    assert "Ada" not in page.text

    booked = await office.http.post(link, data={"starts_at": times[3]})
    assert booked.status_code == 200
    ((appointment_id, at),) = _BOOKED.findall(booked.text)
    assert at == times[3]
    lead = await office.get(f"/v1/leads/{lead_id}")
    assert (lead["stage"], lead["sequence"]["key"]) == ("booked", "booked")
    assert [(a["id"], a["status"], a["facility"]) for a in lead["appointments"]] == [(appointment_id, "booked", "main")]
    timeline = (await office.get(f"/v1/leads/{lead_id}/timeline"))["items"]
    assert [i["by"] for i in timeline if i["kind"] == "appointment"] == ["lead"]

    again = await office.http.post(link, data={"starts_at": times[3]})
    assert (again.status_code, _BOOKED.findall(again.text)) == (200, [(appointment_id, at)])
    assert (await office.http.post(link, data={"starts_at": times[4]})).status_code == 409
    assert _BOOKED.findall((await office.http.get(link)).text) == [(appointment_id, at)]
    assert len((await office.get(f"/v1/leads/{lead_id}"))["appointments"]) == 1


async def test_a_time_is_given_once(office: Office) -> None:
    links = [_link(office, "booking", await office.lead()) for _ in range(6)]
    wanted = _times(await office.http.get(links[0]))[0]
    answers = await asyncio.gather(*(office.http.post(link, data={"starts_at": wanted}) for link in links))
    assert sorted(a.status_code for a in answers) == [200, 409, 409, 409, 409, 409]
    late = next(a for a in answers if a.status_code == 409)
    assert "no longer free" in late.text
    assert wanted not in _times(late)
    assert _times(late)
    async with office.services.store.engine.connect() as conn:
        assert await conn.scalar(select(func.count()).select_from(tables.appointments)) == 1


async def test_two_clicks_at_once_book_one_time(office: Office) -> None:
    link = _link(office, "booking", await office.lead())
    times = _times(await office.http.get(link))[:4]
    answers = await asyncio.gather(*(office.http.post(link, data={"starts_at": t}) for t in times))
    assert sorted(a.status_code for a in answers) == [200, 409, 409, 409]
    assert len({_BOOKED.findall(a.text)[0] for a in answers}) == 1


async def test_clicks_that_wait_for_one_another_book_once(office: Office) -> None:
    """All have seen free times; who is served second learns under the lead's lock that an appointment stands."""
    lead_id = await office.lead()
    link = _link(office, "booking", lead_id)
    first, second = _times(await office.http.get(link))[:2]
    async with office.services.leads.lead(lead_id):
        clicks = [asyncio.create_task(office.http.post(link, data={"starts_at": t})) for t in (first, first, second)]
        await lock_waits(office, 3)
    answers = await asyncio.gather(*clicks)
    assert {at for a in answers for _, at in _BOOKED.findall(a.text)} in ({first}, {second})
    assert [len(_BOOKED.findall(a.text)) for a in answers] == [1, 1, 1]
    assert sorted(a.status_code for a in answers) in ([200, 200, 409], [200, 409, 409])
    timeline = (await office.get(f"/v1/leads/{lead_id}/timeline"))["items"]
    assert [i["by"] for i in timeline if i["kind"] == "appointment"] == ["lead"]


async def test_a_click_books_nothing_beside_what_the_scheduler_has_just_told(office: Office) -> None:
    lead_id = await office.lead()
    link = _link(office, "booking", lead_id)
    mine, told = _times(await office.http.get(link))[:2]
    booking = Booking(BookingEvent.BOOKED, "a-1", None, lead_id, starts_at=utc(told), facility="main")
    async with office.services.store.engine.begin() as conn:
        await Bookings(office.services.leads).within(conn, "scheduler", booking)
        click = asyncio.create_task(office.http.post(link, data={"starts_at": mine}))
        await lock_waits(office, 1)
    answer = await click
    assert (answer.status_code, _BOOKED.findall(answer.text)) == (409, [("a-1", told)])
    assert [a["id"] for a in (await office.get(f"/v1/leads/{lead_id}"))["appointments"]] == ["a-1"]


async def lock_waits(office: Office, requests: int) -> None:
    """Until so many wait for a lock."""
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    async with asyncio.timeout(60), office.services.store.engine.connect() as watch:
        while await watch.scalar(waiting) != requests:
            await watch.rollback()  # what it has seen of the activity is kept until then


async def test_a_time_that_the_scheduler_took_is_not_offered(office: Office) -> None:
    link = _link(office, "booking", await office.lead())
    first = _times(await office.http.get(link))[0]
    await office.book(await office.lead(), utc(first), facility="main")
    assert first not in _times(await office.http.get(link))


async def test_a_time_that_was_taken_at_no_place_since_the_page_was_read_is_not_booked(office: Office) -> None:
    """An appointment of no place is at the default one."""
    own = await own_booking(office.services, await office.lead())
    nowhere = await office.lead(preferred_facility=None)
    await office.tell("booked", timedelta(0), lead_id=nowhere, starts_at=own.times[0].isoformat())
    with pytest.raises(Refused):
        await book_free(office.services, own, own.times[0])


@pytest.mark.parametrize("value", ["", "tomorrow", "2026-11-23T10:00:00", "9999-12-31T23:59:59-12:00", "\x00"])
async def test_no_time_at_all_asks_again(office: Office, value: str) -> None:
    link = _link(office, "booking", await office.lead())
    page = await office.http.post(link, data={"starts_at": value})
    assert page.status_code == 422
    assert _times(page)


async def test_a_time_outside_the_hours_is_not_booked(office: Office) -> None:
    link = _link(office, "booking", await office.lead())
    at = utc(_times(await office.http.get(link))[0]) + timedelta(minutes=7)
    assert (await office.http.post(link, data={"starts_at": at.isoformat()})).status_code == 409


@pytest.mark.parametrize("path", ["b", "u"])
async def test_a_link_that_we_did_not_sign_opens_nothing(office: Office, path: str) -> None:
    lead_id = await office.lead()
    mine = _link(office, "booking", lead_id), _link(office, "unsubscribe", lead_id)
    crossed = mine[1].replace("/u/", "/b/") if path == "b" else mine[0].replace("/b/", "/u/")
    unknown = _link(office, "booking" if path == "b" else "unsubscribe", "00000000-0000-4000-8000-000000000000")
    for link in (f"/{path}/x", f"/{path}/%00.é", crossed, mine[path == "u"][:-1], unknown):
        for method in ("GET", "POST"):
            page = await office.http.request(method, link)
            assert page.status_code == 404
            assert "This link is not valid" in page.text
    lead = await office.get(f"/v1/leads/{lead_id}")
    assert lead["appointments"] == []
    assert not any(a["stops"] for a in lead["addresses"])


async def test_unsubscribing_takes_a_click_and_looking_does_not(office: Office) -> None:
    lead_id = await office.lead(phone=PHONE, email="ada@example.com")
    link = _link(office, "unsubscribe", lead_id)
    page = await office.http.get(link)
    assert (page.status_code, "<button" in page.text) == (200, True)
    assert not any(a["stops"] for a in (await office.get(f"/v1/leads/{lead_id}"))["addresses"])

    for _ in range(2):
        done = await office.http.post(link, data={"List-Unsubscribe": "One-Click"})
        assert done.status_code == 200
        assert "You are unsubscribed" in done.text
    lead = await office.get(f"/v1/leads/{lead_id}")
    stops = {a["kind"]: [s["channel"] for s in a["stops"]] for a in lead["addresses"]}
    assert stops == {"phone": [], "email": ["email"]}
    assert lead["exit_reason"] is None
    assert "You are unsubscribed" in (await office.http.get(link)).text
    timeline = (await office.get(f"/v1/leads/{lead_id}/timeline"))["items"]
    assert [(i["by"], i["channels"]) for i in timeline if i["kind"] == "opt_out"] == [("lead", ["email"])]


async def test_unsubscribing_shuts_the_address_of_a_lead_that_cannot_be_read(office: Office) -> None:
    lead_id = await office.lead(phone=PHONE, email="ada@example.com")
    await of_a_later_release(office, lead_id)
    one_click = {"List-Unsubscribe": "One-Click"}
    link = _link(office, "unsubscribe", lead_id)
    assert "You are unsubscribed" not in (await office.http.get(link)).text
    for page in (await office.http.post(link, data=one_click), await office.http.get(link)):
        assert page.status_code == 200, page.text
        assert "You are unsubscribed" in page.text
    assert await stops(office, lead_id) == {"phone": [], "email": ["email"]}


async def test_unsubscribing_holds_for_a_lead_that_is_lost(office: Office) -> None:
    """Its mail went out before the database was put back: whoever has the address, now or later, is not written to."""
    vault = office.services.store.vault
    lost = "00000000-0000-4000-8000-000000000000"
    here = await office.lead(phone=PHONE, email="ada@example.com")
    for address in ("ada@example.com", "ben@example.com"):
        url = office.services.links.url("unsubscribe", lost, vault.blind("email", address))
        link = url.removeprefix(PUBLIC_URL)
        assert "<button" in (await office.http.get(link)).text
        for page in [await office.http.post(link, data={"List-Unsubscribe": "One-Click"}) for _ in range(2)]:
            assert page.status_code == 200
        assert "You are unsubscribed" in (await office.http.get(link)).text
        lost = "00000000-0000-4000-8000-000000000001"
    later = await office.lead(first_name="Ben", phone="+12125550143", email="ben@example.com")
    for lead_id, address in ((here, "ada@example.com"), (later, "ben@example.com")):
        lead = await office.get(f"/v1/leads/{lead_id}")
        mail = next(a for a in lead["addresses"] if a["kind"] == "email")
        assert (mail["value"], [s["channel"] for s in mail["stops"]]) == (address, ["email"])
    timeline = (await office.get(f"/v1/leads/{here}/timeline"))["items"]
    assert [(i["by"], i["channels"]) for i in timeline if i["kind"] == "opt_out"] == [("lead", ["email"])]
