"""Releases beside one another: a database from before inquiries were sealed, and a fact of a later release."""

import uuid
from collections.abc import Callable
from typing import Any

from alembic.runtime.migration import MigrationContext
from sqlalchemy import select, text, update

from store import migrate, tables
from store.engine import make_engine
from store.states import States
from tests.api.office import Office, is_problem

_LEAD = "INSERT INTO leads (id, created_at, urgency, state, stage) VALUES (:lead, now(), 'routine', 'active', 'new')"
_SOURCE = (
    "INSERT INTO sources (id, lead_id, fact_no, channel, keyword, campaign, at)"
    " VALUES (:lead, :lead, 1, 'google_ads', 'planted keyword', 'planted', now())"
)
_POINT = "INSERT INTO touchpoints (id, lead_id, channel, campaign) VALUES (:lead, :lead, 'google_ads', 'planted')"
_KEY = "INSERT INTO idempotency (actor_id, key, body_hash) VALUES ('desk', 'ada@example.com', 'x')"


async def test_what_was_kept_in_clear_is_gone_and_the_rows_stay(empty_database_url: str, monkeypatch: Any) -> None:
    scripts = migrate._scripts()
    with monkeypatch.context() as patch:
        patch.setattr(migrate, "_run", _up_to("20261123_first_tables"))
        patch.setattr("store.home.make", _not_yet)
        patch.setattr(migrate, "_say_what_fits", lambda *_: None)
        await migrate.migrate(empty_database_url)
    engine = make_engine(empty_database_url, pool_size=1)
    async with engine.begin() as conn:
        for statement in (_LEAD, _SOURCE, _POINT, _KEY):
            await conn.execute(text(statement), {"lead": str(uuid.UUID(int=7))})

    assert await migrate.migrate(empty_database_url) == scripts.get_current_head()
    async with engine.connect() as conn:
        for table, kept in ((tables.sources, 1), (tables.touchpoints, 1), (tables.idempotency, 0)):
            rows = (await conn.execute(select(table))).all()
            assert len(rows) == kept, table.name
            assert "planted" not in str(rows)
        where = "SELECT pg_read_binary_file(pg_relation_filepath(:name))"
        await conn.execute(text("CHECKPOINT"))
        for name in ("sources", "touchpoints", "idempotency"):
            assert b"planted" not in bytes(await conn.scalar(text(where), {"name": name})), name
    await engine.dispose()


async def _not_yet(_: Any) -> None:
    """A release that old knew nothing of where a database is at home."""


def _up_to(revision: str) -> Callable[..., None]:
    run = migrate._run

    def partly(conn: Any, scripts: Any, _: Any) -> None:
        def steps(rev: Any, __: MigrationContext) -> Any:
            return scripts._upgrade_revs(revision, rev)

        run(conn, scripts, steps)

    return partly


async def test_a_lead_with_a_fact_of_a_later_release_is_left_to_that_release(office: Office) -> None:
    lead = await office.lead()
    later = update(tables.facts).where(tables.facts.c.lead_id == lead, tables.facts.c.no == 1)
    async with office.services.store.engine.begin() as conn:
        await conn.execute(later.values(version=2, release="0.7.0"))
    office.services.leads.states = States()  # what an API that starts now does not know
    answer = await office.ask("POST", f"/v1/leads/{lead}/pause", json={"reason": "asked to wait"})
    is_problem(answer, 503)
    assert "run release 0.7.0 or a later one" in answer.json()["detail"]
    assert answer.headers["Retry-After"] == "30"
    async with office.services.store.engine.begin() as conn:
        await conn.execute(later.values(version=1, release=None))
    assert (await office.ask("POST", f"/v1/leads/{lead}/pause", json={"reason": "asked to wait"})).status_code == 200
