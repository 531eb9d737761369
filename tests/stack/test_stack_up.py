"""`tend up` with all its real parts: up, healed, stopped, and up again where it was."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import httpx
import psutil
import pytest_asyncio

from config.data_dir import DataDir
from domain.clock import Clock
from stack.process import BEHIND
from tests.stack.conftest import ROOT, Until, gone
from wire.keyring import KeyRing


class Up:
    """Runs of `tend up` on one directory."""

    def __init__(self, directory: DataDir, until: Until) -> None:
        self.directory = directory
        self._until = until
        self._console = directory.path.with_name("console")
        self.process: subprocess.Popen[bytes] | None = None

    async def start(self, *words: str) -> dict[str, Any]:
        self._launch(*words)
        await self._until(lambda: self.up or not self.running, "everything answers", 120)
        assert self.up, self.said
        return self.endpoints

    def _launch(self, *words: str) -> None:
        with self._console.open("wb") as console:
            self.launch(console.fileno(), *words)

    def launch(self, console: int, *words: str) -> None:
        """`console` is the file descriptor for what it says."""
        line = [sys.executable, "-m", "cli", "up", "--data-dir", str(self.directory.path), "--port", "0", *words]
        was = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # ignored under nohup, and children inherit that
        try:
            self.process = subprocess.Popen(line, cwd=ROOT, stdout=console, stderr=console)
        finally:
            signal.signal(signal.SIGHUP, was)

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def up(self) -> bool:
        return self.directory.endpoints.exists()

    @property
    def said(self) -> str:
        return self._console.read_text()

    @property
    def endpoints(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.directory.endpoints.read_text())
        return found

    async def refused(self, *words: str) -> str:
        """What a start says that does not come up."""
        self._launch(*words)
        await self._until(lambda: self.up or not self.running, "it ends", 60)
        assert not self.up
        return self.said

    async def end(self, number: int) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        await self._until(lambda: not self.running, "it ends", 60)
        return int(self.process.returncode)


@pytest_asyncio.fixture
async def tend(directory: DataDir, until: Until) -> AsyncIterator[Up]:
    found = Up(directory, until)
    yield found
    if found.running:
        await found.end(signal.SIGTERM)


async def test_up_heals_stops_and_goes_on(tend: Up, directory: DataDir, until: Until) -> None:
    first = await tend.start("--workers", "2", "--clock", "2026-03-02T10:00:00-06:00", "--pace", "60")
    pids = first["pids"]
    assert list(pids) == ["postgres", "temporal", "sandbox", "api", "worker-1", "worker-2"]
    behind = {name for name, pid in pids.items() if psutil.Process(pid).nice() == psutil.Process().nice() + BEHIND}
    assert behind == {"temporal", "worker-1", "worker-2"}, "people who ask are answered first"
    async with httpx.AsyncClient(trust_env=False) as client:
        for name in ("api", "sandbox"):
            assert (await client.get(f"{first[name]}/healthz")).status_code == 200
        assert (await client.get(str(first["temporal_ui"]))).status_code == 200
        ready = (await client.get(f"{first['api']}/readyz")).json()
        assert ready == {
            "status": "ready",
            "checks": dict.fromkeys(("postgres", "clock", "copy", "sequences", "temporal", "workers", "carrier"), "ok"),
        }
    key = directory.admin_key.read_text()
    assert directory.admin_key.stat().st_mode & 0o777 == 0o600
    for secret in (directory.keys, directory.endpoints, directory.credentials):
        assert secret.stat().st_mode & 0o077 == 0

    for name in ("worker-1", "temporal"):
        os.kill(pids[name], signal.SIGKILL)
        await until(partial(_replaced, tend, name, pids[name]), f"{name} is back")
        assert f"{name} ended (signal 9); starting it again" in tend.said

    left = family(tend.endpoints["pids"])
    product = Clock.read(directory.clock).now()
    assert await tend.end(signal.SIGTERM) == 0
    assert all(map(gone, left))
    assert not directory.endpoints.exists()

    again = await tend.start()
    assert {name: again[name] for name in ("api", "temporal", "sandbox")} == {
        name: first[name] for name in ("api", "temporal", "sandbox")
    }
    assert directory.admin_key.read_text() == key
    stood: datetime = Clock.read(directory.clock).segments[0].product
    assert stood >= product  # it ran on until the last part was gone, and not while the stack was down

    # as after a crash: nothing is left behind, and the next start is none the worse
    left = family(tend.endpoints["pids"])
    await tend.end(signal.SIGKILL)
    await until(lambda: all(map(gone, left)), "the children end with it")
    directory.endpoints.unlink()
    await tend.start()
    assert await tend.end(signal.SIGINT) == 0


async def test_a_console_that_is_gone_changes_nothing(tend: Up, directory: DataDir, until: Until) -> None:
    """As `tend up | head` leaves it: who read what it said has ended."""
    reader, writer = os.pipe()
    tend.launch(writer)
    os.close(writer)
    await until(lambda: tend.up or not tend.running, "everything answers", 120)
    assert tend.up, os.read(reader, 65536)
    os.close(reader)
    pid = tend.endpoints["pids"]["worker-1"]
    os.kill(pid, signal.SIGKILL)
    await until(partial(_replaced, tend, "worker-1", pid), "the worker is back")
    left = family(tend.endpoints["pids"])
    assert await tend.end(signal.SIGHUP) == 0
    assert all(map(gone, left))
    assert not directory.endpoints.exists()


async def test_a_new_pace_wakes_the_leads_that_sleep(tend: Up, directory: DataDir, until: Until) -> None:
    """Their timers were set for the old one: the mail of the first hour comes on the new clock's time."""
    first = await tend.start("--clock", "2026-03-02T10:00:00-05:00", "--pace", "10")
    headers = {"Authorization": f"Bearer {directory.admin_key.read_text().strip()}"}
    asked = {"first_name": "Test", "phone": "+12125550142", "email": "test@example.com", "postal_code": "10001"}
    async with httpx.AsyncClient(base_url=first["api"], headers=headers, trust_env=False) as http:
        body = asked | {"source": {"channel": "web_form"}}
        lead = (await http.post("/v1/leads", json=body)).json()["lead_id"]
    await tend.end(signal.SIGTERM)
    again = await tend.start("--pace", "3600")
    with httpx.Client(base_url=again["api"], headers=headers, trust_env=False) as client:

        def mailed() -> list[dict[str, Any]]:
            items = client.get(f"/v1/leads/{lead}/timeline").json()["items"]
            return [t for t in items if t.get("step") == "bio" and t.get("claimed_at")]

        await until(mailed, "the mail of the first hour")  # at the old pace it would take six real minutes
        (mail,) = mailed()
    clock = Clock.read(directory.clock)
    late = datetime.fromisoformat(mail["claimed_at"]) - clock.real(datetime.fromisoformat(mail["due_at"]))
    assert late < timedelta(minutes=1)


async def test_leads_go_on_when_temporals_file_was_lost(tend: Up, directory: DataDir, until: Until) -> None:
    first = await tend.start("--clock", "2026-03-02T10:00:00-05:00", "--pace", "600")
    headers = {"Authorization": f"Bearer {directory.admin_key.read_text().strip()}"}
    asked = {"first_name": "Test", "email": "test@example.com", "postal_code": "10001"}
    async with httpx.AsyncClient(base_url=first["api"], headers=headers, trust_env=False) as http:
        body = asked | {"source": {"channel": "web_form"}}
        lead = (await http.post("/v1/leads", json=body)).json()["lead_id"]
    await tend.end(signal.SIGTERM)
    for file in directory.path.glob("temporal.db*"):
        file.unlink()
    # a start that fails after it has made the new file takes nothing from the one after it
    ring = directory.keys.read_bytes()
    directory.keys.write_text(KeyRing.make())
    assert "TEND_KEYS" in await tend.refused()
    directory.keys.write_bytes(ring)
    assert directory.temporal.exists()
    again = await tend.start()
    with httpx.Client(base_url=again["api"], headers=headers, trust_env=False) as client:

        def mailed() -> bool:
            items = client.get(f"/v1/leads/{lead}/timeline").json()["items"]
            return any(t.get("step") == "bio" and t.get("claimed_at") for t in items)

        await until(mailed, "the mail of the first hour")


def _replaced(tend: Up, name: str, pid: int) -> bool:
    return bool(tend.endpoints["pids"][name] != pid)


def family(pids: dict[str, int]) -> list[int]:
    """The children with their own children."""
    return [*pids.values(), *(c.pid for pid in pids.values() for c in psutil.Process(pid).children(recursive=True))]
