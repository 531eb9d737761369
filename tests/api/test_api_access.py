"""Who may do what: every route of the app, every role."""

import uuid

import pytest
from starlette.routing import Route

from api.access import GRANTS, OPEN, RULES, GuardedRoute, Right, check_rules, rule_names
from api.app import create_app
from config.settings import Environment
from domain.access import Role
from store import keys
from tests.api.office import Office, inquiry, is_problem, ring_text, settings
from wire.keyring import KeyRing

# As the rights were agreed, told apart from the code's own table.
READERS = set(Role) - {Role.INTAKE}
WORKERS = {Role.ADMIN, Role.MANAGER, Role.COORDINATOR}
AGREED = {
    Right.TAKE_IN: WORKERS | {Role.INTAKE},
    Right.READ: READERS,
    Right.WORDS: WORKERS | {Role.SCHEDULER, Role.COMPLIANCE},
    Right.BOOK: WORKERS | {Role.SCHEDULER},
    Right.WORK: WORKERS,
    Right.CODEC: {Role.ADMIN, Role.ENGINEER},
    Right.INSPECT: READERS,
}
GUARDED = [(name, right) for name, right in RULES.items() if right is not Right.INSPECT]


def _path(name: str) -> tuple[str, str]:
    method, path = name.split(" ")
    return method, path.replace("{lead_id}", str(uuid.uuid4())).replace("{task_id}", str(uuid.uuid4()))


async def test_every_route_has_a_rule_and_every_rule_a_route(office: Office) -> None:
    routes = [route for route in office.app.routes if isinstance(route, Route)]
    assert len(routes) == len(office.app.routes)
    found = {name: isinstance(route, GuardedRoute) for route in routes for name in rule_names(route)}
    assert {name for name, guarded in found.items() if guarded} == set(RULES)
    assert {name for name, guarded in found.items() if not guarded} == OPEN


async def test_a_route_that_nobody_thought_about_is_refused() -> None:
    async def surprise() -> None: ...

    with pytest.raises(RuntimeError, match="GET /v1/surprise"):
        check_rules([Route("/v1/surprise", surprise)])
    with pytest.raises(KeyError):
        _ = GuardedRoute("/v1/surprise", surprise).right


def test_the_grants_are_as_agreed() -> None:
    assert {right: {role for role in Role if right in GRANTS[role]} for right in Right} == AGREED


async def test_roles_meet_exactly_their_routes(office: Office) -> None:
    for name, right in GUARDED:
        method, path = _path(name)
        for role in Role:
            answer = await office.ask(method, path, role)
            if role in AGREED[right]:
                assert answer.status_code not in (401, 403), (name, role)
                assert answer.status_code < 500, (name, role)
            else:
                is_problem(answer, 403)


async def test_without_a_key_in_use_nothing_opens(office: Office) -> None:
    secret = await office.key(Role.ADMIN)
    for name, _ in GUARDED:
        method, path = _path(name)
        for header in (None, "", "Bearer", "Bearer ", f"Bearer {secret}x", f"Basic {secret}", secret, "Bearer é"):
            headers = {b"Authorization": header.encode()} if header is not None else {}
            answer = await office.http.request(method, path, headers=headers, content=b"{")
            is_problem(answer, 401)
            assert answer.headers["www-authenticate"] == "Bearer"


async def test_a_revoked_key_is_refused_from_then_on(office: Office) -> None:
    await office.get("/v1/leads", Role.MARKETER)
    async with office.services.store.engine.begin() as conn:
        await keys.revoke_key(conn, "marketer")
    is_problem(await office.ask("GET", "/v1/leads", Role.MARKETER), 401)


async def test_a_key_of_a_facility_sees_its_leads_alone(office: Office) -> None:
    north = await office.lead(preferred_facility="north")
    south = await office.lead(preferred_facility="south")
    nowhere = await office.lead(preferred_facility=None)
    mine = (Role.COORDINATOR, "north")
    assert [i["id"] for i in (await office.get("/v1/leads", *mine))["items"]] == [north]
    assert (await office.get("/v1/leads?facility=south", *mine))["items"] == []
    assert (await office.get(f"/v1/leads/{north}", *mine))["id"] == north
    for other in (south, nowhere):
        for part in ("", "/timeline", "/upcoming"):
            is_problem(await office.ask("GET", f"/v1/leads/{other}{part}", *mine), 404)
        for verb, body in (("pause", {"reason": "x"}), ("notes", {"text": "x"}), ("opt-out", None)):
            is_problem(await office.ask("POST", f"/v1/leads/{other}/{verb}", *mine, json=body), 404)
    refused = await office.ask("POST", "/v1/leads", *mine, json=inquiry(preferred_facility="south"))
    is_problem(refused, 422, "preferred_facility")
    taken = await office.ask("POST", "/v1/leads", *mine, json=inquiry(preferred_facility=None))
    assert (await office.get(f"/v1/leads/{taken.json()['lead_id']}"))["preferred_facility"] == "north"


async def test_a_repeat_inquiry_does_not_tell_of_another_facilitys_lead(office: Office) -> None:
    await office.lead(phone="+12125550142", preferred_facility="south")
    answer = await office.ask("POST", "/v1/leads", Role.COORDINATOR, "north", json=inquiry(preferred_facility="north"))
    assert answer.json()["duplicate_of"] is None


@pytest.mark.parametrize("path", ["/docs", "/openapi.json", "/metrics"])
async def test_documentation_and_metrics_need_a_key_in_production_only(
    office: Office, database_url: str, keyring: KeyRing, path: str
) -> None:
    assert (await office.http.get(path)).status_code == 200
    live = settings(database_url, ring_text(keyring), environment=Environment.PRODUCTION, carrier="live")
    app = create_app(live)
    office.app, was = app, office.app
    try:
        import httpx

        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api") as http:
            is_problem(await http.get(path), 401)
            admin, intake = await office.key(Role.ADMIN), await office.key(Role.INTAKE)
            assert (await http.get(path, headers={"Authorization": f"Bearer {admin}"})).status_code == 200
            is_problem(await http.get(path, headers={"Authorization": f"Bearer {intake}"}), 403)
            assert (await http.get("/healthz")).headers["strict-transport-security"]
    finally:
        await app.state.services.store.engine.dispose()
        office.app = was


async def test_payloads_open_for_engineers_and_for_the_temporal_ui(
    office: Office, database_url: str, keyring: KeyRing
) -> None:
    import httpx

    body = {"payloads": [{"metadata": {"encoding": "YmluYXJ5L3BsYWlu"}, "data": "eA=="}]}
    assert (await office.ask("POST", "/codec/encode", Role.ENGINEER, json=body)).status_code == 200
    is_problem(await office.ask("POST", "/codec/encode", Role.COORDINATOR, json=body), 401)
    is_problem(await office.http.post("/codec/encode", json=body, headers={"Origin": "http://localhost:8233"}), 401)
    app = create_app(settings(database_url, ring_text(keyring), temporal_ui_url="http://127.0.0.1:8233"))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api") as http:
        assert (await http.post("/codec/encode", json=body, headers={"Origin": "http://localhost:8233"})).is_success
        for origin in ("http://localhost:9999", "https://localhost:8233", "http://evil.example.com:8233"):
            is_problem(await http.post("/codec/encode", json=body, headers={"Origin": origin}), 401)
    await app.state.services.store.engine.dispose()
