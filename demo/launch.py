"""`tend up` as a process of its own, on one data directory: started, waited for, stopped."""

import asyncio
import contextlib
import ctypes
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from config.data_dir import DataDir
from stack.preflight import StartError, make_directory
from stack.product import python_environment

STARTS_WITHIN = 120.0  # real seconds; the first start makes a database
STOPS_WITHIN = 20.0
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None
_PR_SET_PDEATHSIG = 1


class Launched:
    """Runs of `tend up` on one directory, one at a time. No setting of the environment reaches them but `env`.

    `console` is the file that keeps what they say. An async context manager: at its end nothing runs any more.
    """

    def __init__(self, path: Path, *words: str, env: dict[str, str] | None = None) -> None:
        self.directory = DataDir(path.absolute())
        self.console = self.directory.logs / "up.log"
        self._words = words
        # the settings of another Tend, in the environment or in an .env file, are not meant for this one
        self._env = {k: v for k, v in python_environment().items() if not k.startswith("TEND_")} | (env or {})
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> "Launched":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self, *more: str) -> dict[str, Any]:
        """Starts it and waits until everything answers; the content of `endpoints.json`. Raises StartError."""
        make_directory(self.directory)
        self.directory.endpoints.unlink(missing_ok=True)  # of a killed run
        with self.console.open("ab") as console:
            said_before = console.tell()
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", "cli", "up", "--data-dir", str(self.directory.path)),
                *self._words,
                *more,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                env=self._env,
                cwd=self.directory.path,
                start_new_session=True,  # Ctrl-C in the terminal reaches who launched it, and it by `stop`
                preexec_fn=_end_with_parent(),
            )
        deadline = time.monotonic() + STARTS_WITHIN
        while not self.directory.endpoints.exists():
            if self._process.returncode is not None:
                raise StartError(self._why(said_before))
            if time.monotonic() > deadline:
                raise StartError(f"it did not come up within {STARTS_WITHIN:.0f} s: look into {self.directory.logs}")
            await asyncio.sleep(0.05)
        return self.endpoints

    @property
    def endpoints(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.directory.endpoints.read_text())
        return found

    @property
    def admin_key(self) -> str:
        return self.directory.admin_key.read_text().strip()

    @property
    def failed(self) -> str | None:
        """Why it ended by itself; None while it runs."""
        process = self._process
        return self._why(0) if process is not None and process.returncode is not None else None

    @property
    def said(self) -> str:
        return self.console.read_text(errors="replace") if self.console.exists() else ""

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int | None:
        """Ends it in order; its exit code, None if none was running."""
        process, self._process = self._process, None
        if process is None:
            return None
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(number)
        try:
            return await asyncio.wait_for(process.wait(), STOPS_WITHIN)
        except TimeoutError:
            process.kill()
            return await process.wait()

    def _why(self, since: int) -> str:
        """The line with which it gave up."""
        code = self._process.returncode if self._process is not None else None
        if code is not None and code < 0:
            return f"its `tend up` was ended by {signal.Signals(-code).name}: look into {self.directory.logs}"
        lines = [line for line in self.said[since:].splitlines() if line.strip()]
        errors = [line.removeprefix("tend: ") for line in lines if line.startswith("tend: ")]
        return (errors or lines or [f"it ended without a word: look into {self.directory.logs}"])[-1]


def _end_with_parent() -> Callable[[], None]:
    """Run in the child before exec: on Linux it is told to stop when who launched it is gone."""
    parent = os.getpid()

    def arm() -> None:
        if _libc is not None:
            _libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
            if os.getppid() != parent:
                os._exit(1)

    return arm
