"""What is looked at before anything starts, so that a start that cannot work is refused with one clear line."""

import contextlib
import os
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from filelock import FileLock, Timeout
from pydantic import ValidationError
from sqlalchemy.exc import ArgumentError

from config.data_dir import DataDir, load_settings
from config.settings import Settings
from domain.errors import TendError
from store import ring_check
from store.engine import plain_url


class StartError(TendError):
    """A start that cannot be. The text is one line that says what is wrong and what to do."""

    exit_code = 1


class UsageError(StartError):
    """A value on the command line that cannot be."""

    exit_code = 2


def read_settings(data_dir: Path | None) -> Settings:
    """`load_settings`, with what is wrong named by its variable and never by its value. Raises StartError."""
    try:
        return load_settings(data_dir)
    except ValidationError as error:
        wrong = [f"TEND_{str(e['loc'][0]).upper()}: {e['msg']}" for e in error.errors(include_input=False)]
        raise StartError("settings: " + "; ".join(wrong)) from None
    except UnicodeDecodeError:
        raise StartError("settings: .env, or a file in the data directory, is not a text in UTF-8") from None
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise StartError(
            "settings: endpoints.json or sandbox/credentials.json in the data directory cannot be read "
            f"({type(error).__name__}): remove the first, put back the other"
        ) from None


def make_directory(directory: DataDir) -> None:
    """Makes the data directory if need be and tries to write in it. Raises StartError."""
    path = directory.path
    try:
        if not path.exists():
            # As root the servers that drop privileges must be able to pass through, so others may enter, not list.
            path.mkdir(parents=True, mode=0o711 if os.geteuid() == 0 else 0o700)
        with tempfile.NamedTemporaryFile(dir=path, prefix=".write-"):
            pass
        directory.logs.mkdir(exist_ok=True, mode=0o700)
        directory.sandbox.mkdir(exist_ok=True, mode=0o700)
    except OSError as error:
        why = (error.strerror or type(error).__name__).lower()
        raise StartError(
            f"--data-dir {path} cannot be written ({why}): give a directory that you may write, or make room"
        ) from None


def lock_directory(directory: DataDir) -> FileLock:
    """The lock that one `tend up` holds on its data directory while it runs. Raises StartError if another has it."""
    lock = FileLock(directory.lock, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise StartError(
            f"another `tend up` is running on {directory.path}: stop it first, or give another --data-dir"
        ) from None
    return lock


def _place(url: str) -> str:
    """Host, port and database of an address, without user and password."""
    parts = urlsplit(url)
    return f"{parts.hostname or '?'}:{parts.port or 5432}{parts.path}"


async def check_database(url: str) -> bool:
    """Whether the configured database already holds Tend's tables. Raises StartError if it does not answer."""
    advice = "correct TEND_DATABASE_URL, or unset it to use the embedded one"
    place = plain = ""
    with contextlib.suppress(ArgumentError, ValueError):
        plain = plain_url(url)
        place = _place(plain)
    if not place or not url.startswith("postgres"):
        raise StartError(
            "TEND_DATABASE_URL is no address: it must look like postgresql://user:password@host:port/database"
        )
    try:
        connection = await psycopg.AsyncConnection.connect(plain, connect_timeout=5)
        async with connection:
            row = await (await connection.execute("select to_regclass('alembic_version') is not null")).fetchone()
    except psycopg.Error as error:
        # The first lines repeat the whole address; the last says why.
        lines = str(error).strip().splitlines() or [type(error).__name__]
        why = lines[-1].rsplit("failed: ", 1)[-1].removeprefix("FATAL: ").strip()
        raise StartError(f"no database at {place} ({why}): {advice}") from None
    return bool(row and row[0])


def check_personas(text: str, known: frozenset[str]) -> tuple[str, ...]:
    """The persona names in `none` or `a,b,c`; `known` empty means that any word is taken. Raises UsageError."""
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if names in ((), ("none",)):
        return ()
    unknown = [name for name in names if known and name not in known]
    if unknown or "none" in names:
        said = ", ".join(sorted(known)) or "names separated by commas"
        raise UsageError(f"--personas {text!r}: use none, or some of {said}")
    return names


def check_workers(count: int) -> None:
    """Raises UsageError if so many workers make no sense on one machine."""
    if not 1 <= count <= 64:
        raise UsageError(f"--workers {count}: give a number from 1 to 64")


async def check_ring(database_url: str, ring: str, file: Path) -> None:
    """Raises StartError if these are not the keys of this database, before anything is written with them."""
    try:
        await ring_check.check_ring(database_url, ring)
    except ring_check.WrongRing as error:
        raise StartError(f"{error}: correct TEND_KEYS, or put back {file}") from None
