"""The wrong keys are refused before anything is written with them."""

import uuid

import pytest
from sqlalchemy import Connection, insert

from store import migrate
from store.engine import Store, make_engine
from store.ring_check import WrongRing, check_ring
from store.tables import addresses
from store.vault import Vault
from wire.keyring import KeyRing


async def keep(store: Store, ring: str, phone: str) -> None:
    """And an address of which only its index is known."""
    vault = Vault(KeyRing.parse(ring))
    row = {"id": str(uuid.uuid4()), "kind": "phone", "value": phone, "blind": vault.blind("phone", phone)}
    unnamed = row | {"id": str(uuid.uuid4()), "value": None, "blind": vault.blind("phone", f"not {phone}")}
    async with store.engine.begin() as conn:
        for one in (unnamed, vault.seal_row(addresses, row)):
            await conn.execute(addresses.insert().values(one))


async def test_only_the_ring_that_a_database_was_written_with_is_taken(store: Store, database_url: str) -> None:
    old, newer, other = KeyRing.make(), KeyRing.make(), KeyRing.make()
    await check_ring(database_url, other)  # an empty database can be anybody's
    await keep(store, old, "+12125550101")
    await check_ring(database_url, old)
    rotated = f"{newer},{old}"
    await keep(store, rotated, "+12125550102")
    await check_ring(database_url, rotated)
    for wrong in (old, newer, other, f"{old},{newer}", f"{other},{old}"):
        with pytest.raises(WrongRing):
            await check_ring(database_url, wrong)
    forged = f"{old.partition(':')[0]}:{other.partition(':')[2]}"  # another key under the known name
    with pytest.raises(WrongRing):
        await check_ring(database_url, forged)


async def test_a_database_of_any_age_is_looked_at_before_it_is_migrated(empty_database_url: str) -> None:
    engine, ring = make_engine(empty_database_url, pool_size=1), KeyRing.make()
    vault = Vault(KeyRing.parse(ring))
    scripts = migrate._scripts()
    revisions = [script.revision for script in scripts.walk_revisions()][::-1]
    assert len(revisions) > 10
    for revision in revisions:

        def up(conn: Connection, to: str = revision) -> None:
            migrate._run(conn, scripts, lambda rev, _: scripts._upgrade_revs(to, rev))

        async with engine.begin() as conn:
            await conn.run_sync(up)
            if revision == revisions[0]:
                row = {"id": str(uuid.uuid4()), "kind": "phone", "value": "+12125550101"}
                sealed = vault.seal_row(addresses, row | {"blind": vault.blind("phone", row["value"])})
                await conn.execute(insert(addresses).values(sealed))
        await check_ring(empty_database_url, ring)
        with pytest.raises(WrongRing):
            await check_ring(empty_database_url, KeyRing.make())
    await engine.dispose()
