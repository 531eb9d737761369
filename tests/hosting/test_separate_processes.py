"""The parts as the compose file runs them: its commands and variables, as processes beside servers of their own."""

import re
import shlex
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
import pytest_asyncio
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest

from demo.client import Client, client
from stack.process import ChildSpec
from stack.product import answers, python_environment
from stack.supervisor import Supervisor
from tests.e2e.story import until
from tests.hosting.compose_file import ROOT, ComposeFile, Service, documented_env, read
from tests.hosting.servers import Postgres, Temporal, ports, run
from wire.connect import connect
from wire.keyring import KeyRing
from workflows import names

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("hosting")]
WITHIN = 60.0  # real seconds, generous


@dataclass
class Hosted:
    """The compose file's services as processes; each container's name and path stands for an address here."""

    file: ComposeFile
    path: Path
    ports: dict[str, int]
    around: Supervisor  # what is not the product
    product: Supervisor

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
        return kept | told | {"TEND_DATA_DIR": str(self.path / "tend")}

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

    async def start_product(self) -> None:
        await self.product.start(self.tend("api"), *(self.tend("worker", number) for number in (1, 2)))

    async def once(self, name: str, *line: str) -> bytes:
        """Runs the service's own command to its end, or another line in its place."""
        service = self.file.services[name]
        return await run(*(line or self.command(service)), env=self.environment(service))

    async def key(self) -> str:
        """As docs/hosting.md has it made."""
        text = (ROOT / "docs" / "hosting.md").read_text()
        (line,) = re.findall(r"^docker compose exec api tend (.*)$", text, re.MULTILINE)
        return (await self.once("api", sys.executable, "-P", "-m", "cli", *shlex.split(line))).decode().strip()


@pytest_asyncio.fixture(scope="module")
async def hosted(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Hosted]:
    """Everything up, in the order that the compose file asks for, with two workers."""
    # not in pytest's own folder: each run of pytest shuts that to others, and run by root Postgres is another
    path = Path(tempfile.mkdtemp(prefix="tend-hosted-"))
    (path / "logs").mkdir()
    around, product = (Supervisor(path / "logs", path / f"{name}.json", print) for name in ("around", "product"))
    env = documented_env(tmp_path_factory.mktemp("env"))
    found = Hosted(read(env), path, ports(), around, product)
    try:
        await around.start(found.postgres.spec(), found.temporal.spec())
        for _ in range(2):  # both are run at every start
            await found.temporal.prepare(found.file.services["temporal-namespace"])
            await found.once("migrate")
        await around.start(found.tend("sandbox"))
        await found.start_product()
        yield found
    finally:
        await product.stop()
        await around.stop()
        shutil.rmtree(path)


@pytest_asyncio.fixture(scope="module")
async def tend(hosted: Hosted) -> AsyncIterator[Client]:
    endpoints = {name: f"http://127.0.0.1:{hosted.ports[name]}" for name in ("api", "sandbox")}
    async with client(endpoints, await hosted.key()) as found:
        yield found


async def test_each_database_is_open_to_its_owner_alone(hosted: Hosted) -> None:
    postgres, told = hosted.postgres, hosted.file.services["postgres"].environment
    own = {"tend": ["tend"], "temporal": ["temporal", "temporal_visibility"]}
    passwords = {"tend": told["DB_TEND_PASSWORD"], "temporal": told["DB_TEMPORAL_PASSWORD"]}
    for user, databases in own.items():
        for database in ("tend", "temporal", "temporal_visibility", "postgres"):
            url = postgres.url(user, passwords[user], database)
            if database not in databases:
                with pytest.raises(psycopg.OperationalError, match="permission denied"):
                    await psycopg.AsyncConnection.connect(url)
                continue
            async with await psycopg.AsyncConnection.connect(url) as connection:
                await connection.execute("create table made (n int); drop table made")
                # Temporal's own tables need an extension, which who may create in a database may add
                query = "select has_database_privilege(current_database(), 'create'), rolsuper from pg_roles"
                row = await (await connection.execute(f"{query} where rolname = user")).fetchone()
                assert row == (True, False)
    log = (hosted.path / "logs" / "postgres.log").read_text()
    assert not [word for word in passwords.values() if word in log]


async def test_the_namespace_is_as_tend_needs_it(hosted: Hosted) -> None:
    connection = await connect(hosted.temporal.address, "default", KeyRing.parse(KeyRing.make()))
    found = await connection.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace="default"))
    assert found.config.workflow_execution_retention_ttl.seconds == 90 * 86400
    listed = await connection.operator_service.list_search_attributes(ListSearchAttributesRequest(namespace="default"))
    assert {k: v for k, v in listed.custom_attributes.items() if k.startswith("Tend")} == names.ATTRIBUTE_TYPES


async def test_a_lead_gets_its_first_text_and_its_answer_is_heard(hosted: Hosted, tend: Client) -> None:
    health = hosted.file.services["api"].raw["healthcheck"]["test"]
    check = [hosted.here(word.replace("127.0.0.1:8000", "api:8000")) for word in health[1:]]

    async def ready() -> bool:
        return (await tend.http.get("/readyz")).status_code == 200

    await until(ready, "every dependency answers", WITHIN)
    await run(sys.executable, *check[1:], env={})

    phone = "+12125550142"
    person = {"first_name": "Test", "last_name": "Lead", "phone": phone, "email": "test.lead@example.com"}
    taken = await tend.take_in({**person, "postal_code": "10001", "source": {"channel": "web_form"}})

    async def something_arrived() -> bool:
        return bool(await tend.outbox())

    await until(something_arrived, "the first touch is at the carrier", WITHIN)
    first, *more = await tend.outbox()
    assert first["to"] in (phone, person["email"])  # an e-mail at night
    assert more == []

    async def delivered() -> bool:
        touches = [entry for entry in await tend.timeline(taken["lead_id"]) if entry["kind"] == "touch"]
        return any(t["id"] == first["touch_id"] and t["status"] == "delivered" for t in touches)

    await until(delivered, "the carrier's signed callback is taken", WITHIN)
    assert (await tend.inbound(phone, "Please tell me more"))["status"] == 200

    async def asked_for_a_person() -> bool:
        return any(task["kind"] == "reply" for task in await tend.tasks(state="open"))

    await until(asked_for_a_person, "a person is asked to answer", WITHIN)


async def test_a_dump_is_restored_as_documented(hosted: Hosted, tend: Client) -> None:
    text = (ROOT / "docs" / "hosting.md").read_text()
    lines = re.findall(r"^docker compose exec -T postgres (.*)$", text.partition("## Backup")[2], re.MULTILINE)
    assert [line.split()[0] for line in lines] == ["pg_dump", "psql", "createdb", "psql", "pg_restore"]
    before = await tend.leads()
    assert await hosted.product.stop()
    dump = b""
    for line in lines:
        words, _, _ = line.partition(" < ")[0].partition(" > ")
        out = await run(*shlex.split(words), env=hosted.postgres.environment, stdin=dump if " < " in line else b"")
        dump = out if " > " in line else dump
    await hosted.once("migrate")
    await hosted.start_product()
    assert await tend.leads() == before
    temporal = hosted.file.services["postgres"].environment["DB_TEMPORAL_PASSWORD"]
    with pytest.raises(psycopg.OperationalError, match="permission denied"):
        await psycopg.AsyncConnection.connect(hosted.postgres.url("temporal", temporal, "tend"))


async def test_all_end_in_good_order(hosted: Hosted) -> None:
    assert list(hosted.product.pids) == ["api", "worker-1", "worker-2"]
    assert await hosted.product.stop()
    assert await hosted.around.stop()
