"""The OpenAPI document: what FastAPI knows, plus keys, Idempotency-Key and problems."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from api.access import CHANGE_NOTHING, RULES, Right
from api.once import HEADER, KEY
from api.problems import MEDIA_TYPE, Problem

TITLE = "Tend"
DESCRIPTION = (
    "Durable, lawful follow-up of leads. Send a key as `Authorization: Bearer <key>`. "
    "Errors are problems (RFC 9457) that name the field. Times are ISO 8601 with offset; what Tend itself writes has "
    "milliseconds. Lists page by `cursor`."
)
_PROBLEMS = {
    "400": "The body is not JSON",
    "401": "No key, or none in use",
    "403": "The key's role may not do this, or the signature is wrong",
    "404": "Unknown id",
    "409": "Not in this state, which is named",
    "413": "The body is larger than 1 MB",
    "422": "A field is wrong, and named",
    "429": "Too many leads of a list at once: nothing was done",
    "503": "The database does not answer",
}


def document(app: FastAPI) -> dict[str, Any]:
    made = get_openapi(title=TITLE, version="0.1.0", description=DESCRIPTION, routes=app.routes)
    schemas = made.setdefault("components", {}).setdefault("schemas", {})
    schemas["Problem"] = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas |= schemas["Problem"].pop("$defs", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    made["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    for path, methods in made["paths"].items():
        for method, operation in methods.items():
            _complete(operation, method.upper(), path)
            _show(operation, schemas)
    return made


def _complete(operation: dict[str, Any], method: str, path: str) -> None:
    responses = operation["responses"]
    responses.pop("422", None)
    right = RULES.get(f"{method} {path}")
    statuses = {"503"}
    if path.startswith("/webhooks/"):
        statuses |= {"403", "413", "422"}
    if right is not None:
        operation["security"] = [{"key": []}]
        statuses |= {"401", "403"}
    if "{" in path:
        statuses.add("404")
    if right is Right.TAKE_IN:
        statuses.add("429")
    if operation.get("requestBody"):
        statuses |= {"400", "413", "422"}
    if operation.get("parameters"):
        statuses.add("422")
    if right is not None and right not in CHANGE_NOTHING:
        statuses |= {"404", "409", "422"}
        operation.setdefault("parameters", []).append(
            {
                "name": HEADER,
                "in": "header",
                "required": False,
                "description": "The same key with the same request gives the same answer, done once.",
                "schema": {"type": "string", "pattern": f"^{KEY.pattern}$", "examples": ["form-7-2026-11-23-0042"]},
            }
        )
    if path.startswith(("/b/", "/u/")):  # pages for people: what is wrong stands on them
        for status in sorted(statuses):
            responses.setdefault(status, {"description": _PROBLEMS[status], "content": {"text/html": {}}})
        responses["default"] = {"description": "Any other error", "content": {"text/html": {}}}
        return
    for status in sorted(statuses):
        responses.setdefault(status, {"description": _PROBLEMS[status], "content": _content()})
    responses["default"] = {"description": "Any other error, as a problem", "content": _content()}


def _show(operation: dict[str, Any], schemas: dict[str, Any]) -> None:
    """An example beside each body and parameter: what its schema names as one."""
    for holder in (operation.get("requestBody", {}), *operation["responses"].values()):
        for content in holder.get("content", {}).values():
            found = _examples(content.get("schema", {}), schemas)
            if found and "example" not in content:
                content["example"] = found[0]
    for parameter in operation.get("parameters", []):
        found = _examples(parameter["schema"], schemas)
        if found and "example" not in parameter:
            parameter["example"] = found[0]


def _examples(schema: dict[str, Any], schemas: dict[str, Any]) -> list[Any]:
    for one in (schema, *schema.get("anyOf", []), *schema.get("allOf", [])):
        named = schemas[one["$ref"].rpartition("/")[2]] if "$ref" in one else one
        if named.get("examples") or named.get("enum"):
            return list(named.get("examples") or named["enum"])
    return []


def _content() -> dict[str, Any]:
    return {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
