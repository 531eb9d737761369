"""Several statements in one round trip, past SQLAlchemy's compiler: for what every touch does several times.

Each still sees what was committed before it began: they wait on the server's side only.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import psycopg
from psycopg.rows import dict_row
from sqlalchemy import Table
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from store.engine import ended

_DIALECT = PGDialect_psycopg()  # type: ignore[no-untyped-call]
Statement = tuple[str, Mapping[str, Any]]
Row = dict[str, Any]


async def together(conn: AsyncConnection, statements: Sequence[Statement], *, commit: bool = False) -> list[list[Row]]:
    """Executes all in the transaction of `conn`; the rows of each. Raises DBAPIError as SQLAlchemy would.

    `commit`: and commits, in the same round trip; the caller's own commit then finds nothing left to do.
    """
    if not statements and not commit:
        return []
    driver: Any = (await conn.get_raw_connection()).driver_connection
    try:
        async with driver.pipeline():
            cursors = []
            for sql, values in statements:
                cursor = driver.cursor(row_factory=dict_row)
                await cursor.execute(sql, values)
                cursors.append(cursor)
            if commit:
                await driver.commit()
        return [await cursor.fetchall() if cursor.description else [] for cursor in cursors]
    except psycopg.Error as error:
        raise _told(error) from None


async def alone(engine: AsyncEngine, statement: Statement) -> list[Row]:
    """One statement that is its own transaction: neither its beginning nor its commit is asked for. Its rows."""
    async with engine.connect() as conn:
        driver: Any = (await conn.get_raw_connection()).driver_connection
        await driver.set_autocommit(True)
        try:
            cursor = driver.cursor(row_factory=dict_row)
            await cursor.execute(*statement)
            return await cursor.fetchall() if cursor.description else []
        except psycopg.Error as error:
            raise _told(error) from None
        finally:
            if not driver.closed:
                await driver.set_autocommit(False)


def as_one(statements: Sequence[Statement]) -> list[Statement]:
    """The same writes in one statement, if they are many: all see what was there before, and no row is of two.

    None of them answers rows.
    """
    if len(statements) < 2:
        return list(statements)
    values = {f"s{n}_{name}": value for n, (_, row) in enumerate(statements) for name, value in row.items()}
    return [(_merged(tuple(sql for sql, _ in statements)), values)]


def insert(table: Table, row: Mapping[str, Any], returning: str = "") -> Statement:
    return _insert(table, tuple(row), "", returning), row


def insert_new(table: Table, row: Mapping[str, Any]) -> Statement:
    """Nothing, where there is one like it already."""
    sql, values = insert(table, row)
    return f"{sql} ON CONFLICT DO NOTHING", values


def upsert(table: Table, row: Mapping[str, Any]) -> Statement:
    """By the id: what is there takes the values of `row`, but not another lead."""
    return _insert(table, tuple(row), "id", ""), row


def update(table: Table, key: str, row: Mapping[str, Any]) -> Statement:
    return _update(table, tuple(row), key), row


@lru_cache(maxsize=256)
def _insert(table: Table, columns: tuple[str, ...], key: str, returning: str) -> str:
    sql = f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES ({', '.join(f'%({c})s' for c in columns)})"  # noqa: S608 - names of our own tables
    if key:
        changed = ", ".join(f"{c} = EXCLUDED.{c}" for c in columns if c not in (key, "lead_id"))
        sql += f" ON CONFLICT ({key}) DO UPDATE SET {changed}"
    return f"{sql} RETURNING {returning}" if returning else sql


@lru_cache(maxsize=64)
def _update(table: Table, columns: tuple[str, ...], key: str) -> str:
    changed = ", ".join(f"{c} = %({c})s" for c in columns if c != key)
    return f"UPDATE {table.name} SET {changed} WHERE {key} = %({key})s"  # noqa: S608 - names of our own tables


@lru_cache(maxsize=512)
def _merged(statements: tuple[str, ...]) -> str:
    *first, last = (sql.replace("%(", f"%(s{n}_") for n, sql in enumerate(statements))
    return f"WITH {', '.join(f's{n} AS ({sql})' for n, sql in enumerate(first))} {last}"


def _told(error: psycopg.Error) -> BaseException:
    return ended(error) or DBAPIError.instance(None, None, error, psycopg.Error, hide_parameters=True, dialect=_DIALECT)
