"""API keys: secrets that stand for an actor. Only their hash is kept.

The secret holds 256 random bits, so nobody can guess one from its hash, however fast: a plain SHA-256 does, where a
password would need a slow hash. `tend_<id part>_...` lets a leaked one be told apart without trying it.
"""

import secrets
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from sqlalchemy import exists, func, insert, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.access import Actor, Role
from domain.errors import InvalidInput, NotFound
from store.audit import append
from store.engine import make_engine
from store.tables import api_keys
from store.vault import Vault
from wire.keyring import KeyRing

LONGEST_NAME = 100
TAKEN_NAMES = frozenset({"system", "lead", "carrier"})


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """A key as it is listed; times are real, `last_used_at` to the minute."""

    id: str
    name: str
    role: Role
    facilities: tuple[str, ...]
    created_at: datetime
    revoked_at: datetime | None
    last_used_at: datetime | None


async def create_key(
    conn: AsyncConnection,
    vault: Vault,
    *,
    name: str,
    role: Role | str,
    facilities: Sequence[str] = (),
    phone: str | None = None,
) -> tuple[str, str]:
    """Makes a key and answers its id and its secret, which cannot be had again. `phone` is E.164.

    Raises InvalidInput for an unknown role or an empty name.
    """
    name = name.strip()
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise InvalidInput("name", f"give the key a name of one line and at most {LONGEST_NAME} characters")
    if name.lower() in TAKEN_NAMES:
        raise InvalidInput("name", f"{name} is what timelines call who is no key; take another")
    if role not in list(Role):
        raise InvalidInput("role", f"unknown: {role}; one of {', '.join(Role)}")
    key_id = str(uuid.uuid4())
    secret = f"tend_{key_id[:8]}_{secrets.token_urlsafe(32)}"
    row = {
        "id": key_id,
        "name": name,
        "role": str(role),
        "facilities": list(facilities),
        "phone": phone,
        "hash": _hash(secret),
    }
    await conn.execute(insert(api_keys).values(**vault.seal_row(api_keys, row)))
    return key_id, secret


async def find_key(conn: AsyncConnection, vault: Vault, secret: str) -> Actor | None:
    """The actor a secret stands for; None if it is unknown or revoked."""
    stale = or_(api_keys.c.last_used_at.is_(None), api_keys.c.last_used_at < func.now() - text("interval '1 minute'"))
    found = await conn.execute(
        select(api_keys, stale.label("stale")).where(api_keys.c.hash == _hash(secret), api_keys.c.revoked_at.is_(None))
    )
    row = found.mappings().one_or_none()
    if row is None:
        return None
    if row["stale"]:
        # once a minute, and by whom it costs no waiting: requests with one key must not queue for its row
        free = select(api_keys.c.id).where(api_keys.c.id == row["id"]).with_for_update(skip_locked=True)
        await conn.execute(update(api_keys).where(api_keys.c.id.in_(free)).values(last_used_at=func.now()))
    phone = vault.open_row(api_keys, row)["phone"]
    return Actor(row["id"], row["name"], Role(row["role"]), tuple(row["facilities"]), phone)


async def lines(conn: AsyncConnection, vault: Vault) -> frozenset[str]:
    """The phones (E.164) of all keys, revoked ones too."""
    rows = await conn.execute(select(api_keys.c.id, api_keys.c.phone).where(api_keys.c.phone.is_not(None)))
    return frozenset(str(vault.open_row(api_keys, row)["phone"]) for row in rows.mappings())


async def list_keys(conn: AsyncConnection) -> list[KeyInfo]:
    """All keys, revoked ones too, oldest first."""
    c = api_keys.c
    columns = (c.id, c.name, c.role, c.facilities, c.created_at, c.revoked_at, c.last_used_at)
    rows = await conn.execute(select(*columns).order_by(c.created_at, c.id))
    return [
        KeyInfo(r.id, r.name, Role(r.role), tuple(r.facilities), r.created_at, r.revoked_at, r.last_used_at)
        for r in rows
    ]


async def revoke_key(conn: AsyncConnection, id_or_name: str) -> str:
    """Ends a key from the commit on and answers its id. Raises NotFound, or InvalidInput if the name is of several."""
    try:
        which = api_keys.c.id == str(uuid.UUID(id_or_name))
    except ValueError:
        which = api_keys.c.name == id_or_name
    found = select(api_keys.c.id).where(which, api_keys.c.revoked_at.is_(None)).with_for_update()
    ids: Sequence[str] = (await conn.execute(found)).scalars().all()
    if not ids:
        raise NotFound("no key in use has that id or name: see `tend keys list`")
    if len(ids) > 1:
        raise InvalidInput("key", f"{len(ids)} keys have that name: revoke by id, see `tend keys list`")
    await conn.execute(update(api_keys).where(api_keys.c.id == ids[0]).values(revoked_at=func.now()))
    return ids[0]


async def has_keys(database_url: str) -> bool:
    """Whether any key was ever made there."""
    engine = make_engine(database_url, pool_size=1)
    try:
        async with engine.connect() as conn:
            return bool(await conn.scalar(select(exists(select(api_keys.c.id)))))
    finally:
        await engine.dispose()


async def make_key(
    database_url: str,
    keyring_text: str,
    *,
    name: str,
    role: Role | str,
    facilities: Sequence[str] = (),
    phone: str | None = None,
) -> str:
    """Makes one key in a migrated database, with its audit row, and answers the secret."""
    vault = Vault(KeyRing.parse(keyring_text))
    engine = make_engine(database_url, pool_size=1)
    try:
        async with engine.begin() as conn:
            key_id, secret = await create_key(conn, vault, name=name, role=role, facilities=facilities, phone=phone)
            await append(conn, "system", "key_created", detail=key_id)
    finally:
        await engine.dispose()
    return secret


def _hash(secret: str) -> bytes:
    return sha256(secret.encode()).digest()
