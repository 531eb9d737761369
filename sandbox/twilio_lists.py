"""What Twilio's REST API reads of its Messages and Calls: one by its id, and lists by page."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox.book import Book, Sent
from sandbox.carrier import carrier_of
from sandbox.times import iso
from sandbox.twilio_wire import TwilioError, check_access, not_found


@dataclass(frozen=True)
class Reading:
    """`name` of the resource in its path; lists filter by the time `filter_name`, which the state keeps in `column`."""

    name: str
    channel: str
    filter_name: str
    column: str
    show: Callable[[Sent, str], dict[str, Any]]

    def routes(self, base: str) -> list[Route]:
        return [
            Route(f"{base}/{self.name}.json", self._listed, methods=["GET"]),
            Route(f"{base}/{self.name}/{{sid}}.json", self._fetch, methods=["GET"]),
        ]

    async def _listed(self, request: Request) -> Response:
        carrier = carrier_of(request)
        check_access(request, carrier.config)
        where, values = _time_filters(request, self.filter_name, self.column)
        account = carrier.config.account_sid
        return _page(
            request,
            carrier.book,
            key=self.name.lower(),
            where=[f"channel = '{self.channel}'", *where],
            values=values,
            show=lambda sent: self.show(sent, account),
        )

    async def _fetch(self, request: Request) -> Response:
        carrier = carrier_of(request)
        check_access(request, carrier.config)
        sent = carrier.book.get(request.path_params["sid"], self.channel)
        if sent is None:
            raise not_found(request)
        return JSONResponse(self.show(sent, carrier.config.account_sid))


def _instant(value: str) -> datetime:
    """The instant that a filter names; UTC if it names no zone. Raises TwilioError."""
    try:
        at = datetime.fromisoformat(value.strip().replace(" ", "+"))
        at = at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
        _ = at - timedelta(days=1), at + timedelta(days=1)  # the calendar ends somewhere
    except (ValueError, OverflowError):
        raise TwilioError(20001, "a time in a filter must be as in 2026-03-02T10:00:00Z") from None
    return at


def _time_filters(request: Request, name: str, column: str) -> tuple[list[str], list[Any]]:
    """`Name=`, `Name<=`, `Name>=` as SQL on a time kept in the state. What has no such time yet does not match."""
    where: list[str] = []
    values: list[Any] = []
    at = f"json_extract(state, '$.{column}')"
    for given, value in request.query_params.multi_items():
        if given == name and value:  # the whole day: the SDK sends a date as its midnight
            day = _instant(value).astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
            where += [f"{at} >= ?", f"{at} < ?"]
            values += [iso(day), iso(day + timedelta(days=1))]
        elif given in {f"{name}<", f"{name}>"} and value:
            where.append(f"{at} < ?" if given.endswith("<") else f"{at} >= ?")
            values.append(iso(_instant(value)))
    return where, values


def _page(
    request: Request,
    book: Book,
    *,
    key: str,
    where: list[str],
    values: list[Any],
    show: Callable[[Sent], dict[str, Any]],
) -> Response:
    """One page of a list, newest first. PageToken says before which entry it begins."""
    query = request.query_params
    for name, column in (("To", "to_address"), ("From", "from_address"), ("Status", "status")):
        if query.get(name):
            where.append(f"{column} = ?")
            values.append("+" + query[name].strip() if query[name].startswith(" ") else query[name])
    try:
        size = min(max(int(query.get("PageSize") or 50), 1), 1000)
        number = max(int(query.get("Page") or 0), 0)
        token = query.get("PageToken")
        if token:
            where.append("seq < ?")
            values.append(min(int(token.removeprefix("PB")), 2**62))
    except ValueError:
        raise TwilioError(20001, "PageSize, Page and PageToken must be as the API gave them") from None
    rows = book.select(" AND ".join(where), values, "seq DESC", size + 1)
    more, rows = len(rows) > size, rows[:size]
    kept = [(name, value) for name, value in query.multi_items() if name not in {"Page", "PageToken", "PageSize"}]
    path = request.url.path

    def uri(number: int, token: str | None) -> str:
        turn = [("PageSize", str(size)), ("Page", str(number)), *([("PageToken", token)] if token else [])]
        return f"{path}?{urlencode([*kept, *turn])}"

    return JSONResponse(
        {
            key: [show(row) for row in rows],
            "first_page_uri": uri(0, None),
            "next_page_uri": uri(number + 1, f"PB{rows[-1].seq}") if more else None,
            "previous_page_uri": None,
            "page": number,
            "page_size": size,
            "start": number * size,
            "end": number * size + max(len(rows) - 1, 0),
            "uri": uri(number, token),
        }
    )
