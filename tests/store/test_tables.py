"""The types of the tables, as they come back from Postgres."""

import uuid
from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import func, insert, select, text
from sqlalchemy.exc import DBAPIError

from store.engine import Store, make_engine, plain_url
from store.tables import lead_names, leads, metadata, sequence_versions, tasks
from store.vault import Sealed

AT = datetime(2026, 3, 2, 10, 0, 0, 123456, tzinfo=UTC)
PERSONAL = {"first_name", "last_name", "concern", "service_line", "postal_code", "details", "value", "body", "subject"}
PERSONAL |= {"notes", "phone", "ip", "url", "stamp", "answer"}


def _lead(store: Store, **given: object) -> dict[str, object]:
    row = {"id": str(uuid.uuid4()), "created_at": AT, "urgency": "soon", "state": "starting", "stage": "new"}
    return store.vault.seal_row(leads, {**row, "first_name": "Test", **given})


async def test_a_lead_and_its_defaults(store: Store) -> None:
    names = [store.vault.blind("name", name) for name in ("test lead", "test", "lead")]
    async with store.engine.begin() as conn:
        row = _lead(store, channels=["sms", "email"], created_at=AT.astimezone(timezone(timedelta(hours=5))))
        await conn.execute(insert(leads).values(**row))
        for name in names:
            await conn.execute(insert(lead_names).values(lead_id=row["id"], blind=name))
        named = select(lead_names.c.lead_id).where(lead_names.c.blind == names[1])
        stored = (await conn.execute(select(leads).where(leads.c.id.in_(named)))).mappings().one()
    assert stored["id"] == row["id"]
    assert stored["created_at"] == AT
    assert stored["recorded_at"].tzinfo is not None
    assert stored["channels"] == ["sms", "email"]
    assert (stored["paused"], stored["is_test"], stored["enrollment"], stored["last_fact"]) == (False, False, 0, 0)


async def test_ids_are_text_within_arrays_too(store: Store) -> None:
    lead = _lead(store)
    candidates = [str(uuid.uuid4()), str(uuid.uuid4())]
    async with store.engine.begin() as conn:
        await conn.execute(insert(leads).values(**lead))
        task = {"id": str(uuid.uuid4()), "lead_id": lead["id"], "kind": "reply", "state": "open"}
        await conn.execute(insert(tasks).values(**task, due_at=AT, opened_at=AT, candidates=candidates))
        stored = (await conn.execute(select(tasks))).mappings().one()
        assert await conn.scalar(select(func.count()).where(tasks.c.candidates.contains([candidates[1]]))) == 1
    assert stored["candidates"] == candidates
    assert stored["lead_id"] == lead["id"]


async def test_a_sequence_is_published_once_for_its_content(store: Store) -> None:
    row = {"key": "consultation", "code": "s07", "content_hash": "abc", "content": {"steps": []}, "published_at": AT}
    async with store.engine.begin() as conn:
        await conn.execute(insert(sequence_versions).values(**row, version=1))
        assert await conn.scalar(select(sequence_versions.c.content)) == {"steps": []}
    with pytest.raises(DBAPIError, match="sequence_versions_key_content_hash_key"):
        async with store.engine.begin() as conn:
            await conn.execute(insert(sequence_versions).values(**row, version=2))


def test_what_tells_of_a_person_is_sealed() -> None:
    clear = [
        f"{table.name}.{column.name}"
        for table in metadata.tables.values()
        for column in table.columns
        if column.name in PERSONAL and not isinstance(column.type, Sealed)
    ]
    assert clear == []


async def test_an_error_holds_no_parameter(store: Store) -> None:
    with pytest.raises(DBAPIError) as failure:
        async with store.engine.begin() as conn:
            await conn.execute(text("SELECT CAST(:phone AS text) FROM nowhere"), {"phone": "+12125550100"})
    assert "5550100" not in str(failure.value)


async def test_the_engine_limits_and_names_itself(store: Store) -> None:
    async with store.engine.connect() as conn:
        assert await conn.scalar(text("SHOW statement_timeout")) == "10s"
        assert await conn.scalar(text("SHOW transaction_timeout")) == "12s"
        assert await conn.scalar(text("SHOW application_name")) == "tend"


@pytest.mark.parametrize("limited", [True, False])
async def test_what_is_committed_is_on_disk_whatever_the_server_or_the_address_says(
    database_url: str, limited: bool
) -> None:
    engine = make_engine(f"{database_url}&options=-c%20synchronous_commit%3Doff", pool_size=1, limited=limited)
    async with engine.connect() as conn:
        assert await conn.scalar(text("SHOW synchronous_commit")) == "on"
    await engine.dispose()


async def test_options_of_the_address_are_kept(database_url: str) -> None:
    engine = make_engine(f"{database_url}&options=-c%20work_mem%3D8MB", pool_size=1)
    async with engine.connect() as conn:
        assert await conn.scalar(text("SHOW work_mem")) == "8MB"
        assert await conn.scalar(text("SHOW statement_timeout")) == "10s"
    await engine.dispose()


def test_any_driver_suffix_will_do() -> None:
    engine = make_engine("postgresql://tend:word@db.example.com:5433/tend?sslmode=require")
    assert engine.url.drivername == "postgresql+psycopg"
    assert plain_url(engine.url) == "postgresql://tend:word@db.example.com:5433/tend?sslmode=require"
    assert "word" not in repr(engine)
