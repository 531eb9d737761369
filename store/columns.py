"""What the columns of all tables are made of.

Columns named `at`, `due_at`, `*_at` hold product time unless marked real. What tells of a person is `Sealed`.
Names of constraints follow what Postgres itself would choose, so that migrations can be plain DDL.
"""

from typing import Any

from sqlalchemy import Column, DateTime, ForeignKey, Integer, MetaData, Text, Uuid, text

from store.vault import Sealed, SealedJson

metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "fk": "%(table_name)s_%(column_0_name)s_fkey",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
    }
)

NOW = text("now()")  # the start of the transaction, real
CLOCK = text("clock_timestamp()")  # this very moment, real


def uuid(name: str, *args: Any, null: bool = False, **kw: Any) -> Column[str]:
    return Column(name, Uuid(as_uuid=False), *args, nullable=null, **kw)


def words(name: str, *, null: bool = False, **kw: Any) -> Column[str]:
    return Column(name, Text, nullable=null, **kw)


def number(name: str, *, null: bool = False, **kw: Any) -> Column[int]:
    return Column(name, Integer, nullable=null, **kw)


def moment(name: str, *, null: bool = False, **kw: Any) -> Column[Any]:
    return Column(name, DateTime(timezone=True), nullable=null, **kw)


def sealed(name: str, *, null: bool = True) -> Column[Any]:
    return Column(name, Sealed, nullable=null)


def sealed_json(name: str, *, null: bool = True) -> Column[Any]:
    return Column(name, SealedJson, nullable=null)


def own_id() -> Column[str]:
    return Column("id", Uuid(as_uuid=False), primary_key=True)


def of_lead() -> Column[str]:
    return uuid("lead_id", ForeignKey("leads.id"))
