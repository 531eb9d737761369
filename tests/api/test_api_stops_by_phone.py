"""A stop that is heard on the phone and entered with the call's outcome: the answer names what still flies."""

from typing import Any

import pytest

from domain.touches import Channel
from tests.api.office import EMAIL, PHONE, Office


async def _completed(office: Office, lead_id: str, outcome: str) -> Any:
    call = await office.call(lead_id)
    await office.post(f"/v1/tasks/{call}/claim")
    return await office.post(f"/v1/tasks/{call}/complete", {"disposition": "answered_by_person", "outcome": outcome})


@pytest.mark.parametrize("outcome", ["do_not_call", "not_a_fit", "not_now", "wrong_number"])
async def test_an_outcome_that_stops_names_what_is_in_flight(office: Office, outcome: str) -> None:
    lead = await office.lead(phone=PHONE, email=EMAIL)
    stranger = await office.lead(phone="+12125550177", first_name="Cleo", email=None)
    own = await office.claimed(lead)
    await office.claimed(stranger)
    done = await _completed(office, lead, outcome)
    assert (done["state"], done["in_flight"]) == ("done", [own])


async def test_do_not_call_names_what_is_in_flight_to_the_number_whosever_it_is(office: Office) -> None:
    ada = await office.lead(phone=PHONE, email=EMAIL)
    bertram = await office.lead(phone=PHONE, first_name="Bertram", email="bertram@example.com")
    own, shared = await office.claimed(ada), await office.claimed(bertram)
    mail = await office.claimed(bertram, Channel.EMAIL)
    done = await _completed(office, ada, "do_not_call")
    assert done["in_flight"][:2] == [own, shared]
    assert set(done["in_flight"]) == {own, shared, mail}, "the mail is of a lead that the stop has ended"
    entries = (await office.get(f"/v1/leads/{ada}/timeline"))["items"]
    assert [e["in_flight"] for e in entries if e["kind"] == "opt_out"] == [[own]]


async def test_what_a_stop_named_a_moment_ago_is_named_by_the_call_that_was_at_hand_as_well(office: Office) -> None:
    ada = await office.lead(phone=PHONE, email=None)
    bertram = await office.lead(phone=PHONE, first_name="Bertram", email=None)
    shared, call = await office.claimed(bertram), await office.call(ada)
    await office.post(f"/v1/tasks/{call}/claim")
    assert (await office.post(f"/v1/leads/{bertram}/opt-out"))["in_flight"] == [shared]
    body = {"disposition": "answered_by_person", "outcome": "do_not_call"}
    assert (await office.post(f"/v1/tasks/{call}/complete", body))["in_flight"] == [shared]


async def test_a_wrong_number_is_its_owners_and_so_is_what_flies_there(office: Office) -> None:
    mistyped = await office.lead(phone=PHONE, email=EMAIL)
    owner = await office.lead(phone=PHONE, first_name="Olga", email=None)
    await office.claimed(owner)
    assert (await _completed(office, mistyped, "wrong_number"))["in_flight"] == []


async def test_an_outcome_that_is_told_again_with_its_key_names_it_again(office: Office) -> None:
    lead = await office.lead(phone=PHONE, email=EMAIL)
    own, call = await office.claimed(lead), await office.call(lead)
    await office.post(f"/v1/tasks/{call}/claim")
    body = {"disposition": "answered_by_person", "outcome": "do_not_call"}
    for _ in range(2):
        done = await office.post(f"/v1/tasks/{call}/complete", body, headers={"Idempotency-Key": "done-1"})
        assert done["in_flight"] == [own]
