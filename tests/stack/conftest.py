"""What the tests of the stack share: waiting for a condition, stand-in children, a clean environment."""

import asyncio
import os
import random
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Protocol

import psutil
import pytest
import pytest_asyncio

from config.data_dir import DataDir
from stack.ports import bind_error
from stack.process import ChildSpec
from stack.product import answers
from stack.supervisor import Supervisor

ROOT = Path(__file__).resolve().parents[2]


class Until(Protocol):
    async def __call__(self, condition: Callable[[], object], what: str, within: float = 30.0) -> None: ...


@pytest.fixture
def until() -> Until:
    """Waits until a condition holds; fails after a generous time, saying what never came."""

    async def wait(condition: Callable[[], object], what: str, within: float = 30.0) -> None:
        deadline = time.monotonic() + within
        while not condition():
            if time.monotonic() > deadline:
                pytest.fail(f"not within {within} s: {what}")
            await asyncio.sleep(0.02)

    return wait


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("TEND_"):
            monkeypatch.delenv(name)


@pytest.fixture
def directory(tmp_path: Path) -> DataDir:
    found = DataDir(tmp_path / "clinic #1 50%20?")  # as people name folders
    found.logs.mkdir(parents=True)
    return found


class Stage:
    """A supervisor with what it said and how often it had news."""

    def __init__(self, directory: DataDir) -> None:
        self.said: list[str] = []
        self.changes = 0
        self.supervisor = Supervisor(directory.logs, directory.children, self.said.append, self._changed)

    def _changed(self) -> None:
        self.changes += 1


@pytest_asyncio.fixture
async def stage(directory: DataDir) -> AsyncIterator[Stage]:
    found = Stage(directory)
    yield found
    await found.supervisor.stop(5.0)


def free_port() -> int:
    while bind_error("127.0.0.1", port := random.randrange(28000, 32000)) is not None:
        pass
    return port


def web_server(name: str, stage: int = 0, prepare: Callable[[], Awaitable[None]] | None = None) -> ChildSpec:
    """A stand-in child: Python's own web server."""
    port = free_port()
    argv = (sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1")
    return ChildSpec(name, argv, answers(f"http://127.0.0.1:{port}/"), stage=stage, prepare=prepare)


def script(name: str, code: str, ready: Path, stage: int = 0, grace: float = 5.0) -> ChildSpec:
    """A stand-in child that runs `code` and is ready once the file `ready` exists."""

    async def there(_pid: int) -> bool:
        return await asyncio.to_thread(ready.exists)

    return ChildSpec(name, (sys.executable, "-c", code), there, stage=stage, grace=grace)


def gone(pid: int) -> bool:
    """Whether no such process runs (one that nobody has waited for does not)."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def launch(code: str) -> subprocess.Popen[str]:
    """Runs Python code as a process of its own; the caller ends it."""
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=ROOT)
