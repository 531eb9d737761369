"""Leads of a list come by the thousand: who asks, and who stops, waits for none of them."""

import asyncio
import time
from typing import Any

import httpx
import pytest
from tenacity import AsyncRetrying, stop_after_delay, wait_fixed

from api.lists import Lists, TooManyAtOnce, is_of_a_list
from domain.access import Role
from domain.priority import IMPORTS
from tests.api.office import EMAIL, PHONE, Office, inquiry, is_problem
from tests.api.test_api_news_at_once import SOON, _held
from tests.api.test_api_webhooks import SMS, _twilio

LIST = 15  # requests: more than write at one time


def entry(number: int, **more: Any) -> dict[str, Any]:
    own = {"phone": f"+121255501{number:02}", "email": f"entry{number}@example.com"}
    return inquiry(**own | more, source={"channel": "csv"})


async def _post(office: Office, body: dict[str, Any]) -> httpx.Response:
    return await office.ask("POST", "/v1/leads", json=body)


async def test_who_asks_is_taken_in_while_a_list_waits(office: Office) -> None:
    known = await office.lead(phone="+12125550177", email=EMAIL)

    async with asyncio.TaskGroup() as group, _held(office, known) as somebody_waits:
        first = group.create_task(
            _post(office, entry(1, phone="+12125550177", email=EMAIL))
        )  # a lead that somebody else holds
        await somebody_waits()
        others = [group.create_task(_post(office, entry(number))) for number in range(2, LIST)]
        async with asyncio.timeout(SOON):
            assert await office.lead(phone=PHONE, email=None)
            assert (await _twilio(office, "/webhooks/twilio/sms", SMS | {"Body": "STOP"})).status_code == 200
        assert not any(task.done() for task in (first, *others))
    assert {task.result().status_code for task in (first, *others)} == {202}


async def test_one_that_is_refused_lets_the_next_one_in(office: Office) -> None:
    for body, status in ((entry(1, phone="12"), 422), (entry(2), 202), (entry(3), 202)):
        assert (await office.ask("POST", "/v1/leads", json=body)).status_code == status


async def test_after_each_there_is_as_long_a_pause() -> None:
    lists = Lists()
    async with lists.turn("key", stays):
        began = time.monotonic()
        while (took := time.monotonic() - began) < 0.05:
            pass
    ended = time.monotonic()
    async with lists.turn("key", stays):
        assert time.monotonic() - ended >= took * 0.9


async def stays() -> bool:
    return False


async def goes() -> bool:
    return True


async def test_one_whose_sender_has_gone_away_is_not_taken_in() -> None:
    """It is posted again by then, perhaps without its key."""
    lists = Lists()
    with pytest.raises(TooManyAtOnce):
        async with lists.turn("key", goes):
            raise AssertionError
    async with lists.turn("key", stays):
        pass


async def test_no_more_wait_than_will_be_taken_in_while_their_senders_wait(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = await office.lead(phone="+12125550177", email=EMAIL)
    monkeypatch.setattr("api.lists.WAITING", 1)
    async with asyncio.TaskGroup() as group, _held(office, known) as somebody_waits:
        first = group.create_task(_post(office, entry(1, phone="+12125550177", email=EMAIL)))
        await somebody_waits()
        answers = [group.create_task(_post(office, entry(number))) for number in (2, 3)]
        done, _ = await asyncio.wait(answers, return_when=asyncio.FIRST_COMPLETED)
        (refused,) = done
        problem = is_problem(refused.result(), 429)
        assert "one at a time" in problem["detail"]
        assert refused.result().headers["Retry-After"] == "5"
        partner = group.create_task(office.ask("POST", "/v1/leads", Role.INTAKE, json=entry(5)))  # another key
        async for attempt in AsyncRetrying(wait=wait_fixed(0.02), stop=stop_after_delay(SOON), reraise=True):
            with attempt:
                assert office.services.lists._waiting.total() == 2
        monkeypatch.setattr("api.lists.WAITS", 0.01)
        (other,) = {answer for answer in answers if answer is not refused}
        monkeypatch.setattr("api.lists.WAITING", 2)
        is_problem(await _post(office, entry(4)), 429)  # it has waited for long enough
    assert [task.result().status_code for task in (first, other, partner)] == [202, 202, 202]


@pytest.mark.parametrize(
    ("body", "is_one"),
    [
        *((b'{"source": {"channel": "%s"}}' % channel.encode(), True) for channel in sorted(IMPORTS)),
        (b'{"source": {"channel": "web_form"}}', False),
        (b'{"source": {"channel": ["csv"]}}', False),
        (b'{"source": "csv"}', False),
        (b'["source"]', False),
        (b'{"source": ', False),
        (b"\xff", False),
        (b"[" * 100_000, False),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_what_is_of_a_list(body: bytes, *, is_one: bool) -> None:
    assert is_of_a_list(body) is is_one
