"""Servers of their own, as the compose file's containers are: a Postgres with two owners, a Temporal dev server."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from asyncio.subprocess import PIPE
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg
import yaml

from config.data_dir import DataDir
from stack.ports import free_port
from stack.postgres import EmbeddedPostgres, _binaries
from stack.process import ChildSpec
from tests.hosting.compose_file import ROOT, Service

ADMIN = "postgres"


@dataclass(frozen=True)
class Postgres:
    """The service `postgres` as a process: made as its image does, with the same arguments, on a port of its own."""

    service: Service
    directory: Path
    port: int

    @property
    def environment(self) -> dict[str, str]:
        """For the programs of Postgres, by its admin, with the binaries first in the path."""
        password = self.service.environment["POSTGRES_PASSWORD"]
        told = {"PGHOST": "127.0.0.1", "PGPORT": str(self.port), "PGPASSWORD": password}
        return {"PATH": f"{_binaries()}:{os.defpath}", "LC_ALL": "C"} | told

    def url(self, user: str, password: str, database: str) -> str:
        return f"postgresql://{user}:{password}@127.0.0.1:{self.port}/{database}"

    @property
    def admin_url(self) -> str:
        return self.url(ADMIN, self.service.environment["POSTGRES_PASSWORD"], ADMIN)

    def spec(self) -> ChildSpec:
        user = None
        if os.geteuid() == 0:  # PostgreSQL refuses root
            embedded = EmbeddedPostgres(DataDir(self.directory), self.port, lambda _: None)
            user = embedded._as_ordinary_user(_binaries())
        data = self.directory / "postgres"
        self._initialize(data, user)
        program, *arguments = self.service.command
        line = (str(_binaries() / program), "-D", str(data), "-p", str(self.port), *arguments)
        sockets = ("-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=")
        return ChildSpec(
            "postgres",
            line + sockets,
            self._answers,
            env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
            prepare=self._make_roles,
            stop_signal=signal.SIGINT,
            user=user,
            cwd=Path("/"),
        )

    def _initialize(self, data: Path, user: tuple[int, int] | None) -> None:
        data.mkdir()
        told = self.directory / "password"
        told.write_text(self.service.environment["POSTGRES_PASSWORD"])
        if user is not None:
            os.chown(data, *user)
            os.chown(told, *user)
        line = [str(_binaries() / "initdb"), "-D", str(data), "-U", ADMIN, "--pwfile", str(told)]
        line += ["--auth=scram-sha-256", *self.service.environment["POSTGRES_INITDB_ARGS"].split()]
        uid, gid = user or (None, None)
        done = subprocess.run(
            line, cwd="/", check=False, capture_output=True, text=True, user=uid, group=gid, timeout=120
        )
        assert done.returncode == 0, done.stderr

    async def _answers(self, _pid: int) -> bool:
        try:
            connection = await psycopg.AsyncConnection.connect(self.admin_url, connect_timeout=2)
        except psycopg.OperationalError:
            return False
        await connection.close()
        return True

    async def _make_roles(self) -> None:
        """What its image runs once: the script the compose file mounts, with the environment it gives."""
        script = ROOT / self.service.volumes["/docker-entrypoint-initdb.d/roles.sh"]
        await run("sh", str(script), env=self.environment | self.service.environment | {"POSTGRES_USER": ADMIN})


def _dynamic() -> dict[str, str]:
    """What the compose file's server is told, each value as JSON."""
    told = yaml.safe_load((ROOT / "hosting" / "temporal-config.yaml").read_text())
    return {name: json.dumps(row["value"]) for name, (row,) in told.items()}


@dataclass(frozen=True)
class Temporal:
    """A Temporal server that nobody has prepared for Tend."""

    directory: Path
    port: int

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def spec(self) -> ChildSpec:
        line = (
            str(Path(sys.executable).with_name("temporal")),
            *("server", "start-dev", "--headless", "--ip", "127.0.0.1", "--port", str(self.port)),
            *("--db-filename", "temporal.db", "--log-level", "error", "--namespace", "first"),
            *("--sqlite-pragma", "journal_mode=wal", "--sqlite-pragma", "synchronous=1"),
            *(word for name, value in _dynamic().items() for word in ("--dynamic-config-value", f"{name}={value}")),
        )
        return ChildSpec("temporal", line, self._answers, cwd=self.directory)

    async def _answers(self, _pid: int) -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        writer.close()
        return True

    async def prepare(self, service: Service) -> None:
        """What the service `temporal-namespace` runs, with its environment."""
        told = service.environment | {"TEMPORAL_ADDRESS": self.address}
        path = f"{Path(sys.executable).parent}:{os.defpath}"
        script = Path(service.raw["entrypoint"][1]).name
        home = str(self.directory)
        await run("sh", str(ROOT / "hosting" / script), env={"PATH": path, "HOME": home} | told)


async def run(*words: str, env: Mapping[str, str], stdin: bytes = b"") -> bytes:
    """Runs a program to its end; what it printed. Fails the test with what it complained of, if it failed."""
    path = env.get("PATH")
    program = shutil.which(words[0], path=path) or words[0]
    process = await asyncio.create_subprocess_exec(
        program, *words[1:], env=dict(env), stdin=PIPE, stdout=PIPE, stderr=PIPE
    )
    out, err = await asyncio.wait_for(process.communicate(stdin), 120)
    assert process.returncode == 0, f"{words[:3]}: {err.decode()}"
    return out


def ports() -> dict[str, int]:
    return {name: free_port("127.0.0.1") for name in ("postgres", "temporal", "api", "sandbox")}
