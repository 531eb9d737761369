"""What is remembered of a lead is what was committed, and never another history's."""

from dataclasses import replace

import pytest
from sqlalchemy import delete, update

from domain import facts as f
from domain.lead_state import LeadState
from store import tables
from store.states import States
from tests.store.test_rules import Clinic, clinic

__all__ = ["clinic"]  # the fixture


async def remembered(clinic: Clinic, lead_id: str) -> LeadState:
    async with clinic.leads.lead(lead_id) as unit:
        return unit.before


async def note(clinic: Clinic, lead_id: str, text: str) -> None:
    async with clinic.leads.lead(lead_id) as unit:
        unit.append(f.Noted(text=text), "test")


async def put_back(clinic: Clinic, to: LeadState) -> None:
    """As a copy of the database has it."""
    table, lead = tables.facts.c, tables.leads
    async with clinic.store.engine.begin() as conn:
        await conn.execute(delete(tables.facts).where(table.lead_id == to.lead_id, table.no > to.last_no))
        await conn.execute(update(lead).where(lead.c.id == to.lead_id).values(last_fact=to.last_no))


async def test_it_is_the_state_that_the_facts_give(clinic: Clinic) -> None:
    lead = await clinic.inquire()
    for text in ("one", "two"):
        await note(clinic, lead, text)
        known = clinic.leads.states.get(lead)
        assert known is not None
        clinic.leads.states = States()
        assert known == await remembered(clinic, lead) == await clinic.state(lead)


async def test_only_what_came_since_is_read(clinic: Clinic) -> None:
    lead = await clinic.inquire()
    before = await remembered(clinic, lead)
    async with clinic.store.engine.begin() as conn:  # what cannot be opened any more is not looked at again
        await conn.execute(update(tables.facts).where(tables.facts.c.lead_id == lead).values(data=b"x"))
    assert await remembered(clinic, lead) is before


async def test_what_was_rolled_back_is_not_remembered(clinic: Clinic) -> None:
    lead = await clinic.inquire()
    before = await remembered(clinic, lead)
    with pytest.raises(ZeroDivisionError):
        async with clinic.leads.lead(lead) as unit:
            unit.append(f.Paused(reason="x"), "test")
            raise ZeroDivisionError
    async with clinic.store.engine.connect() as conn:
        with pytest.raises(ZeroDivisionError):
            async with clinic.leads.within(conn, lead) as unit:
                unit.append(f.Paused(reason="x"), "test")
                raise ZeroDivisionError
    assert await remembered(clinic, lead) == before


async def test_a_history_that_is_shorter_than_what_is_remembered_is_read_anew(clinic: Clinic) -> None:
    lead = await clinic.inquire()
    before = await remembered(clinic, lead)
    await note(clinic, lead, "lost")
    await put_back(clinic, before)
    assert await remembered(clinic, lead) == before


async def test_another_history_of_the_same_length_is_read_anew(clinic: Clinic) -> None:
    """The database was put back from a copy, and another process has written since."""
    lead = await clinic.inquire()
    before = await remembered(clinic, lead)
    await note(clinic, lead, "lost")
    await put_back(clinic, before)
    other = replace(clinic.leads, states=States())
    async with other.lead(lead) as unit:
        unit.append(f.Paused(reason="x"), "test")
    state = await remembered(clinic, lead)
    assert state.pause is not None and state == await clinic.state(lead)
