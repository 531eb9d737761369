"""The two that are compared, the product and the bare workflow: on the same server flags, carrier and machine."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, LiteralString

import psycopg

from bench import processes
from bench.carrier import Carrier
from bench.lean_http import Caller
from bench.load import lead, stack, until
from config.data_dir import DataDir
from content.library import load_sequences
from content.templates import load_templates
from demo.launch import Launched
from domain.clock import Clock
from stack.preflight import StartError
from store.engine import make_engine
from store.sequences import publish

HERE = Path(__file__).parent
_READY_WITHIN = 30.0  # real seconds until the first lead is taken in


@dataclass
class Side:
    """One stack under load. `take_in` gives it the lead of that number and answers its id; None where it is refused."""

    name: str
    carrier: Carrier
    take_in: Callable[[int], Coroutine[Any, Any, str | None]]
    pids: Callable[[], dict[str, int]]
    database_url: str
    directory: DataDir
    numbers: "itertools.count[int]" = field(default_factory=itertools.count)
    sequence: str = ""  # of the leads to come
    launched: Launched | None = None

    def cpu(self) -> dict[str, float]:
        """Processor seconds by process of the whole side, its carrier and its load left out."""
        pids = self.pids()
        own = {"supervisor": processes.supervisor(pids["api"])} if self.launched is not None else {}
        return processes.cpu(pids) | own

    async def rows(self, query: LiteralString) -> list[tuple[Any, ...]]:
        """What its database answers."""
        async with await psycopg.AsyncConnection.connect(self.database_url) as conn:
            return await (await conn.execute(query)).fetchall()

    def now(self) -> datetime:
        """Product time."""
        return Clock.read(self.directory.clock).now()

    def real(self, at: datetime) -> float:
        """A product time in Unix time."""
        return Clock.read(self.directory.clock).real(at).timestamp()


@asynccontextmanager
async def product(carrier: Carrier, sequence: str, *words: str, workers: int = 1) -> AsyncIterator[Side]:
    """A fresh `tend up` whose texts go to `carrier`; leads run through one of the bench's own sequences."""
    async with stack(*words, "--workers", str(workers), env=carrier.settings) as (launched, _):
        url = launched.endpoints["database_url"]
        await publish_own(url, Clock.read(launched.directory.clock))
        caller = Caller(launched.endpoints["api"], {"Authorization": f"Bearer {launched.admin_key}"})

        def pids() -> dict[str, int]:
            return {k: v for k, v in launched.endpoints["pids"].items() if k != "sandbox"}

        take_in = taker(caller, lambda: side.sequence)
        side = Side("Tend", carrier, take_in, pids, url, launched.directory, sequence=sequence, launched=launched)
        try:
            await warm(side)
            yield side
        finally:
            caller.close()


def taker(
    caller: Caller, sequence: Callable[[], str], channel: str = "web_form"
) -> Callable[[int], Coroutine[Any, Any, str | None]]:
    """Gives the API behind `caller` a lead by its number, as from this source."""

    async def take_in(number: int) -> str | None:
        source = {"channel": channel, "form": "bench"}
        body = json.dumps(lead(number) | {"source": source, "sequence": sequence()}).encode()
        try:
            status, answer = await caller.post("/v1/leads", body, {"Content-Type": "application/json"})
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            return None
        return str(json.loads(answer)["lead_id"]) if status == 202 else None

    return take_in


async def publish_own(database_url: str, clock: Clock) -> None:
    """The bench's own sequences."""
    engine = make_engine(database_url)
    try:
        await publish(engine, load_sequences(HERE / "sequences", load_templates(HERE / "templates")), clock.now())
    finally:
        await engine.dispose()


async def warm(side: Side) -> None:
    """Until a first lead was accepted: what is published is known everywhere within some seconds. Raises StartError."""

    async def accepted() -> bool:
        return await side.take_in(next(side.numbers)) is not None

    if not await until(accepted, _READY_WITHIN, 0.3):
        raise StartError(f"{side.name} took in no lead within {_READY_WITHIN:.0f} s")
