"""The embedded PostgreSQL: made once, keeps what it holds over a kill and a restart, reachable from loopback alone."""

import os
import signal

import psutil
import psycopg
import pytest

from config.data_dir import DataDir
from stack.ports import stable_ports
from stack.postgres import EmbeddedPostgres
from stack.preflight import StartError, check_database
from tests.stack.conftest import Stage, Until, gone


async def embedded(directory: DataDir) -> EmbeddedPostgres:
    port = stable_ports(directory.ports, ("postgres",))["postgres"]
    postgres = EmbeddedPostgres(directory, port, lambda _: None)
    await postgres.make()
    return postgres


async def test_data_outlives_a_kill_and_a_restart(stage: Stage, directory: DataDir, until: Until) -> None:
    postgres = await embedded(directory)
    await stage.supervisor.start(postgres.spec())
    assert await check_database(postgres.url) is False
    async with await psycopg.AsyncConnection.connect(postgres.url) as connection:
        await connection.execute("create table kept (n int)")
        await connection.execute("insert into kept values (7)")
    first = stage.supervisor.pids["postgres"]
    backends = [child.pid for child in psutil.Process(first).children(recursive=True)]
    os.kill(first, signal.SIGKILL)
    await until(lambda: stage.supervisor.pids["postgres"] != first, "postgres is back")
    async with await psycopg.AsyncConnection.connect(postgres.url) as connection:
        row = await (await connection.execute("select n, current_setting('fsync') from kept")).fetchone()
    assert row == (7, "on")
    await until(lambda: all(map(gone, backends)), "the killed one's own children end")

    await stage.supervisor.stop()
    again = await embedded(directory)
    assert again.url == postgres.url
    await stage.supervisor.start(again.spec())
    async with await psycopg.AsyncConnection.connect(again.url) as connection:
        row = await (await connection.execute("select n from kept")).fetchone()
    assert row == (7,)
    listening = {c.laddr.ip for c in psutil.Process(stage.supervisor.pids["postgres"]).net_connections("inet")}
    assert listening == {"127.0.0.1"}
    assert directory.postgres_password.stat().st_mode & 0o777 == 0o600


async def test_a_helper_of_the_killed_one_that_hangs_does_not_keep_the_next_from_starting(
    stage: Stage, directory: DataDir, until: Until
) -> None:
    """One that waits for a lock of a dead one never ends by itself, and holds the shared memory: here it is frozen."""
    postgres = await embedded(directory)
    await stage.supervisor.start(postgres.spec())
    first = psutil.Process(stage.supervisor.pids["postgres"])
    walwriter = next(c for c in first.children() if "walwriter" in "".join(c.cmdline()))
    walwriter.suspend()
    first.kill()
    await until(lambda: stage.supervisor.pids["postgres"] != first.pid, "postgres is back")
    assert gone(walwriter.pid)
    async with await psycopg.AsyncConnection.connect(postgres.url) as connection:
        assert await (await connection.execute("select 1")).fetchone() == (1,)


async def test_a_stale_pid_file_of_another_program_is_forgotten(stage: Stage, directory: DataDir) -> None:
    postgres = await embedded(directory)
    (directory.postgres / "postmaster.pid").write_text(f"{os.getpid()}\n{directory.postgres}\n1\n5432\n\n\n1 1\n")
    await stage.supervisor.start(postgres.spec())
    assert "postgres" in stage.supervisor.pids


async def test_a_wrong_password_is_one_clear_line_without_it(stage: Stage, directory: DataDir) -> None:
    postgres = await embedded(directory)
    await stage.supervisor.start(postgres.spec())
    wrong = postgres.url.replace(":", ":not-", 2).replace("postgresql:not-//", "postgresql://")
    with pytest.raises(StartError) as caught:
        await check_database(wrong)
    said = str(caught.value)
    assert "password authentication failed" in said
    assert "\n" not in said
    assert "not-" not in said


async def test_a_lost_password_is_told_and_nothing_is_made_anew(directory: DataDir) -> None:
    await embedded(directory)
    directory.postgres_password.unlink()
    before = (directory.postgres / "PG_VERSION").stat().st_mtime_ns
    with pytest.raises(StartError, match=r"postgres\.password is missing"):
        await embedded(directory)
    assert (directory.postgres / "PG_VERSION").stat().st_mtime_ns == before


async def test_a_start_that_was_cut_short_leaves_no_half_database(directory: DataDir) -> None:
    half = directory.path / "postgres.new"
    half.mkdir()
    (half / "PG_VERSION").write_text("18\n")
    await embedded(directory)
    assert not half.exists()
    assert (directory.postgres / "postgresql.conf").exists()
