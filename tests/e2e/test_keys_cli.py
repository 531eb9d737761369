"""`tend keys` on a real database: made, listed, used, revoked; every failure one line."""

import json
import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from store.engine import Store, make_engine, plain_url
from store.keys import find_key
from store.vault import Vault
from wire.keyring import KeyRing

ROOT = Path(__file__).resolve().parents[2]


class Keys:
    """The command, on one database."""

    def __init__(self, directory: Path, **env: str) -> None:
        self._directory = directory
        self._env = {k: v for k, v in os.environ.items() if not k.startswith("TEND_")} | env

    def __call__(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "cli", "keys", *words, "--data-dir", str(self._directory)],
            cwd=ROOT,
            env=self._env,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def refused(self, *words: str) -> str:
        done = self(*words)
        assert done.returncode != 0
        assert done.stdout == ""
        (line,) = done.stderr.strip().splitlines()
        return line


@pytest.fixture
def keys(tmp_path: Path, database_url: str, vault_ring: str) -> Keys:
    return Keys(tmp_path, TEND_DATABASE_URL=database_url, TEND_KEYS=vault_ring)


@pytest.fixture
def vault_ring() -> str:
    return KeyRing.make()


async def test_a_key_is_made_listed_and_revoked(keys: Keys, database_url: str, vault_ring: str) -> None:
    made = keys("create", "--name", "desk", "--role", "coordinator", "--facility", "main", "--phone", "(212) 555-0123")
    assert made.returncode == 0, made.stderr
    secret = made.stdout.strip()
    assert secret not in made.stderr

    store = Store(make_engine(database_url, pool_size=1), Vault(KeyRing.parse(vault_ring)))
    try:
        async with store.engine.begin() as conn:
            actor = await find_key(conn, store.vault, secret)
        assert actor is not None
        assert (actor.name, actor.role, actor.facilities, actor.phone) == (
            "desk",
            "coordinator",
            ("main",),
            "+12125550123",
        )

        (row,) = json.loads(keys("list", "--json").stdout)
        assert (row["id"], row["name"], row["role"], row["revoked_at"]) == (actor.id, "desk", "coordinator", None)
        assert secret not in json.dumps(row)
        assert actor.id in keys("list").stdout

        assert json.loads(keys("revoke", "desk", "--json").stdout) == {"id": actor.id, "revoked": True}
        async with store.engine.begin() as conn:
            assert await find_key(conn, store.vault, secret) is None
    finally:
        await store.engine.dispose()
    with psycopg.connect(plain_url(database_url)) as database:
        rows = database.execute("SELECT action, detail FROM audit ORDER BY id").fetchall()
    assert rows == [("key_created", actor.id), ("key_revoked", actor.id)]
    assert "no key in use" in keys.refused("revoke", "desk")


def test_what_cannot_be_is_one_line(keys: Keys, tmp_path: Path) -> None:
    assert "role: unknown" in keys.refused("create", "--name", "desk", "--role", "boss")
    assert "facility: unknown: nowhere" in keys.refused(
        "create", "--name", "d", "--role", "intake", "--facility", "nowhere"
    )
    line = keys.refused("create", "--name", "desk", "--role", "intake", "--phone", "12")
    assert "phone: not a number" in line
    assert json.loads(keys("list", "--json").stdout) == []
    assert "no `tend up` is running" in Keys(tmp_path).refused("list")


def test_a_name_is_shown_as_it_is_and_is_one_line(keys: Keys) -> None:
    assert keys("create", "--name", "desk [/oops] [red]", "--role", "coordinator").returncode == 0
    listed = keys("list")
    assert listed.returncode == 0, listed.stderr
    assert "desk [/oops] [red]" in listed.stdout
    for name in ("two\nlines", "\x1b[31mred", "x" * 101, "system", "Lead"):
        assert "name" in keys.refused("create", "--name", name, "--role", "coordinator")
