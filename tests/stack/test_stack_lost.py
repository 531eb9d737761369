"""Temporal lost in the midst, and a dump put back: with all real parts, and by the commands of the runbook."""

import asyncio
import json
import os
import re
import shlex
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest_asyncio

from demo.client import Client, Json, client
from demo.disaster import lose_temporal
from demo.launch import Launched
from stack.postgres import _binaries
from tests.stack.conftest import ROOT
from tests.store.a_copy import NOTICED_BEFORE

BEGINS = "2026-03-02T10:00:00-05:00"
WITHIN = 60.0
_RUNBOOK = ROOT / "docs" / "runbook.md"


@pytest_asyncio.fixture
async def launched(tmp_path: Path) -> AsyncIterator[Launched]:
    async with Launched(tmp_path / "data", "--port", "0") as found:
        yield found


async def tend(launched: Launched, *words: str, code: int | None = 0) -> Any:
    """Runs a verb on its directory; what it prints as JSON."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("TEND_")}
    line = [sys.executable, "-m", "cli", *words, "--json", "--data-dir", str(launched.directory.path)]
    done = await asyncio.to_thread(subprocess.run, line, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert code is None or done.returncode == code, (done.stdout, done.stderr)
    return json.loads(done.stdout) if code == 0 or done.stdout.startswith("{") else done.stderr


async def until(holds: Callable[[], Awaitable[object]], what: str) -> None:
    deadline = asyncio.get_running_loop().time() + WITHIN
    while not await holds():
        assert asyncio.get_running_loop().time() < deadline, f"never came: {what}"
        await asyncio.sleep(0.1)


async def take_in(clinic: Client, number: int) -> str:
    asked = {
        "first_name": "Test",
        "last_name": f"Person {number}",
        "phone": phone(number),
        "email": f"person{number}@example.com",
        "postal_code": "10001",
        "source": {"channel": "web_form"},
    }
    return str((await clinic.take_in(asked))["lead_id"])


def phone(number: int) -> str:
    return f"+121255501{number:02}"


async def steps(clinic: Client, lead: str) -> dict[str, str]:
    return {t["step"]: t["status"] for t in await clinic.timeline(lead) if t["kind"] == "touch"}


async def until_step(clinic: Client, lead: str, step: str) -> None:
    async def done() -> bool:
        return (await steps(clinic, lead)).get(step) in ("accepted", "delivered")

    await until(done, f"{step} of a lead")


def twice(arrived: list[Json]) -> list[tuple[tuple[str, str], int]]:
    """What reached somebody more than once."""
    sent = Counter((one["channel"], str(one["touch_id"])) for one in arrived)
    return [(one, count) for one, count in sent.items() if count > 1]


async def test_leads_go_on_when_temporal_is_lost_in_their_midst(launched: Launched) -> None:
    endpoints = await launched.start("--clock", BEGINS, "--pace", "300")
    async with client(endpoints, launched.admin_key) as clinic:
        leads = [await take_in(clinic, number) for number in range(5)]
        for lead in leads:
            await until_step(clinic, lead, "confirm")
        await lose_temporal(launched)
        told = await tend(launched, "rebuild")
        assert told["leads"] == 5

        async def left_alone() -> bool:
            return bool((await tend(launched, "rebuild"))["started"] == 0)

        await until(left_alone, "who has a workflow is left alone, once Temporal's list knows")
        for lead in leads:
            await until_step(clinic, lead, "bio")
        arrived = await clinic.outbox()
        assert twice(arrived) == []
        assert {one["touch_id"] for one in arrived} == {
            t["id"] for lead in leads for t in await clinic.timeline(lead) if t.get("claimed_at")
        }


async def test_nobody_is_written_to_twice_from_a_dump_that_was_put_back(launched: Launched, tmp_path: Path) -> None:
    endpoints = await launched.start("--clock", BEGINS, "--pace", "1")
    async with client(endpoints, launched.admin_key) as clinic:
        quiet, written, stops, asks = [await take_in(clinic, number) for number in range(4)]
        for lead in (quiet, written, stops, asks):
            await until_step(clinic, lead, "confirm")
        dump(endpoints["database_url"], tmp_path / "dump")
        await clinic.post(f"/v1/leads/{written}/messages", {"channel": "sms", "body": "We are looking forward to it."})
        lost = await take_in(clinic, 4)
        await clinic.inbound(phone(2), "STOP")
        await clinic.inbound(phone(3), "What does it cost?")
        await until_step(clinic, lost, "confirm")
        await until_step(clinic, written, "staff")
        await until_step(clinic, stops, "stop")
        before = await clinic.outbox()
    put_back(endpoints["database_url"], tmp_path / "dump")
    await launched.stop()

    endpoints = await launched.start()
    assert not any(name.startswith("worker") for name in endpoints["pids"])
    assert "rebuild --restored" in await tend(launched, "rebuild", code=1)
    found = {line["check"]: line["verdict"] for line in (await tend(launched, "doctor", code=1))["checks"]}
    assert found["copy"] == "wrong"
    async with await psycopg.AsyncConnection.connect(endpoints["database_url"]) as conn:
        await conn.execute(NOTICED_BEFORE)
    compared = (await tend(launched, "rebuild", "--restored"))["compared"]
    del compared["since"]
    counted = {"known": 4, "found": 0, "stopped": 1, "strangers": 1, "replies": 1, "stops": 1, "mails": 0}
    assert compared == counted | {"stops_of_nobody": 0, "untaken": 0, "unread": {}, "newer": []}

    async def at_work() -> bool:
        return "worker-1" in launched.endpoints["pids"]

    await until(at_work, "the worker is at work")
    async with client(launched.endpoints, launched.admin_key) as clinic:
        assert (await clinic.lead(written))["state"] == "paused"
        assert (await clinic.lead(quiet))["state"] == "active"
        assert (await clinic.lead(stops))["exit_reason"] == "opted_out"
        assert (await clinic.lead(asks))["state"] == "resting"
        (review,) = await clinic.tasks(kind="review", state="open")
        assert review["lead_id"] == written
        (reply,) = await clinic.tasks(kind="reply", state="open")
        assert reply["lead_id"] == asks
        arrived = await clinic.outbox()
        assert [one["id"] for one in arrived] == [one["id"] for one in before]


def dump(url: str, file: Path) -> None:
    _run("pg_dump", "--format=custom", f"--file={file}", url)


def put_back(url: str, file: Path) -> None:
    """With the commands of the runbook."""
    block = re.search(r"```sh\n( *PG=.*?)```", _RUNBOOK.read_text(), re.DOTALL)
    assert block is not None
    env = os.environ | {"URL": url, "BIN": str(_binaries())}
    said = "set -e\n" + block[1].replace("tend-backup.dump", shlex.quote(str(file)))
    done = subprocess.run(["bash", "-c", said], capture_output=True, text=True, check=False, env=env)
    assert done.returncode == 0, done.stderr


def _run(program: str, *words: str) -> None:
    done = subprocess.run([str(_binaries() / program), *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
