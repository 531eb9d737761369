"""Facts as rows: what an earlier release goes on writing beside this one."""

from datetime import UTC, datetime

from sqlalchemy import text

from domain.facts import Noted
from store import tables
from tests.store.test_rules import Clinic
from tests.store.test_rules import clinic as clinic  # noqa: PLC0414 - the fixture

OLD = text(
    "INSERT INTO facts (lead_id, no, kind, at, by_actor, data) VALUES (:lead_id, :no, :kind, :at, :by_actor, :data)"
)


async def test_a_row_that_an_earlier_release_writes_is_of_version_1(clinic: Clinic) -> None:
    lead = await clinic.inquire()
    row = {
        "lead_id": lead,
        "no": (await clinic.state(lead)).last_no + 1,
        "kind": "note",
        "at": datetime.now(UTC),
        "by_actor": "desk",
        "data": '{"kind":"note","text":"hello"}',
    }
    async with clinic.store.engine.begin() as conn:
        await conn.execute(OLD, clinic.store.vault.seal_row(tables.facts, row))
    async with clinic.store.engine.connect() as conn:
        assert (await clinic.leads.records(conn, lead))[-1].fact == Noted(text="hello")
        stored = (await conn.execute(tables.facts.select().where(tables.facts.c.kind == "note"))).mappings().one()
    assert (stored["version"], stored["release"]) == (1, None)
