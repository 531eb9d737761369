"""One answer for one idempotency key: a repeated request gets the first one's answer and does nothing."""

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.errors import TendError
from store.tables import idempotency
from store.vault import Vault


class IdempotencyMismatch(TendError):
    """The key was used before for another request."""

    def __init__(self) -> None:
        super().__init__("this Idempotency-Key was used for another request: use a new key for each request")


@dataclass(frozen=True, slots=True)
class Replay:
    """The first request's HTTP status and JSON answer."""

    status: int
    answer: Any = field(repr=False)


async def begin(conn: AsyncConnection, vault: Vault, actor_id: str, key: str, body_hash: bytes) -> Replay | None:
    """Takes the key for this transaction, or answers what to say again. None: go on, and call `finish`.

    While another transaction holds the key this waits for its end (at most the statement timeout): if it rolled
    back, the key is ours. Raises IdempotencyMismatch for another body.
    """
    key = _hashed(vault, key)
    values = {"actor_id": actor_id, "key": key, "body_hash": body_hash}
    mine = insert(idempotency).values(**values).on_conflict_do_nothing().returning(idempotency.c.key)
    if (await conn.execute(mine)).first() is not None:
        return None
    row = (await conn.execute(select(idempotency).where(*_at(actor_id, key)).with_for_update())).mappings().one()
    if bytes(row["body_hash"]) != body_hash:
        raise IdempotencyMismatch
    if row["status"] is None:  # committed without an answer: nothing to repeat
        return None
    return Replay(row["status"], vault.open_row(idempotency, row)["answer"])


async def finish(  # noqa: PLR0917
    conn: AsyncConnection, vault: Vault, actor_id: str, key: str, status: int, answer: Any
) -> None:
    """Keeps the answer (JSON) under the key that `begin` took; first in its transaction, again once more is known."""
    key = _hashed(vault, key)
    sealed = vault.seal_row(idempotency, {"status": status, "answer": answer}, key=(actor_id, key))
    await conn.execute(update(idempotency).where(*_at(actor_id, key)).values(**sealed))


def _hashed(vault: Vault, key: str) -> str:
    """As it is stored: a key may be somebody's e-mail address."""
    return vault.blind("idempotency", key).hex()


def _at(actor_id: str, key: str) -> tuple[Any, Any]:
    return idempotency.c.actor_id == actor_id, idempotency.c.key == key
