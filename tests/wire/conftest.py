import asyncio
import os
import shutil
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from temporalio.client import Client
from tenacity import AsyncRetrying, stop_after_delay, wait_fixed


@dataclass(frozen=True)
class DevServer:
    address: str
    database: Path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@pytest_asyncio.fixture(scope="session")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[DevServer]:
    """Temporal's real dev server, on a file."""
    binary = shutil.which("temporal", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    assert binary, "the temporal command is missing: run make setup"
    port, database = free_port(), tmp_path_factory.mktemp("temporal") / "temporal.db"
    process = await asyncio.create_subprocess_exec(
        binary, "server", "start-dev", "--headless", "--ip", "127.0.0.1", "--port", str(port),
        "--db-filename", str(database), "--log-level", "error",
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        async for attempt in AsyncRetrying(wait=wait_fixed(0.1), stop=stop_after_delay(60), reraise=True):
            with attempt:
                assert process.returncode is None, "the dev server ended at once"
                client = await Client.connect(f"127.0.0.1:{port}")
                await client.count_workflows()
        yield DevServer(f"127.0.0.1:{port}", database)
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), 15)
        except TimeoutError:
            process.kill()
            await process.wait()
