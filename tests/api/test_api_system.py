"""The API as a process: health, what it logs and counts, and life without its dependencies."""

import asyncio
import json
import socket
import uuid
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from psycopg import sql
from tenacity import AsyncRetrying, stop_after_delay, wait_fixed

from api.app import create_app
from domain.access import Role
from domain.errors import TendError
from store import home
from store.keys import make_key
from tests.api.office import PHONE, Office, inquiry, is_problem, ring_text, settings
from tests.conftest import Server
from wire.deployments import Asking, Version
from wire.keyring import KeyRing

API = Path(__file__).parents[2] / "api"


def _closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


async def test_it_serves_without_temporal_and_names_it(office: Office) -> None:
    assert (await office.http.get("/healthz")).json() == {"status": "ok"}
    ready = await office.http.get("/readyz")
    assert ready.status_code == 503
    assert ready.json()["status"] == "not ready"
    assert ready.json()["checks"]["postgres"] == ready.json()["checks"]["sequences"] == "ok"
    assert ready.json()["checks"]["temporal"] != "ok"


async def test_a_copy_is_not_ready(office: Office) -> None:
    """Leads are taken in, and nothing is sent."""
    assert (await office.http.get("/readyz")).json()["checks"]["copy"] == "ok"
    async with office.services.store.engine.begin() as conn:
        await home.put_back(conn)
    ready = await office.http.get("/readyz")
    assert ready.status_code == 503
    assert "tend rebuild --restored" in ready.json()["checks"]["copy"]


async def test_workers_that_get_nothing_are_no_workers(
    database_url: str, keyring: KeyRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their builds are asked of Temporal: the API's own settings name none."""
    asking = Asking(frozenset({("7@host", Version("tend", "b2"))}), frozenset({Version("tend", "b1")}))

    async def told(*_: object) -> Asking:
        return asking

    monkeypatch.setattr("api.dependencies.asking_for", told)
    app = create_app(settings(database_url, ring_text(keyring), temporal_address=f"127.0.0.1:{_closed_port()}"))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api") as http,
    ):
        ready = await http.get("/readyz")
        assert ready.status_code == 503
        assert ready.json()["checks"]["workers"] == "away (NotTheCurrentBuild)"
        asking = replace(asking, due=frozenset({None}))
        assert (await http.get("/readyz")).json()["checks"]["workers"] == "away (NoCurrentBuild)"
        asking = replace(asking, due=frozenset({Version("tend", "b2")}))
        assert (await http.get("/readyz")).json()["checks"]["workers"] == "ok"


async def test_a_temporal_that_does_not_answer_does_not_hold_anything_up(database_url: str, keyring: KeyRing) -> None:
    address = f"127.0.0.1:{_closed_port()}"
    app = create_app(settings(database_url, ring_text(keyring), temporal_address=address))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api") as http,
    ):
        for _ in range(2):
            ready = await http.get("/readyz")
            assert ready.status_code == 503
            assert ready.json()["checks"]["temporal"] != "ok"


async def test_it_starts_while_postgres_is_away_and_needs_no_restart_when_it_is_there(
    postgres: Server, keyring: KeyRing
) -> None:
    name = f"t_{uuid.uuid4().hex}"
    app = create_app(settings(postgres.url(name), ring_text(keyring)))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api") as http,
    ):
        assert (await http.get("/healthz")).status_code == 200
        ready = await http.get("/readyz")
        assert ready.status_code == 503
        assert ready.json()["checks"]["postgres"] != "ok"
        away = await http.post("/v1/leads", json=inquiry(), headers={"Authorization": "Bearer x"})
        is_problem(away, 503)
        assert away.headers["retry-after"]

        create, drop = sql.SQL("CREATE DATABASE {} TEMPLATE {}"), sql.SQL("DROP DATABASE {} WITH (FORCE)")
        await asyncio.to_thread(postgres.run, create.format(sql.Identifier(name), sql.Identifier("tend_template")))
        try:
            secret = await make_key(postgres.url(name), ring_text(keyring), name="form", role=Role.INTAKE)
            headers = {"Authorization": f"Bearer {secret}"}
            async for attempt in AsyncRetrying(wait=wait_fixed(0.1), stop=stop_after_delay(30), reraise=True):
                with attempt:
                    taken = await http.post("/v1/leads", json=inquiry(), headers=headers)
                    assert taken.status_code == 202, taken.text
        finally:
            await app.state.services.store.engine.dispose()
            await asyncio.to_thread(postgres.run, drop.format(sql.Identifier(name)))


def test_without_keys_or_database_it_says_what_is_missing(keyring: KeyRing) -> None:
    with pytest.raises(TendError, match="TEND_DATABASE_URL"):
        create_app(settings("", ring_text(keyring)).model_copy(update={"database_url": None}))


async def test_logs_and_metrics_name_routes_and_nothing_of_a_person(
    database_url: str, keyring: KeyRing, capsys: pytest.CaptureFixture[str]
) -> None:
    app = create_app(settings(database_url, ring_text(keyring), log_level="debug"))
    secret = await make_key(database_url, ring_text(keyring), name="all", role=Role.ADMIN)
    headers = {"Authorization": f"Bearer {secret}"}
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api", headers=headers) as http,
    ):
        async for attempt in AsyncRetrying(wait=wait_fixed(0.05), stop=stop_after_delay(30), reraise=True):
            with attempt:
                assert app.state.services.leads.book.keys()
        lead_id = (await http.post("/v1/leads", json=inquiry(concern="a planted concern"))).json()["lead_id"]
        await http.get("/v1/leads", params={"q": "Ada Example"})
        await http.get(f"/v1/leads/{lead_id}", params={"email": "ada@example.com"})
        await http.post("/v1/leads", json=inquiry(phone="planted number"))
        await http.get("/nowhere/ada@example.com")
        metrics = (await http.get("/metrics")).text
    logged = capsys.readouterr().err
    for secret_ in ("Ada", "ada@", "planted", PHONE, PHONE[2:], lead_id, secret, "?"):
        assert secret_ not in logged, secret_
        assert secret_ not in metrics.replace("?", ""), secret_
    lines = [json.loads(line) for line in logged.splitlines() if line.startswith("{")]
    texts = {x["template"]: (x["encoding"], x["segments"]) for x in lines if x["event"] == "sms template"}
    assert texts["confirm_callback"] == ("GSM-7", 1)
    assert texts["scheduling_link"] == ("GSM-7", 2)
    requests = [(x["method"], x["route"], x["status"]) for x in lines if x["event"] == "request"]
    assert requests[:5] == [
        ("POST", "/v1/leads", 202),
        ("GET", "/v1/leads", 200),
        ("GET", "/v1/leads/{lead_id}", 200),
        ("POST", "/v1/leads", 422),
        ("GET", "unmatched", 404),
    ]
    assert 'tend_api_requests_total{method="POST",route="/v1/leads",status="202"} 1.0' in metrics
    assert 'tend_api_request_seconds_count{method="POST",route="/v1/leads"} 2.0' in metrics


async def test_a_fault_of_ours_says_where_in_the_log_and_nothing_outside(
    office: Office, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a planted secret")

    lead_id = await office.lead()
    monkeypatch.setattr("api.routes.leads.read_lead", broken)
    answer = await office.ask("GET", f"/v1/leads/{lead_id}")
    problem = is_problem(answer, 500)
    assert answer.headers["x-request-id"] in problem["detail"]
    assert "planted" not in answer.text
    logged = capsys.readouterr()
    assert "planted" not in logged.err + logged.out


async def test_every_answer_carries_the_security_headers(office: Office) -> None:
    for path in ("/healthz", "/v1/leads", "/docs", "/nowhere", "/b/x"):
        answer = await office.http.get(path)
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["cache-control"] == "no-store"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "access-control-allow-origin" not in answer.headers


def test_one_place_decides_on_statuses_and_none_on_locks() -> None:
    files = {p: p.read_text() for p in API.rglob("*.py") if p.parent.name != "webhooks"}
    assert [p.name for p, code in files.items() if "HTTPStatus" in code] == ["problems.py"]
    assert [p.name for p, code in files.items() if "pg_advisory" in code] == []
