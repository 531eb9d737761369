"""What carriers tell of touches comes in bursts: a stop that comes meanwhile waits for none of it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx
import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import create_async_engine
from tenacity import AsyncRetrying, stop_after_delay, wait_fixed

from domain.touches import Channel
from store import tables
from tests.api.office import EMAIL, PHONE, Office
from tests.api.test_api_mail_batches import delivered
from tests.api.test_api_unread_leads import stops
from tests.api.test_api_webhooks import SMS, _sendgrid, _sent, _touch, _twilio

BURST = 40  # callbacks: twice as many as connections to the database
SOON = 5.0  # seconds, of the eight after which who waits for a lead gives up
DELIVERED = {"MessageSid": "SM09", "MessageStatus": "delivered", "AccountSid": "AC01"}
WAIT = text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")


@pytest.mark.parametrize("channel", [Channel.SMS, Channel.EMAIL])
async def test_a_stop_is_answered_while_news_of_touches_waits(office: Office, channel: Channel) -> None:
    busy, other = await office.lead(phone="+12125550177", email=EMAIL), await office.lead(phone=PHONE, email=None)
    touch = await _sent(office, busy, channel)

    async def news() -> httpx.Response:
        if channel is Channel.EMAIL:
            return await _sendgrid(office, [delivered(touch)])
        return await _twilio(office, f"/webhooks/twilio/status?touch={touch}", DELIVERED)

    async with asyncio.TaskGroup() as group, _held(office, busy) as somebody_waits:
        told = [group.create_task(news()) for _ in range(BURST)]
        await somebody_waits()
        async with asyncio.timeout(SOON):
            assert (await _twilio(office, "/webhooks/twilio/sms", SMS | {"Body": "STOP"})).status_code == 200
            assert await stops(office, other) == {"phone": ["sms", "voice"]}
        assert not any(answer.done() for answer in told)
    assert {answer.result().status_code for answer in told} == {204}
    assert (await _touch(office, busy, touch))["status"] == "delivered"


@asynccontextmanager
async def _held(office: Office, lead_id: str) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Another transaction has the lead; yields the waiting for somebody who waits for it."""
    engine = create_async_engine(office.services.store.engine.url)
    try:
        async with engine.connect() as holding, engine.connect() as watching:
            await holding.execute(select(tables.leads).where(tables.leads.c.id == lead_id).with_for_update())

            async def somebody_waits() -> None:
                async for attempt in AsyncRetrying(wait=wait_fixed(0.02), stop=stop_after_delay(SOON), reraise=True):
                    with attempt:
                        assert await watching.scalar(WAIT), "nobody waits"

            yield somebody_waits
    finally:
        await engine.dispose()
