"""The bare workflow as a side of a comparison: its servers, its two kinds of processes, its leads."""

import os
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import psutil
import psycopg
from pydantic import SecretStr
from temporalio.client import Client as Temporal

from bench import bare
from bench.carrier import Carrier
from bench.load import phone
from bench.sides import Side, warm
from config.data_dir import DataDir
from config.settings import Settings
from stack.ports import free_port
from stack.postgres import EmbeddedPostgres
from stack.preflight import make_directory
from stack.process import BEHIND, ChildSpec
from stack.product import answers, python_environment
from stack.supervisor import Supervisor
from stack.temporal_server import Temporal as Server
from stack.temporal_server import server_spec
from wire.keyring import KeyRing


@asynccontextmanager
async def bare_workflow(
    carrier: Carrier, make: Callable[[str], bare.Lead] = bare.Lead, *, workers: int = 1, queue: str = bare.QUEUE
) -> AsyncIterator[Side]:
    """The bare workflow on a Postgres and a Temporal started just as `tend up` starts them. `queue`: of its touches."""
    with tempfile.TemporaryDirectory(prefix="tend-bench-", ignore_cleanup_errors=True) as path:
        directory = DataDir(Path(path) / "data")
        make_directory(directory)
        supervisor = Supervisor(directory.logs, directory.children, lambda _: None)
        try:
            postgres = EmbeddedPostgres(directory, free_port("127.0.0.1"), lambda _: None)
            await postgres.make()
            server = Server(_settings(directory), f"127.0.0.1:{free_port('127.0.0.1')}")
            codec = "http://127.0.0.1:9/codec"
            await supervisor.start(
                postgres.spec(), server_spec(directory, server, ui_port=free_port("127.0.0.1"), codec=codec)
            )
            async with await psycopg.AsyncConnection.connect(postgres.url, autocommit=True) as conn:
                await conn.execute(bare.TABLE)
            await supervisor.start(*_bare_specs(server.address, postgres.url, carrier.url, workers, queue))
            temporal = await Temporal.connect(server.address)

            async def take_in(number: int) -> str | None:
                told = replace(make(phone(number)), queue=queue)
                await temporal.start_workflow("BareLead", told, id=f"bare/{told.phone[1:]}", task_queue=bare.QUEUE)
                return told.phone

            side = Side("bare", carrier, take_in, lambda: supervisor.pids, postgres.url, directory)
            await warm(side)
            yield side
        finally:
            await supervisor.stop()


def _settings(directory: DataDir) -> Settings:
    return Settings(data_dir=directory.path, keys=SecretStr(KeyRing.make()), _env_file=None)


def _bare_specs(address: str, database: str, carrier: str, workers: int, queue: str) -> list[ChildSpec]:
    port = free_port("127.0.0.1")
    web, env = f"http://127.0.0.1:{port}", python_environment()
    line = (sys.executable, "-P", "-m", "bench.serve_bare")
    specs = [ChildSpec("web", (*line, "web", address, database, str(port)), answers(f"{web}/healthz"), env=env)]
    for n in range(workers):
        own = (*line, "worker", address, database, carrier, web, queue)
        specs.append(ChildSpec(f"worker-{n + 1}", own, _there, env=env, stage=1, grace=11.0, nice=BEHIND))
    return specs


async def _there(pid: int) -> bool:
    """It runs; that it works shows with the first lead."""
    return psutil.pid_exists(pid) and os.getpid() != pid
