"""The OpenAPI document is true: what it promises is what comes, whatever is sent."""

import asyncio
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from api.access import OPEN, RULES, Right
from domain.access import Role
from domain.ports import InboundSms
from tests.api.office import PHONE, Office

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


async def test_every_call_is_described_with_examples_keys_and_problems(office: Office) -> None:
    made = (await office.http.get("/openapi.json")).json()
    described = {f"{method.upper()} {path}" for path, methods in made["paths"].items() for method in methods}
    asked_by_browsers = {name for name in OPEN if name.startswith("OPTIONS ")}
    assert ({*RULES, *OPEN} - asked_by_browsers) - described == {"GET /docs", "GET /openapi.json"}
    assert "HTTPValidationError" not in str(made)
    for path, methods in made["paths"].items():
        for method, operation in methods.items():
            name = f"{method.upper()} {path}"
            assert operation["summary"], name
            page = path.startswith(("/b/", "/u/"))
            problem = "text/html" if page else "application/problem+json"
            assert problem in operation["responses"]["default"]["content"], name
            if name in RULES:
                assert operation["security"] == [{"key": []}], name
                assert {"401", "403"} <= operation["responses"].keys(), name
            for parameter in operation.get("parameters", []):
                assert "example" in parameter, (name, parameter["name"])
            for holder in (operation.get("requestBody", {}), *operation["responses"].values()):
                for kind, content in holder.get("content", {}).items():
                    assert kind in ("text/html", "text/plain") or "example" in content, (name, kind)
    docs = await office.http.get("/docs")
    assert "/v1/leads/{lead_id}/timeline" in docs.text
    assert "<script" not in docs.text
    assert "http://" not in docs.text.replace("http://127", "")


@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode))
@pytest.mark.parametrize("name", [n for n, right in RULES.items() if right is not Right.INSPECT])
async def test_answers_are_as_described(office: Office, name: str, mode: schemathesis.GenerationMode) -> None:
    method, path = name.split(" ")
    lead_id = await office.lead(phone=PHONE)
    await office.services.inbound.reply(InboundSms("SM1:received", PHONE, "+12125550100", "May I ask something?"))
    task_id = (await office.get("/v1/tasks"))["items"][0]["id"]
    secret = await office.key(Role.ADMIN)
    made = (await office.http.get("/openapi.json")).json()
    operation: Any = schemathesis.openapi.from_dict(made)[path][method]
    loop = asyncio.get_running_loop()

    @given(case=operation.as_strategy(mode))
    @hypothesis_settings(
        max_examples=10,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def run(case: Any) -> None:
        known = {"lead_id": lead_id, "task_id": task_id}
        case.path_parameters = {k: known[k] for k in case.path_parameters or {}}
        wanted = case.as_transport_kwargs(base_url="http://api")
        headers = dict(wanted["headers"]) | {"Authorization": f"Bearer {secret}"}
        asking = office.http.request(
            wanted["method"],
            wanted["url"],
            params=wanted.get("params"),
            json=wanted.get("json"),
            headers={k: str(v) for k, v in headers.items() if k.lower() not in ("user-agent",)},
        )
        answer = asyncio.run_coroutine_threadsafe(asking, loop).result(30)
        response = schemathesis.Response.from_httpx(answer, verify=False)
        case.validate_response(response, checks=CHECKS, headers=headers)

    await asyncio.to_thread(run)
