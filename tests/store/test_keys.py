"""Keys: made once, found by their secret alone, gone when revoked."""

import re
from pathlib import Path

import pytest
from sqlalchemy import select, text

from config.data_dir import DataDir
from domain.access import Actor, Role
from domain.errors import InvalidInput, NotFound
from stack.keys import ensure_api_keys
from store.engine import Store
from store.keys import create_key, find_key, list_keys, make_key, revoke_key
from store.tables import api_keys, audit
from store.vault import Vault
from wire.keyring import KeyRing

PHONE = "+12125550111"


async def test_a_secret_stands_for_its_actor(store: Store) -> None:
    async with store.engine.begin() as conn:
        key_id, secret = await create_key(
            conn, store.vault, name="Front desk", role="coordinator", facilities=["north"], phone=PHONE
        )
        actor = await find_key(conn, store.vault, secret)
    assert re.fullmatch(rf"tend_{key_id[:8]}_[\w-]{{43}}", secret)
    assert actor == Actor(key_id, "Front desk", Role.COORDINATOR, ("north",), PHONE)
    assert PHONE not in repr(actor)


async def test_neither_secret_nor_phone_is_kept_in_clear(store: Store) -> None:
    async with store.engine.begin() as conn:
        _, secret = await create_key(conn, store.vault, name="Desk", role=Role.ADMIN, phone=PHONE)
        row = (await conn.execute(select(api_keys))).one()
    kept = b"".join(value if isinstance(value, bytes) else str(value).encode() for value in row)
    assert secret.rsplit("_", 1)[1].encode() not in kept
    assert PHONE.encode() not in kept


async def test_another_secret_is_nobody(store: Store) -> None:
    async with store.engine.begin() as conn:
        _, secret = await create_key(conn, store.vault, name="Desk", role=Role.ADMIN)
        for wrong in (secret[:-1], secret + "x", "", "tend_"):
            assert await find_key(conn, store.vault, wrong) is None


@pytest.mark.parametrize("by_name", [True, False])
async def test_a_revoked_key_is_nobody_and_stays_listed(store: Store, by_name: bool) -> None:
    async with store.engine.begin() as conn:
        key_id, secret = await create_key(conn, store.vault, name="Web form", role=Role.INTAKE)
        assert await revoke_key(conn, "Web form" if by_name else key_id) == key_id
        assert await find_key(conn, store.vault, secret) is None
        (info,) = await list_keys(conn)
        assert (info.id, info.role, info.last_used_at) == (key_id, Role.INTAKE, None)
        assert info.revoked_at is not None
        with pytest.raises(NotFound):
            await revoke_key(conn, key_id)


async def test_a_name_of_several_keys_revokes_none(store: Store) -> None:
    async with store.engine.begin() as conn:
        for _ in range(2):
            await create_key(conn, store.vault, name="Desk", role=Role.ADMIN)
        with pytest.raises(InvalidInput, match="2 keys have that name"):
            await revoke_key(conn, "Desk")
        assert all(info.revoked_at is None for info in await list_keys(conn))


@pytest.mark.parametrize(("name", "role", "field"), [(" ", "admin", "name"), ("Desk", "owner", "role")])
async def test_a_key_needs_a_name_and_a_known_role(store: Store, name: str, role: str, field: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        async with store.engine.begin() as conn:
            await create_key(conn, store.vault, name=name, role=role)
    assert refusal.value.field == field


async def test_use_is_noted_once_a_minute_and_waits_for_nobody(store: Store) -> None:
    async with store.engine.begin() as conn:
        _, secret = await create_key(conn, store.vault, name="Desk", role=Role.ADMIN)
    # the first transaction has noted the use and holds the row: the second must not wait for it
    async with store.engine.begin() as first, store.engine.begin() as second:
        assert await find_key(first, store.vault, secret) is not None
        await second.execute(text("SET LOCAL lock_timeout = '1ms'"))
        assert await find_key(second, store.vault, secret) is not None
    async with store.engine.begin() as conn:
        (info,) = await list_keys(conn)
        assert info.last_used_at is not None
        assert await find_key(conn, store.vault, secret) is not None
        assert (await list_keys(conn))[0].last_used_at == info.last_used_at


async def test_a_first_key_for_a_database(database_url: str, store: Store) -> None:
    ring = KeyRing.make()
    secret = await make_key(database_url, ring, name="First", role="admin", phone=PHONE)
    async with store.engine.connect() as conn:
        actor = await find_key(conn, Vault(KeyRing.parse(ring)), secret)
        row = (await conn.execute(select(audit))).one()
    assert actor is not None
    assert actor.phone == PHONE
    assert (row.actor_name, row.action, row.detail) == ("system", "key_created", actor.id)


@pytest.mark.parametrize("sandbox", [True, False])
async def test_the_keys_of_a_directory_are_made_anew_for_another_database(
    store: Store, database_url: str, tmp_path: Path, sandbox: bool
) -> None:
    directory = DataDir(tmp_path)
    directory.sandbox.mkdir()
    directory.admin_key.write_text("tend_of_another_database\n")
    ring = KeyRing.make()
    await ensure_api_keys(directory, database_url, ring, personas=True, sandbox=sandbox)
    for file, role in ((directory.admin_key, Role.ADMIN), (directory.staff_key, Role.COORDINATOR)):
        async with store.engine.begin() as conn:
            actor = await find_key(conn, Vault(KeyRing.parse(ring)), file.read_text().strip())
        assert actor is not None
        assert actor.role is role
        assert (actor.phone is not None) is (sandbox or role is Role.COORDINATOR), "who dials needs a line"
    kept = directory.admin_key.read_text()
    await ensure_api_keys(directory, database_url, ring, personas=True, sandbox=sandbox)
    assert directory.admin_key.read_text() == kept
