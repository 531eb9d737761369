"""The product's own processes as children: sandbox carrier, API, workers."""

import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx

from config.data_dir import DataDir
from config.settings import Settings
from stack import carrier
from stack.endpoints import Endpoints
from stack.process import BEHIND, ChildSpec
from stack.temporal_server import Temporal

ROOT = Path(__file__).resolve().parent.parent


def child_environment(settings: Settings, directory: DataDir, endpoints: Endpoints) -> dict[str, str]:
    """What a child is told beside its command line. Keys and credentials it reads from the data directory itself."""
    told: dict[str, str | None] = {
        "DATA_DIR": str(directory.path),
        "DATABASE_URL": endpoints.database_url,
        "TEMPORAL_ADDRESS": endpoints.temporal,
        "TEMPORAL_UI_URL": endpoints.temporal_ui,
        "PUBLIC_URL": endpoints.public_url,
    }
    if endpoints.sandbox is not None:
        told["TWILIO_BASE_URL"] = settings.twilio_base_url or endpoints.sandbox
        told["SENDGRID_BASE_URL"] = settings.sendgrid_base_url or endpoints.sandbox
    return python_environment() | {f"TEND_{k}": v for k, v in told.items() if v is not None}


def python_environment() -> dict[str, str]:
    """So that children find the same modules wherever `tend` is run from, and their logs are never behind."""
    path = os.environ.get("PYTHONPATH")
    return dict(os.environ) | {
        "PYTHONPATH": f"{ROOT}{os.pathsep}{path}" if path else str(ROOT),
        "PYTHONUNBUFFERED": "1",
    }


def answers(url: str) -> Callable[[int], Awaitable[bool]]:
    """A check that is true once `url` answers 200."""

    async def check(_pid: int) -> bool:
        try:
            async with httpx.AsyncClient(trust_env=False, timeout=2.0) as client:
                return (await client.get(url)).status_code == 200
        except httpx.HTTPError:
            return False

    return check


def sandbox_spec(
    directory: DataDir, settings: Settings, endpoints: Endpoints, port: int, personas: tuple[str, ...]
) -> ChildSpec:
    """`settings` are those the product runs with."""
    line = carrier.argv(directory, settings, host="127.0.0.1", port=port, api=endpoints.api, personas=personas)
    own = {k: v for k, v in python_environment().items() if not k.startswith("TEND_")}
    return ChildSpec("sandbox", line, answers(f"{endpoints.sandbox}/healthz"), env=own, stage=2, grace=3.0)


def api_spec(directory: DataDir, environment: dict[str, str], endpoints: Endpoints, host: str) -> ChildSpec:
    line = _tend("api", directory, "--host", host, "--port", endpoints.api.rpartition(":")[2])
    return ChildSpec("api", line, answers(f"{endpoints.api}/healthz"), env=environment, stage=3, grace=6.0)


def worker_spec(directory: DataDir, environment: dict[str, str], temporal: Temporal, number: int) -> ChildSpec:
    line = _tend("worker", directory)
    return ChildSpec(f"worker-{number}", line, temporal.polls, env=environment, stage=4, grace=11.0, nice=BEHIND)


def _tend(verb: str, directory: DataDir, *more: str) -> tuple[str, ...]:
    return (sys.executable, "-P", "-m", "cli", verb, "--data-dir", str(directory.path), *more)
