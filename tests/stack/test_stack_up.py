"""`tend up` with all its real parts: up, healed, stopped, and up again where it was."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import datetime
from functools import partial
from typing import Any

import httpx
import psutil
import pytest_asyncio

from config.data_dir import DataDir
from domain.clock import Clock
from tests.stack.conftest import ROOT, Until, gone


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
            self.process = subprocess.Popen(
                [sys.executable, "-m", "cli", "up", "--data-dir", str(self.directory.path), "--port", "0", *words],
                cwd=ROOT,
                stdout=console,
                stderr=console,
            )

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
    async with httpx.AsyncClient(trust_env=False) as client:
        for name in ("api", "sandbox"):
            assert (await client.get(f"{first[name]}/healthz")).status_code == 200
        assert (await client.get(str(first["temporal_ui"]))).status_code == 200
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


def _replaced(tend: Up, name: str, pid: int) -> bool:
    return bool(tend.endpoints["pids"][name] != pid)


def family(pids: dict[str, int]) -> list[int]:
    """The children with their own children."""
    return [*pids.values(), *(c.pid for pid in pids.values() for c in psutil.Process(pid).children(recursive=True))]
