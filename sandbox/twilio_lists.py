"""What Twilio's REST API reads of its Messages and Calls: one by its id, and lists by page."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
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

_ADDRESSES = {"To": "to_address", "From": "from_address"}


@dataclass(frozen=True)
class Reading:
    """`name` of the resource in its path. `times` maps filters by time to where the state keeps it, `also` further
    filters to columns."""

    name: str
    channel: str
    show: Callable[[Sent, str], dict[str, Any]]
    times: Mapping[str, str]
    also: Mapping[str, str] = field(default_factory=dict)

    def routes(self, base: str) -> list[Route]:
        return [
            Route(f"{base}/{self.name}.json", self._listed, methods=["GET"]),
            Route(f"{base}/{self.name}/{{sid}}.json", self._fetch, methods=["GET"]),
        ]

    async def _listed(self, request: Request) -> Response:
        carrier = carrier_of(request)
        check_access(request, carrier.config)
        where, values = ["channel = ?", "listed_at <= ?"], [self.channel, iso(datetime.now(UTC))]
        for given, value in request.query_params.multi_items():
            for sql, term in self._filter(given, value) if value else ():
                where.append(sql)
                values.append(term)
        account = carrier.config.account_sid
        return _page(
            request,
            carrier.book,
            key=self.name.lower(),
            where=where,
            values=values,
            show=lambda sent: self.show(sent, account),
        )

    def _filter(self, name: str, value: str) -> list[tuple[str, str]]:
        """One filter as SQL and its term; none if it is no filter. What has no such time yet never matches."""
        if name in _ADDRESSES:
            return [(f"{_ADDRESSES[name]} = ? COLLATE NOCASE", "+" + value.strip() if value[0] == " " else value)]
        if name in self.also:
            return [(f"{self.also[name]} = ?", value)]
        if column := self.times.get(name.rstrip("<>")):
            return _time_filter(name, value, f"substr(json_extract(state, '$.{column}'), 1, 19)")
        return []

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


def _time_filter(name: str, value: str, at: str) -> list[tuple[str, str]]:
    """`Name=` is a whole day (the SDK sends a date as its midnight), `Name<=` and `Name>=` include what they name: a
    second, or a day if it is a date."""
    instant = _instant(value)
    if name[-1] == ">":
        return [(f"{at} >= ?", _second(instant))]
    day = instant.replace(hour=0, minute=0, second=0, microsecond=0)
    if name[-1] == "<":
        last = day + timedelta(days=1, seconds=-1) if len(value.strip()) == len("2026-03-02") else instant
        return [(f"{at} <= ?", _second(last))]
    return [(f"{at} >= ?", _second(day)), (f"{at} < ?", _second(day + timedelta(days=1)))]


def _second(at: datetime) -> str:
    return iso(at)[:19]


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
