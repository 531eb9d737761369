"""The parts as the compose file runs them: its commands and variables, as processes beside servers of their own."""

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest
import pytest_asyncio
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest

from demo.client import Client, client
from tests.e2e.story import until
from tests.hosting.compose_file import ROOT
from tests.hosting.hosted import Hosted, hosted
from tests.hosting.servers import ADMIN, run
from wire.connect import connect
from wire.keyring import KeyRing
from workflows import names

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("hosting")]
WITHIN = 60.0  # real seconds, generous


@pytest_asyncio.fixture(scope="module", name="hosted")
async def everything_up() -> AsyncIterator[Hosted]:
    async with hosted() as found:
        yield found


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


_DOCKER = """#!/bin/sh
# What is to be done in a container of Postgres is done here; all else that is asked for is noted.
shift
case "$1" in
    exec) while [ "$1" != postgres ]; do shift; done; shift; exec "$@" ;;
    *) echo "$@" >> asked ;;
esac
"""


async def said(hosted: Hosted, place: Path, lines: str) -> tuple[int, list[str]]:
    """Has a shell run lines of the document; how it ended, and what else Docker was asked to do."""
    docker, asked = place / "docker", place / "asked"
    docker.write_text(_DOCKER)
    docker.chmod(0o700)
    asked.write_text("")
    env = hosted.postgres.environment
    env |= {"PATH": f"{place}:{env['PATH']}"}
    shell = await asyncio.create_subprocess_exec("sh", "-c", lines, env=env, cwd=place)
    return await asyncio.wait_for(shell.wait(), 120), asked.read_text().splitlines()


async def test_a_dump_is_restored_as_documented(hosted: Hosted, tend: Client, tmp_path: Path) -> None:
    text = (ROOT / "docs" / "hosting.md").read_text().partition("## Backup")[2]
    backup, restore = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)[:2]
    anew = re.search(r"`(docker compose exec postgres dropdb [^`]+)`", text)
    assert anew is not None
    before = await tend.leads()
    assert await hosted.product.stop()
    (dump,) = (line for line in backup.splitlines() if "pg_dump" in line)
    assert await said(hosted, tmp_path, dump) == (0, [])

    whole = (tmp_path / "tend.dump").read_bytes()
    (tmp_path / "tend.dump").write_bytes(whole[: len(whole) // 2])
    assert await said(hosted, tmp_path, restore) == (1, ["stop api worker"])
    await hosted.start_product()
    assert await tend.leads() == before, "as if nothing had been tried"
    assert await hosted.product.stop()
    assert await said(hosted, tmp_path, anew[1]) == (0, [])

    (tmp_path / "tend.dump").write_bytes(whole)
    assert await said(hosted, tmp_path, restore) == (0, ["stop api worker", "up -d"])
    await hosted.once("migrate")
    await hosted.start_product()
    assert await tend.leads() == before
    for database in ("tend", "tend_before"):
        async with await psycopg.AsyncConnection.connect(
            hosted.postgres.url(ADMIN, password(hosted), database)
        ) as conn:
            row = await (await conn.execute("select count(*) from leads")).fetchone()
            assert row == (len(before),)
    temporal = hosted.file.services["postgres"].environment["DB_TEMPORAL_PASSWORD"]
    with pytest.raises(psycopg.OperationalError, match="permission denied"):
        await psycopg.AsyncConnection.connect(hosted.postgres.url("temporal", temporal, "tend"))


def password(hosted: Hosted) -> str:
    return hosted.postgres.environment["PGPASSWORD"]


async def test_all_end_in_good_order(hosted: Hosted) -> None:
    assert list(hosted.product.pids) == ["api", "worker-1", "worker-2"]
    assert await hosted.product.stop()
    assert await hosted.around.stop()
