"""A batch of a mail provider's events of which one cannot be taken in: the others are, and all of it is told again."""

from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from domain.ports import NoMoreMail, TouchUpdate
from domain.touches import Channel
from store import home
from store.inbound import Inbound
from store.touch_news import TouchNews
from tests.api.office import EMAIL, Office, is_problem
from tests.api.test_api_unread_leads import of_a_later_release, stops
from tests.api.test_api_webhooks import _metric, _sendgrid, _sent

OTHER = "cleo@example.com"


def unsubscribed(number: int, address: str) -> dict[str, Any]:
    return {"event": "unsubscribe", "sg_event_id": f"stop{number}", "email": address}


def delivered(touch: str) -> dict[str, Any]:
    return {"event": "delivered", "sg_event_id": "ev1", "sg_message_id": "m1.x", "touch_id": touch, "timestamp": 1}


async def test_a_lead_that_cannot_be_read_keeps_nobody_elses_unsubscribe_out(office: Office) -> None:
    newer, other = await office.lead(email=EMAIL, phone=None), await office.lead(email=OTHER, phone=None)
    batch = [delivered(await _sent(office, newer, Channel.EMAIL)), unsubscribed(2, OTHER)]
    await of_a_later_release(office, newer)
    is_problem(await _sendgrid(office, batch), 503)
    assert await stops(office, other) == {"email": ["email"]}
    assert (await office.get(f"/v1/leads/{other}"))["exit_reason"] == "opted_out"
    await of_a_later_release(office, newer, version=1)
    assert (await _sendgrid(office, batch)).status_code == 204


async def test_an_unsubscribe_of_nobody_holds_for_who_asks_with_that_address_later(office: Office) -> None:
    event = {"event": "unsubscribe", "sg_event_id": "stop9", "email": OTHER.upper()}
    assert (await _sendgrid(office, [event])).status_code == 204
    assert await stops(office, await office.lead(email=OTHER, phone=None)) == {"email": ["email"]}


async def test_an_unsubscribe_that_fails_keeps_out_nobody_elses_and_nothing_after_it(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada, other = await office.lead(email=EMAIL, phone=None), await office.lead(email=OTHER, phone=None)
    batch = [delivered(await _sent(office, ada, Channel.EMAIL)), unsubscribed(1, EMAIL), unsubscribed(2, OTHER)]
    real = Inbound.no_more_mail

    async def fails_once(inbound: Inbound, provider: str, told: NoMoreMail) -> bool:
        if told.address == EMAIL:
            raise RuntimeError
        return await real(inbound, provider, told)

    with monkeypatch.context() as patch:
        patch.setattr(Inbound, "no_more_mail", fails_once)
        is_problem(await _sendgrid(office, batch), 500)
    assert await stops(office, other) == {"email": ["email"]}
    assert await _metric(office, "sendgrid", "taken") == 2, "their stop and the mail that was delivered"
    assert (await _sendgrid(office, batch)).status_code == 204
    assert await stops(office, ada) == {"email": ["email"]}


async def test_news_of_another_mail_is_taken_and_the_batch_told_again_brings_the_rest(office: Office) -> None:
    newer, other = await office.lead(email=EMAIL, phone=None), await office.lead(email=OTHER, phone=None)
    batch = [delivered(await _sent(office, lead, Channel.EMAIL)) for lead in (newer, other)]
    await of_a_later_release(office, newer)
    is_problem(await _sendgrid(office, [*batch, {"event": 7}]), 503)
    assert await _metric(office, "sendgrid", "taken") == 1
    assert await _metric(office, "sendgrid", "unreadable") == 1
    await of_a_later_release(office, newer, version=1)
    assert (await _sendgrid(office, batch)).status_code == 204
    assert await _metric(office, "sendgrid", "taken") == 2


async def test_while_the_database_is_away_not_every_event_waits_for_it(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    lead, asked = await office.lead(email=EMAIL, phone=None), []

    async def away(_: TouchNews, update: TouchUpdate) -> bool:
        asked.append(update)
        raise OperationalError("SELECT 1", None, ConnectionError())

    monkeypatch.setattr(TouchNews, "update", away)
    news = delivered("8d1f2a34-0000-4000-8000-000000000009")
    is_problem(await _sendgrid(office, [news, news, unsubscribed(1, EMAIL), news]), 503)
    assert len(asked) == 1
    assert await stops(office, lead) == {"email": ["email"]}


async def test_a_mail_that_a_copy_does_not_know_is_told_again_until_it_was_compared(office: Office) -> None:
    batch = [delivered("8f14e45f-ceea-567f-a0e6-0f1c2d3e4f50"), unsubscribed(1, OTHER)]
    async with office.services.store.engine.begin() as conn:
        await home.put_back(conn)
    is_problem(await _sendgrid(office, batch), 503)
    assert (await _sendgrid(office, [unsubscribed(2, EMAIL)])).status_code == 204
    assert await stops(office, await office.lead(email=OTHER, phone=None)) == {"email": ["email"]}
    async with office.services.store.engine.begin() as conn:
        known = await home.find(conn)
        assert known is not None
        assert known.noticed_at is not None
        assert await home.settle(conn, known.noticed_at)
    assert (await _sendgrid(office, batch)).status_code == 204
