"""The pages behind signed links: choosing a time, and unsubscribing. They name no person."""

import secrets
from datetime import datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import HTMLResponse

from api import unsubscribe
from api.fields import iso
from api.own_booking import OwnBooking, book_free, is_lead, own_booking
from api.problems import status_of
from api.services import Services, Wired
from content.facilities import Facility
from domain.errors import InvalidInput, NotFound, Refused, TendError

router = APIRouter(tags=["pages behind signed links"], default_response_class=HTMLResponse)
Token = Annotated[str, Path(description="As in the link that was sent.", examples=["YWRhLWV4YW1wbGU.c2lnbmF0dXJl"])]
To = Annotated[
    str | None,
    Query(description="As in the link that was sent, if it is there.", examples=["YWRhLWV4YW1wbGU.c2lnbmF0dXJl"]),
]
_INVALID = "This link is not valid. Please call us, or ask for a new one."


@router.get("/b/{token}", summary="Free times")
async def booking_page(token: Token, services: Wired) -> Response:
    try:
        lead_id = await is_lead(services, services.links.lead_id("booking", token))
        return _booking(services, await own_booking(services, lead_id))
    except NotFound:
        return _plain(services, _INVALID, NotFound)


@router.post(
    "/b/{token}",
    summary="Book one of them",
    responses={409: {"description": "Taken meanwhile, or booked already; the page shows what is free"}},
)
async def book(token: Token, request: Request, services: Wired) -> Response:
    """Books one of the free times. A time that was just taken is a 409 with fresh times."""
    form = await request.form(max_files=0)
    chosen = _instant(form.get("starts_at"))
    try:
        lead_id = await is_lead(services, services.links.lead_id("booking", token))
        async with services.once:
            own = await own_booking(services, lead_id)
            if own.starts_at is None and chosen is not None:
                try:
                    return _booking(services, await book_free(services, own, chosen))
                except Refused:
                    own = await own_booking(services, lead_id)  # perhaps booked by another click, or by the scheduler
            if own.starts_at is not None:
                return _booking(services, own, None if chosen in (None, own.starts_at) else Refused)
            if chosen is None:
                return _booking(services, own, InvalidInput, "Please choose one of these times.")
            return _booking(services, own, Refused, "This time is no longer free. Please choose another.")
    except NotFound:
        return _plain(services, _INVALID, NotFound)


@router.get("/u/{token}", summary="The page to unsubscribe")
async def unsubscribe_page(token: Token, services: Wired, to: To = None) -> Response:
    """Changes nothing: programs that look at links in mails come here too."""
    try:
        done = await unsubscribe.is_done(services, token, to)
    except NotFound:
        return _plain(services, _INVALID, NotFound)
    return _page(services, "unsubscribe.html", done=done)


@router.post("/u/{token}", summary="Unsubscribe, also by one click (RFC 8058)")
async def unsubscribe_now(token: Token, services: Wired, to: To = None) -> Response:
    """From the page's button, or by a mail program with one click (RFC 8058): whatever the body says."""
    try:
        await unsubscribe.by_link(services, token, to)
    except NotFound:
        return _plain(services, _INVALID, NotFound)
    return _page(services, "unsubscribe.html", done=True)


def _instant(value: object) -> datetime | None:
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return at if at is not None and at.tzinfo is not None and 1900 < at.year < 2200 else None


def _booking(
    services: Services, own: OwnBooking, error: type[TendError] | None = None, alert: str | None = None
) -> Response:
    return _page(
        services,
        "booking.html",
        error,
        facility=own.facility,
        appointment_id=own.appointment_id,
        starts_at=iso(own.starts_at) if own.starts_at else None,
        when=_local(own.starts_at, own.facility, "%A, %B %-d, at %-I:%M %p %Z") if own.starts_at else None,
        days=_days(own),
        alert=alert,
    )


def _days(own: OwnBooking) -> list[tuple[str, list[tuple[str, str]]]]:
    """Free times by day, as they read at the facility."""
    days: dict[str, list[tuple[str, str]]] = {}
    for at in own.times:
        day = _local(at, own.facility, "%A, %B %-d")
        days.setdefault(day, []).append((iso(at), _local(at, own.facility, "%-I:%M %p")))
    return list(days.items())


def _local(at: datetime, facility: Facility, form: str) -> str:
    return at.astimezone(ZoneInfo(facility.zone)).strftime(form)


def _plain(services: Services, message: str, error: type[TendError]) -> Response:
    return _page(services, "plain.html", error, message=message)


def _page(services: Services, name: str, error: type[TendError] | None = None, **values: Any) -> Response:
    nonce = secrets.token_urlsafe(16)
    html = services.pages.get_template(name).render(organization=services.organization, nonce=nonce, **values)
    policy = (
        f"default-src 'none'; style-src 'nonce-{nonce}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    return Response(html, status_of(error), {"Content-Security-Policy": policy}, media_type="text/html")
