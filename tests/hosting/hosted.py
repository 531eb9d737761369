"""The compose file's services as processes of this machine, beside servers of their own."""

import re
import shlex
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from config.data_dir import DataDir
from domain.clock import Clock
from stack.process import ChildSpec
from stack.product import answers, python_environment
from stack.supervisor import Supervisor
from tests.hosting.compose_file import ROOT, ComposeFile, Service, documented_env, read
from tests.hosting.servers import Postgres, Temporal, ports, run


@dataclass
class Hosted:
    """The compose file's services as processes; each container's name and path stands for an address here."""

    file: ComposeFile
    path: Path
    ports: dict[str, int]
    around: Supervisor  # what is not the product
    product: Supervisor
    env: dict[str, str] = field(default_factory=dict)  # over the services' own

    @property
    def postgres(self) -> Postgres:
        return Postgres(self.file.services["postgres"], self.path, self.ports["postgres"])

    @property
    def temporal(self) -> Temporal:
        return Temporal(self.path, self.ports["temporal"])

    def here(self, text: str) -> str:
        """The same words, said for this machine."""
        inside = {"postgres": 5432, "temporal": 7233, "api": 8000, "sandbox": 8010}
        for name, port in inside.items():
            text = re.sub(rf"\b{name}:{port}\b", f"127.0.0.1:{self.ports[name]}", text)
        return text

    def environment(self, service: Service) -> dict[str, str]:
        """Nothing of this process's own but where Python finds things."""
        own = ("PATH", "PYTHONPATH", "PYTHONUNBUFFERED", "HOME")
        kept = {key: value for key, value in python_environment().items() if key in own}
        told = {key: self.here(value) for key, value in service.environment.items()}
        return kept | told | {"TEND_DATA_DIR": str(self.path / "tend")} | self.env

    def command(self, service: Service) -> tuple[str, ...]:
        here = {"8000": str(self.ports["api"]), "8010": str(self.ports["sandbox"]), "0.0.0.0": "127.0.0.1"}
        return (sys.executable, "-P", "-m", "cli", *(here.get(word, word) for word in service.command))

    def tend(self, name: str, number: int = 0) -> ChildSpec:
        service = self.file.services[name]

        async def takes_work(_pid: int) -> bool:
            # the log of each has a file of its own
            return "worker ready" in (self.path / "logs" / f"{name}-{number}.log").read_text()

        url = f"http://127.0.0.1:{self.ports.get(name)}/healthz"
        return ChildSpec(
            f"{name}-{number}" if name == "worker" else name,
            self.command(service),
            takes_work if name == "worker" else answers(url),
            env=self.environment(service),
            stage={"sandbox": 1, "api": 2, "worker": 3}[name],
            grace=float(service.raw.get("stop_grace_period", "10s").rstrip("s")),
            cwd=self.path,
        )

    async def start_product(self, workers: int = 2) -> None:
        await self.product.start(self.tend("api"), *(self.tend("worker", n + 1) for n in range(workers)))

    async def once(self, name: str, *line: str) -> bytes:
        """Runs the service's own command to its end, or another line in its place."""
        service = self.file.services[name]
        return await run(*(line or self.command(service)), env=self.environment(service))

    async def key(self) -> str:
        """As docs/hosting.md has it made."""
        text = (ROOT / "docs" / "hosting.md").read_text()
        (line,) = re.findall(r"^docker compose exec api tend (keys .*)$", text, re.MULTILINE)
        return (await self.once("api", sys.executable, "-P", "-m", "cli", *shlex.split(line))).decode().strip()


@asynccontextmanager
async def hosted(
    *, workers: int = 2, env: Mapping[str, str] | None = None, clock: Clock | None = None
) -> AsyncIterator[Hosted]:
    """Everything up, in the order that the compose file asks for, and taken down at the end. `env`: of Tend's parts."""
    # not in pytest's own folder: each run of pytest shuts that to others, and run by root Postgres is another
    path = Path(tempfile.mkdtemp(prefix="tend-hosted-"))
    around, product = (Supervisor(path / "logs", path / f"{name}.json", print) for name in ("around", "product"))
    try:
        for name in ("logs", "env", "tend"):
            (path / name).mkdir()
        if clock is not None:
            DataDir(path / "tend").clock.write_text(clock.dump())
        file = read(documented_env(path / "env"))
        found = Hosted(file, path, ports(), around, product, dict(env or {}))
        await around.start(found.postgres.spec(), found.temporal.spec())
        for _ in range(2):  # both are run at every start
            await found.temporal.prepare(file.services["temporal-namespace"])
            await found.once("migrate")
        await around.start(found.tend("sandbox"))
        await found.start_product(workers)
        yield found
    finally:
        await product.stop()
        await around.stop()
        shutil.rmtree(path)
