"""The audit row stands or falls with what it tells of."""

import uuid

import pytest
from sqlalchemy import select

from domain.access import Actor, Role
from store.audit import append
from store.engine import Store
from store.tables import audit

ACTOR = Actor(str(uuid.uuid4()), "Front desk", Role.COORDINATOR, ("north",), "+12125550111")


async def test_who_did_what_to_which_lead(store: Store) -> None:
    lead_id = str(uuid.uuid4())
    async with store.engine.begin() as conn:
        await append(conn, ACTOR, "lead_viewed", lead_id)
        await append(conn, "system", "keys_rotated", detail="2 rows")
    async with store.engine.connect() as conn:
        columns = (audit.c.actor_id, audit.c.actor_name, audit.c.role, audit.c.action, audit.c.lead_id, audit.c.detail)
        rows = (await conn.execute(select(*columns).order_by(audit.c.id))).all()
        assert await conn.scalar(select(audit.c.at).limit(1)) is not None
    assert [tuple(row) for row in rows] == [
        (ACTOR.id, "Front desk", "coordinator", "lead_viewed", lead_id, None),
        ("system", "system", "system", "keys_rotated", None, "2 rows"),
    ]


async def test_what_did_not_happen_leaves_no_row(store: Store) -> None:
    with pytest.raises(RuntimeError):
        async with store.engine.begin() as conn:
            await append(conn, ACTOR, "lead_changed", str(uuid.uuid4()))
            raise RuntimeError
    async with store.engine.connect() as conn:
        assert (await conn.execute(select(audit))).all() == []
