"""Errors as RFC 9457 problems: the only place that turns an error into a status."""

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException

from api.access import NoKey, NotAllowed
from api.lists import TooManyAtOnce
from domain.errors import InvalidInput, NewerFact, NotFound, Refused, TendError, UnreadableSequence
from store.idempotency import IdempotencyMismatch

MEDIA_TYPE = "application/problem+json"
_SHOWN = 80  # characters of a name somebody sent
STATUS: Final[Mapping[type[TendError], HTTPStatus]] = {
    NoKey: HTTPStatus.UNAUTHORIZED,
    NotAllowed: HTTPStatus.FORBIDDEN,
    NotFound: HTTPStatus.NOT_FOUND,
    Refused: HTTPStatus.CONFLICT,
    InvalidInput: HTTPStatus.UNPROCESSABLE_ENTITY,
    IdempotencyMismatch: HTTPStatus.UNPROCESSABLE_ENTITY,
    TooManyAtOnce: HTTPStatus.TOO_MANY_REQUESTS,
}
AWAY: Final = HTTPStatus.SERVICE_UNAVAILABLE


class TooLarge(HTTPException):
    """A body that went beyond the limit while it was read."""

    def __init__(self) -> None:
        super().__init__(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)


class FieldError(BaseModel):
    field: str
    message: str


class Problem(BaseModel):
    """What went wrong, and what to do. `field` is the first of `errors`; `state` comes with a 409."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "about:blank",
                    "title": "Unprocessable Content",
                    "status": 422,
                    "detail": "phone: is not a number that can be called",
                    "field": "phone",
                    "errors": [{"field": "phone", "message": "is not a number that can be called"}],
                }
            ]
        }
    )

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    field: str | None = None
    errors: list[FieldError] | None = Field(None, description="Each field that is wrong, and why.")
    state: str | None = Field(None, description="The state that a command met.")


def problem(
    status: HTTPStatus,
    detail: str,
    *,
    errors: Iterable[tuple[str, str]] = (),
    state: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    found = [FieldError(field=field, message=message) for field, message in errors]
    content = Problem(
        title=status.phrase,
        status=int(status),
        detail=detail,
        field=found[0].field if found else None,
        errors=found or None,
        state=state,
    )
    return Response(content.model_dump_json(exclude_none=True), status, headers, media_type=MEDIA_TYPE)


def invalid(errors: list[tuple[str, str]]) -> Response:
    return problem(STATUS[InvalidInput], "; ".join(f"{f}: {m}" for f, m in errors[:5]), errors=errors)


def too_large() -> Response:
    return problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the body is larger than 1 MB")


def fault(request_id: str) -> Response:
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, f"this is a fault of ours; quote {request_id}")


def status_of(error: type[TendError] | None) -> HTTPStatus:
    """Of a page, which tells a person what went wrong in its own words."""
    return HTTPStatus.OK if error is None else STATUS[error]


def install(app: FastAPI) -> None:
    """Answers for everything that a route may raise on purpose."""
    handlers: dict[type[Exception], Any] = {
        NoKey: _no_key,
        NotAllowed: lambda _, e: problem(STATUS[NotAllowed], str(e)),
        NotFound: lambda _, e: problem(STATUS[NotFound], str(e)),
        NewerFact: _newer_release,
        UnreadableSequence: _newer_release,
        Refused: lambda _, e: problem(STATUS[Refused], e.reason, state=e.state),
        InvalidInput: lambda _, e: invalid([(e.field, e.reason)]),
        IdempotencyMismatch: lambda _, e: invalid([("Idempotency-Key", str(e))]),
        TooManyAtOnce: lambda _, e: problem(STATUS[TooManyAtOnce], str(e), headers={"Retry-After": "5"}),
        RequestValidationError: _validation,
        HTTPException: _http,
        RecursionError: lambda _, __: problem(HTTPStatus.BAD_REQUEST, "the body is nested too deeply"),
        OperationalError: _database_away,
        InterfaceError: _database_away,
        PoolTimeout: _database_away,
        DBAPIError: _database,
    }
    for kind, answer in handlers.items():
        app.add_exception_handler(kind, _asynchronous(answer))


def _asynchronous(answer: Any) -> Any:
    async def handler(request: Request, error: Exception) -> Response:
        response: Response = answer(request, error)
        return response

    return handler


def _no_key(_: Request, error: NoKey) -> Response:
    return problem(STATUS[NoKey], str(error), headers={"WWW-Authenticate": "Bearer"})


def _newer_release(_: Request, error: TendError) -> Response:
    return problem(AWAY, str(error), headers={"Retry-After": "30"})


def _http(_: Request, error: HTTPException) -> Response:
    try:
        status = HTTPStatus(error.status_code)
    except ValueError:
        status = HTTPStatus.BAD_REQUEST
    texts = {
        HTTPStatus.NOT_FOUND: "nothing is here; see /docs",
        HTTPStatus.METHOD_NOT_ALLOWED: "this method is not for this address; see /docs",
        HTTPStatus.BAD_REQUEST: "the body cannot be read",
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "the body is larger than 1 MB",
    }
    return problem(status, texts.get(status, status.phrase), headers=error.headers)


def _validation(_: Request, error: RequestValidationError) -> Response:
    """Names each field and what is asked of it; what was sent is never repeated."""
    if any(e["type"] == "json_invalid" for e in error.errors()):
        return problem(HTTPStatus.BAD_REQUEST, "the body is not JSON")
    found = [(_place(e["loc"]), _message(e)) for e in error.errors()[:50]]
    return invalid(found)


def _place(loc: Iterable[Any]) -> str:
    parts = list(loc)
    if len(parts) > 1 and parts[0] in ("body", "query", "path", "header"):
        parts = parts[1:]
    text = ""
    for part in parts:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text[:_SHOWN].encode("utf-8", "replace").decode()


def _message(error: Mapping[str, Any]) -> str:
    match error["type"]:
        case "missing":
            return "is required"
        case "extra_forbidden":
            return "is not known here"
        case "string_too_short":
            return "must not be empty"
        case "model_attributes_type" | "dict_type" | "model_type":
            return "must be a JSON object, sent as application/json"
        case "value_error":
            return str(error["ctx"]["error"])
        case _:
            return str(error["msg"])


def _database_away(_: Request, __: Exception) -> Response:
    return problem(AWAY, "the database does not answer; try again soon", headers={"Retry-After": "2"})


def _database(request: Request, error: DBAPIError) -> Response:
    if error.connection_invalidated:
        return _database_away(request, error)
    raise error
