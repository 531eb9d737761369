"""`tend worker` as real processes of two builds, and `tend release` as the runbook has it."""

import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr

from api.dependencies import checks
from config.settings import Settings
from domain.touches import TouchStatus
from stack.builds import waits
from stack.product import python_environment
from stack.temporal_server import Temporal
from store.engine import Store
from tests.releases.installation import open_installation, status
from tests.store.a_copy import at_home
from wire.deployments import NoCurrentBuild
from wire.keyring import KeyRing

Environment = dict[str, str]


@asynccontextmanager
async def tend_worker(env: Environment, build: str | None) -> AsyncIterator[asyncio.subprocess.Process]:
    """Its log is `worker-BUILD.log` in the data directory."""
    more = {} if build is None else {"TEND_DEPLOYMENT_NAME": "tend", "TEND_BUILD_ID": build}
    with log_of(env, build).open("w") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "cli", "worker"), env=env | more, stdout=log, stderr=log
        )
    try:
        yield process
    finally:
        await stop(process)


def log_of(env: Environment, build: str | None) -> Path:
    return Path(env["TEND_DATA_DIR"]) / f"worker-{build}.log"


async def stop(process: asyncio.subprocess.Process) -> int:
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(30):
        return await process.wait()


async def tend(env: Environment, *words: str) -> str:
    code, said = await run(env, "release", *words)
    assert code == 0
    return said


async def doctor(env: Environment) -> dict[str, dict[str, str]]:
    """What it says by check, in a shell that knows the deployment and no build."""
    _, said = await run(env, "doctor", "--json")
    return {line["check"]: line for line in json.loads(said)["checks"]}


async def run(env: Environment, *words: str) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "cli", *words),
        env=env | {"TEND_DEPLOYMENT_NAME": "tend"},
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    return process.returncode, out.decode()


@pytest.fixture
def env(tmp_path: Path, database_url: str, ring: str) -> Environment:
    """All that a worker needs; its carrier refuses every connection, so that a touch is tried again and again."""
    given = {
        "DATA_DIR": str(tmp_path),
        "DATABASE_URL": database_url,
        "KEYS": ring,
        "TWILIO_ACCOUNT_SID": "AC0123456789abcdef0123456789abcdef",
        "TWILIO_AUTH_TOKEN": "token",
        "TWILIO_FROM": "+15005550006",
        "TWILIO_BASE_URL": "http://127.0.0.1:9",
        "SENDGRID_API_KEY": "SG.key",
        "SENDGRID_WEBHOOK_KEY": "no webhook is heard here",
        "SENDGRID_BASE_URL": "http://127.0.0.1:9",
    }
    clean = {k: v for k, v in python_environment().items() if not k.startswith("TEND_")}
    return clean | {f"TEND_{name}": value for name, value in given.items()}


@pytest.fixture
def ring() -> str:
    return KeyRing.make()


async def test_out_and_back_and_off(store: Store, env: Environment, ring: str) -> None:
    keyring = KeyRing.parse(ring)
    store = Store(store.engine, type(store.vault)(keyring))
    async with store.engine.begin() as conn:
        await at_home(conn)
    async with open_installation(store, keyring) as world:
        address = world.client.service_client.config.target_host
        env["TEND_TEMPORAL_ADDRESS"] = address
        settings = Settings(_env_file=None, temporal_address=address, keys=SecretStr(ring))

        async def moved(lead: str, build: str) -> None:
            """Its next task is done by this build: it is woken until it is."""
            deadline = asyncio.get_running_loop().time() + 60
            while (await world.ran_on(lead))[-1:] != [build]:
                assert asyncio.get_running_loop().time() < deadline, await world.ran_on(lead)
                await asyncio.sleep(0.1)

        async def polls(process: asyncio.subprocess.Process) -> None:
            """As `tend up` sees it."""
            deadline, temporal = asyncio.get_running_loop().time() + 60, Temporal(settings, address)
            while not await temporal.polls(process.pid):
                assert asyncio.get_running_loop().time() < deadline, log_of(env, "1").read_text()
                await asyncio.sleep(0.1)

        named = settings.model_copy(update={"deployment_name": "tend", "build_id": "1"})
        async with tend_worker(env, "1") as first:
            assert await waits(world.client, named) == "1", "`tend up` and `tend doctor` say so"
            await polls(first)
            with pytest.raises(NoCurrentBuild):
                await checks(named, keyring)["workers"]()
            assert await tend(env, "current", "1") == "build 1 is current\n"
            assert await waits(world.client, named) is None
            await checks(named, keyring)["workers"]()
            await checks(settings, keyring)["workers"]()  # and so does /readyz
            well = await doctor(env)
            assert (well["settings"]["verdict"], well["workers"]["verdict"]) == ("ok", "ok")
            lead = await world.take_in(0)
            await world.until(lead, lambda s: status(s, "confirm") is TouchStatus.DELAYED, "the first try")
            assert await world.ran_on(lead) == ["1"]
            async with tend_worker(env, "2") as second:
                assert await tend(env, "current", "2") == "build 2 is current\n"
                assert "gets no work until `tend release current` names it" in log_of(env, "2").read_text()
                assert await stop(first) == 0
                await moved(lead, "2")
                found = json.loads(await tend(env, "show", "--json"))
                assert [(b["build"], b["status"] == "current") for b in found] == [("2", True), ("1", False)]
                async with tend_worker(env, "1"):
                    assert await tend(env, "current", "1") == "build 1 is current\n"
                    assert await stop(second) == 0
                    await moved(lead, "1")
                    async with tend_worker(env, None):  # its log says nothing of builds
                        assert "without a version" in await tend(env, "unversioned")
                        await moved(lead, "")
                        assert (await doctor(env))["workers"]["verdict"] == "ok", "they get the work"
        assert "without a version" in await tend(env, "show")
        assert "tend release" not in log_of(env, None).read_text()
