"""Whether the key ring is the one that this database was written with: looked at before anything is written."""

from sqlalchemy import func, select, text
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.errors import TendError
from store.engine import make_engine
from store.tables import addresses
from store.vault import Vault, VaultError
from wire.keyring import KeyRing


class WrongRing(TendError):
    """With these keys stored numbers would be neither read nor recognized: a stopped one would be written to again."""


async def check_ring(database_url: str, ring: str) -> None:
    """One address sealed with each key must open, and be found by its blind index. Raises WrongRing.

    A database that holds no tables yet can be anybody's.
    """
    engine = make_engine(database_url, pool_size=1, limited=False)  # of any age, so that `migrate` can say it
    try:
        async with engine.connect() as conn:
            if await conn.scalar(text("SELECT to_regclass('addresses')")) is None:
                return
            await _check(conn, Vault(KeyRing.parse(ring)))
    finally:
        await engine.dispose()


async def _check(conn: AsyncConnection, vault: Vault) -> None:
    header = func.substring(addresses.c.value, 1, func.get_byte(addresses.c.value, 1) + 2)  # it names the key
    c = addresses.c  # these have been there from the first: the database may be of any age
    one_a_key = (
        select(c.id, c.kind, c.value, c.blind).ext(distinct_on(header)).where(c.value.is_not(None)).order_by(header)
    )
    for row in (await conn.execute(one_a_key)).mappings():
        try:
            value = vault.open_row(addresses, row)["value"]
        except VaultError:
            raise WrongRing("the encryption keys are not those that this database was written with") from None
        if vault.blind(row["kind"], value) != bytes(row["blind"]):
            raise WrongRing("the encryption keys lack the oldest one, or it is not the last of the ring")
