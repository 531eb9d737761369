"""A stop holds whichever lead cannot be read: of a later release, or by a fault of ours."""

import pytest
from sqlalchemy import update

from domain.access import Role
from domain.touches import Channel
from store import tables
from store.lead_unit import LeadUnit
from store.states import States
from tests.api.office import EMAIL, PHONE, Office, is_problem


async def test_an_opt_out_of_a_lead_that_cannot_be_read_shuts_its_addresses(office: Office) -> None:
    lead = await office.lead(phone=PHONE, email=EMAIL)
    await of_a_later_release(office, lead)
    path, key = f"/v1/leads/{lead}/opt-out", {"Idempotency-Key": "stop-1"}
    is_problem(await office.ask("POST", path, Role.COORDINATOR, "north"), 404)
    is_problem(await office.ask("POST", path, Role.SCHEDULER), 403)
    assert await stops(office, lead) == {"phone": [], "email": []}
    is_problem(await office.ask("POST", path, json={"channels": ["voice"]}, headers=key), 503)
    assert await stops(office, lead) == {"phone": ["sms", "voice"], "email": []}
    is_problem(await office.ask("POST", path, Role.COORDINATOR, "main"), 503)
    assert await stops(office, lead) == {"phone": ["sms", "voice"], "email": ["email"]}
    await of_a_later_release(office, lead, version=1)
    again = await office.post(path, {"channels": ["voice"]}, headers=key)
    assert again["state"] == "finished", "a stop that came to nothing may be told again with its key"


async def test_an_opt_out_beside_a_relative_who_cannot_be_read_is_taken(office: Office) -> None:
    relative = await office.lead(phone=PHONE, first_name="Olga", email="olga@example.com")
    lead = await office.lead(phone=PHONE, first_name="Ada", email=EMAIL)
    mail = await office.claimed(relative, Channel.EMAIL)
    await of_a_later_release(office, relative)
    told = await office.post(f"/v1/leads/{lead}/opt-out")
    assert (told["state"], told["in_flight"]) == ("finished", [mail])
    await of_a_later_release(office, relative, version=1)
    assert (await office.post(f"/v1/leads/{relative}/notes", {"text": "called"}))["state"] == "finished"


async def test_an_opt_out_that_a_fault_of_ours_keeps_from_a_lead_shuts_its_addresses(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its locks are let go by then: another transaction shuts, while that of the request still waits for it."""
    lead = await office.lead(phone=PHONE, email=EMAIL)

    def fault(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(LeadUnit, "opt_out", fault)
    is_problem(await office.ask("POST", f"/v1/leads/{lead}/opt-out"), 500)
    assert await stops(office, lead) == {"phone": ["sms", "voice"], "email": ["email"]}


async def of_a_later_release(office: Office, lead_id: str, version: int = 2) -> None:
    """Its first fact is, or with version 1 no longer."""
    first = update(tables.facts).where(tables.facts.c.lead_id == lead_id, tables.facts.c.no == 1)
    async with office.services.store.engine.begin() as conn:
        await conn.execute(first.values(version=version, release="0.7.0"))
    office.services.leads.states = States()  # what an API that starts now does not know


async def stops(office: Office, lead_id: str) -> dict[str, list[str]]:
    lead = await office.get(f"/v1/leads/{lead_id}")
    return {a["kind"]: [s["channel"] for s in a["stops"]] for a in lead["addresses"]}
