"""`tend keys`: make, list and revoke API keys in the database of a data directory or of the settings."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, TypeVar

import phonenumbers
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from content.facilities import load_facilities
from domain.errors import InvalidInput
from stack.preflight import StartError, read_settings
from store import keys
from store.audit import append
from store.engine import make_engine
from store.vault import Vault
from wire.keyring import KeyRing

T = TypeVar("T")
FACILITIES = Path(__file__).resolve().parent.parent / "config" / "facilities.yaml"

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

DataDirOption = Annotated[
    Path | None, typer.Option("--data-dir", metavar="DIR", help="The data directory of `tend up`. [default: .tend]")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def create(
    *,
    name: Annotated[str, typer.Option(help="Whose key it is, as shown on timelines.")],
    role: Annotated[
        str, typer.Option(help="admin, coordinator, scheduler, marketer, manager, compliance, engineer or intake.")
    ],
    facility: Annotated[
        list[str] | None, typer.Option(help="A facility whose leads it may see; may be repeated. [default: all]")
    ] = None,
    phone: Annotated[str | None, typer.Option(help="The person's own line, as in +12025550143.")] = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a key. Its secret is printed once and cannot be had again."""
    facilities = tuple(facility or ())
    _check_facilities(facilities)
    line = _line(phone)

    async def run() -> tuple[str, str]:
        async with _database(data_dir) as (conn, vault):
            made = await keys.create_key(conn, vault, name=name, role=role, facilities=facilities, phone=line)
            await append(conn, "system", "key_created", detail=made[0])
            return made

    key_id, secret = _run(run())
    if as_json:
        print(json.dumps({"id": key_id, "name": name.strip(), "role": role, "facilities": facilities, "key": secret}))
        return
    print(secret)
    typer.echo(f"Key {key_id} for {name.strip()} ({role}). Keep the line above now: it is shown only once.", err=True)


@app.command(name="list")
def list_(data_dir: DataDirOption = None, as_json: JsonOption = False) -> None:
    """List all keys, revoked ones too."""

    async def run() -> list[keys.KeyInfo]:
        async with _database(data_dir) as (conn, _):
            return await keys.list_keys(conn)

    found = _run(run())
    if as_json:
        print(json.dumps([_row(key) for key in found], indent=1))
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("id", no_wrap=True, min_width=36)  # to be copied, whatever the terminal's width
    for name in ("name", "role", "facilities", "made", "last used", "revoked"):
        table.add_column(name)
    for key in found:
        times = (_shown(at) for at in (key.created_at, key.last_used_at, key.revoked_at))
        table.add_row(key.id, escape(key.name), key.role.value, ", ".join(key.facilities) or "all", *times)
    console = Console()
    # on a pipe nothing is wrapped: who reads it may be a program
    (console if console.is_terminal else Console(width=200)).print(table)


@app.command()
def revoke(
    key: Annotated[str, typer.Argument(metavar="ID|NAME", help="Which key.")],
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """End a key; from now on it opens nothing."""

    async def run() -> str:
        async with _database(data_dir) as (conn, _):
            ended = await keys.revoke_key(conn, key)
            await append(conn, "system", "key_revoked", detail=ended)
            return ended

    key_id = _run(run())
    print(json.dumps({"id": key_id, "revoked": True}) if as_json else f"revoked {key_id}")


@asynccontextmanager
async def _database(data_dir: Path | None) -> AsyncIterator[tuple[AsyncConnection, Vault]]:
    """One transaction. Raises StartError where no database is known or it does not answer."""
    settings = read_settings(data_dir)
    if settings.database_url is None:
        raise StartError(
            f"no `tend up` is running on {settings.data_dir}: start it, give its --data-dir, or set TEND_DATABASE_URL"
        )
    if settings.keys is None:
        raise StartError("the encryption keys are missing: set TEND_KEYS, or give the --data-dir that holds them")
    engine = make_engine(settings.database_url, pool_size=1)
    try:
        async with engine.begin() as conn:
            yield conn, Vault(KeyRing.parse(settings.keys.get_secret_value()))
    except SQLAlchemyError as error:
        cause = getattr(error, "orig", None) or error
        advice = "run `tend migrate`" if type(cause).__name__ == "UndefinedTable" else "is `tend up` running?"
        raise StartError(f"the database did not do it ({type(cause).__name__}): {advice}") from error
    finally:
        await engine.dispose()


def _run(work: Awaitable[T]) -> T:
    async def main() -> T:
        return await work

    return asyncio.run(main())


def _check_facilities(wanted: tuple[str, ...]) -> None:
    known = load_facilities(FACILITIES).by_key
    if unknown := [key for key in wanted if key not in known]:
        raise InvalidInput("facility", f"unknown: {', '.join(unknown)}; one of {', '.join(known)}")


def _line(phone: str | None) -> str | None:
    """In E.164. Raises InvalidInput, without repeating the number."""
    if phone is None:
        return None
    try:
        number = phonenumbers.parse(phone, "US")
    except phonenumbers.NumberParseException:
        number = None
    if number is None or not phonenumbers.is_possible_number(number):
        raise InvalidInput("phone", "not a number; write it as in +12025550143")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _row(key: keys.KeyInfo) -> dict[str, object]:
    times = {"created_at": key.created_at, "last_used_at": key.last_used_at, "revoked_at": key.revoked_at}
    return {
        "id": key.id,
        "name": key.name,
        "role": key.role.value,
        "facilities": list(key.facilities),
        **{name: at.isoformat(timespec="milliseconds") if at else None for name, at in times.items()},
    }


def _shown(at: datetime | None) -> str:
    return "" if at is None else at.astimezone().strftime("%Y-%m-%d %H:%M")
