"""Booking from a link as a person with a browser does: open the page, choose a time, send the form."""

import asyncio
import re
from dataclasses import dataclass, field
from datetime import datetime
from html.parser import HTMLParser
from urllib.parse import urlencode

from sandbox.webhooks import Answer, Http, NotReached

LINK = re.compile(r"https?://[^\s<>\"]+/b/[^\s<>\"]+")
PAUSES = (0.5, 1, 2, 4, 8, 15, 30, 30)  # real seconds between tries


@dataclass(frozen=True, slots=True)
class Appointment:
    """What the page says after booking. `starts_at` is aware product time."""

    id: str
    starts_at: datetime


@dataclass(frozen=True, slots=True)
class Choice:
    """The first free time of a page, and the hidden inputs of its form."""

    starts_at: str
    hidden: tuple[tuple[str, str], ...] = field(repr=False)


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.form = 0
        self.times: list[tuple[int, str]] = []
        self.hidden: list[tuple[int, str, str]] = []
        self.appointment: Appointment | None = None
        self._inside = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.form += 1
            self._inside = self.form
        name, value = values.get("name", ""), values.get("value", "")
        if name == "starts_at" and value:
            self.times.append((self._inside, value))
        elif tag == "input" and values.get("type", "").lower() == "hidden" and name:
            self.hidden.append((self._inside, name, value))
        booked, at = values.get("data-appointment"), values.get("data-starts-at")
        if booked and at and self.appointment is None:
            try:
                starts_at = datetime.fromisoformat(at)
            except ValueError:
                return
            if starts_at.tzinfo is not None:
                self.appointment = Appointment(booked, starts_at)

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._inside = 0


def link_in(text: str) -> str | None:
    """The scheduling link of a text, without the full stop that may follow it."""
    match = LINK.search(text)
    return match.group().rstrip(".,;:!?)") if match else None


def first_choice(html: str) -> Choice | None:
    page = _read(html)
    if not page.times:
        return None
    form, starts_at = page.times[0]
    return Choice(starts_at, tuple((name, value) for inside, name, value in page.hidden if inside == form))


def booked(html: str) -> Appointment | None:
    return _read(html).appointment


def _read(html: str) -> _Page:
    page = _Page()
    page.feed(html)
    page.close()
    return page


async def book(http: Http, url: str) -> Appointment | None:
    """Books the first time offered; opens the page anew if that one was just taken. None if it never worked."""
    for pause in (0.0, *PAUSES):
        await asyncio.sleep(pause)
        try:
            page = await http.ask("GET", url, redirects=True)
            choice = first_choice(page.body) if page.status == 200 else None
            if choice is None:
                if 400 <= page.status < 500:
                    return None  # the link is no good: trying again will not help
                if done := booked(page.body):
                    return done  # an earlier try did arrive
                continue
            if done := booked((await _choose(http, url, choice)).body):
                return done
        except NotReached:
            continue
    return None


async def _choose(http: Http, url: str, choice: Choice) -> Answer:
    form = urlencode([("starts_at", choice.starts_at), *choice.hidden]).encode()
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    return await http.ask("POST", url, data=form, headers=headers, redirects=True)
