import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from types import SimpleNamespace
from urllib.parse import urlsplit

import psutil
import pytest
import pytest_asyncio
from aiohttp import web
from tenacity import AsyncRetrying, stop_after_delay, wait_fixed

from channels import twilio_client as module
from channels.inbound_twilio import parse_message_status
from channels.twilio_client import TwilioClient
from channels.twilio_lists import TwilioLists
from channels.twilio_sms import TwilioSms
from domain.clock import APART
from domain.errors import ClaimOver
from domain.ports import OutcomeUnknown, Rejected, Remedy, Search, Sms, Unavailable
from domain.touches import TouchStatus
from tests.channels.fake_provider import Provider

ACCOUNT = "AC" + "0" * 32
SERVICE = "MG" + "1" * 32
SINCE = datetime(2026, 3, 2, 15, 0, 0, tzinfo=UTC)
SMS = Sms("8f14e45f-ceea-567f-a0e6-0f1c2d3e4f50", "+12125550123", "Hello Test Lead, “when” suits you?")
CREATED = {"sid": "SM" + "a" * 32, "status": "accepted"}


@pytest_asyncio.fixture
async def client(provider: Provider) -> AsyncIterator[TwilioClient]:
    it = TwilioClient(ACCOUNT, "secret", provider.base)
    yield it
    await it.aclose()


@pytest.fixture
def sms(client: TwilioClient) -> TwilioSms:
    return TwilioSms(client, "https://tend.example.com", messaging_service_sid=SERVICE)


def listed(made: datetime, body: str = SMS.body, sid: str = "SM1", status: str = "sent") -> dict[str, str]:
    return {"sid": sid, "body": body, "status": status, "date_created": format_datetime(made), "to": SMS.to}


async def test_what_is_posted(provider: Provider, sms: TwilioSms) -> None:
    provider.answer(201, CREATED)
    assert (await sms.send(SMS, 5)).provider_id == CREATED["sid"]
    (seen,) = provider.seen
    assert (seen.method, seen.path) == ("POST", f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json")
    assert seen.form == {
        "To": [SMS.to],
        "Body": [SMS.body],
        "MessagingServiceSid": [SERVICE],
        "StatusCallback": [f"https://tend.example.com/webhooks/twilio/status?touch={SMS.touch_id}#rc=5&rp=all"],
        "ValidityPeriod": ["14400"],
        "SmartEncoded": ["true"],
    }
    assert seen.headers["Authorization"].startswith("Basic ")


async def test_a_number_sends_where_there_is_no_service(provider: Provider, client: TwilioClient) -> None:
    provider.answer(201, CREATED)
    await TwilioSms(client, "https://tend.example.com", from_="+12125550100").send(SMS, 5)
    assert provider.seen[0].form["From"] == ["+12125550100"]
    assert "MessagingServiceSid" not in provider.seen[0].form
    with pytest.raises(ValueError, match="messaging service or a number"):
        TwilioSms(client, "https://tend.example.com")


async def test_a_cut_connection_is_posted_once_and_unknown(provider: Provider, sms: TwilioSms) -> None:
    provider.answer(201, CREATED)
    await sms.send(SMS, 5)  # so that the next goes over a kept connection, where clients like to repeat
    provider.cut()
    with pytest.raises(OutcomeUnknown):
        await sms.send(SMS, 5)
    assert provider.posts == 2


@pytest.mark.parametrize("body", ["<html>", "[]", "{}", '{"sid": null}'])
async def test_an_answer_that_cannot_be_read_is_unknown(provider: Provider, sms: TwilioSms, body: str) -> None:
    provider.answer(201, body)
    with pytest.raises(OutcomeUnknown):
        await sms.send(SMS, 5)


async def test_a_redirect_is_not_followed(provider: Provider, sms: TwilioSms) -> None:
    provider.answer(307, {}, {"Location": "/elsewhere"})
    with pytest.raises(OutcomeUnknown):
        await sms.send(SMS, 5)
    assert len(provider.seen) == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "no-such-host-of-tend"])
async def test_without_a_connection_nothing_was_sent(closed_port: int, host: str) -> None:
    client = TwilioClient(ACCOUNT, "secret", f"http://{host}:{closed_port}")
    try:
        with pytest.raises(Unavailable):
            await TwilioSms(client, "https://tend.example.com", from_="+12125550100").send(SMS, 30)
    finally:
        await client.aclose()


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_connection_that_does_not_come_about_in_time_sent_nothing(
    deaf: dict[str, str], scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("channels.twilio_client.CONNECT_WITHIN", 0.1)
    client = TwilioClient(ACCOUNT, "secret", deaf[scheme])
    try:
        with pytest.raises(Unavailable):
            await TwilioSms(client, "https://tend.example.com", from_="+12125550100").send(SMS, 5)
    finally:
        await client.aclose()


@pytest.mark.parametrize(
    ("word", "status"), [("queued", TouchStatus.ACCEPTED), ("partially_delivered", TouchStatus.DELIVERED)]
)
async def test_an_answer_says_what_a_callback_would(
    provider: Provider, sms: TwilioSms, word: str, status: TouchStatus
) -> None:
    provider.answer(201, CREATED | {"status": word})
    assert (await sms.send(SMS, 5)).status is status


async def test_too_many_requests_say_when_to_come_back(provider: Provider, sms: TwilioSms) -> None:
    provider.answer(429, {"code": 20429}, {"Retry-After": "7"})
    with pytest.raises(Unavailable) as caught:
        await sms.send(SMS, 5)
    assert (caught.value.code, caught.value.retry_after) == ("20429", 7)


@pytest.mark.parametrize(
    ("status", "code", "remedy"),
    [
        (400, 21610, Remedy.SUPPRESS_NUMBER),
        (400, 30610, Remedy.RESCHEDULE),
        (401, 20003, Remedy.ALERT),
        (400, 21602, Remedy.DROP),
    ],
)
async def test_a_refusal_says_what_follows_and_nothing_of_the_person(
    provider: Provider, sms: TwilioSms, status: int, code: int, remedy: Remedy
) -> None:
    provider.answer(status, {"code": code, "message": f"'To' {SMS.to} is not right", "status": status})
    with pytest.raises(Rejected) as caught:
        await sms.send(SMS, 5)
    assert (caught.value.code, caught.value.remedy) == (str(code), remedy)
    assert SMS.to[1:] not in str(caught.value)
    assert caught.value.__cause__ is None
    assert provider.posts == 1


async def test_finding(provider: Provider, sms: TwilioSms) -> None:
    texts = [
        listed(SINCE + timedelta(minutes=5), "another text", "SM3"),
        listed(SINCE - timedelta(seconds=12), SMS.body.replace("“", '"').replace("”", '"'), "SM2", "delivered"),
        listed(SINCE - timedelta(seconds=13), SMS.body, "SM1"),
    ]
    provider.answer(200, {"messages": texts, "page": 0, "next_page_uri": None})
    found = await sms.find(SMS, Search(SINCE), 5)
    assert found is not None
    assert (found.provider_id, found.status) == ("SM2", TouchStatus.DELIVERED)
    assert provider.seen[0].query == {"To": SMS.to, "PageSize": "100"}

    provider.answer(200, {"messages": [texts[0], texts[2]], "page": 0, "next_page_uri": None})
    assert await sms.find(SMS, Search(SINCE), 5) is None


@pytest.mark.parametrize(
    ("status", "code", "remedy"),
    [
        ("undelivered", 30006, Remedy.SUPPRESS),
        ("undelivered", 21610, Remedy.SUPPRESS_NUMBER),
        ("undelivered", 30003, Remedy.RETRY),
        ("failed", 30007, Remedy.ALERT),
        ("failed", None, Remedy.DROP),
        ("delivered", None, None),
    ],
)
async def test_what_is_found_says_what_its_callback_would(
    provider: Provider, sms: TwilioSms, status: str, code: int | None, remedy: Remedy | None
) -> None:
    text = {**listed(SINCE, status=status), "error_code": code}
    provider.answer(200, {"messages": [text], "page": 0, "next_page_uri": None})
    found = await sms.find(SMS, Search(SINCE), 5)
    form = {"MessageSid": "SM1", "MessageStatus": status} | ({"ErrorCode": str(code)} if code else {})
    told = parse_message_status(SMS.touch_id, form)
    assert found is not None and told is not None
    assert (found.code, found.remedy) == (str(code) if code else None, remedy)
    assert (found.provider_id, found.status, found.code, found.remedy) == (
        told.provider_id, told.status, told.code, told.remedy,
    )  # fmt: skip


def test_the_list_knows_a_text_as_it_was_encoded(client: TwilioClient) -> None:
    lists = TwilioLists(client)
    assert lists.same(SMS.body.replace("“", '"').replace("”", '"'), SMS.body)
    assert not lists.same("another text", SMS.body)


async def test_what_the_carrier_answers_by_itself_is_nobodys_touch(provider: Provider, client: TwilioClient) -> None:
    """HELP, and STOP: nobody here has sent those. A page of them alone ends nothing."""
    own = listed(SINCE + timedelta(minutes=9), "Reply STOP to unsubscribe", "SM9") | {"direction": "outbound-reply"}
    ours = listed(SINCE + timedelta(minutes=5), SMS.body, "SM5") | {"direction": "outbound-api"}
    more = f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json?Page=1"

    async def act(request: web.Request) -> web.Response:
        if "Calls" in request.path:
            return web.json_response({"calls": [], "page": 0, "next_page_uri": None})
        second = "Page" in request.query
        page = {"messages": [ours if second else own], "page": int(second), "next_page_uri": None if second else more}
        return web.json_response(page)

    provider.act = act
    assert [one.provider_id async for one in TwilioLists(client).since(SINCE)] == ["SM5"]


async def test_what_is_another_touchs_is_not_found(provider: Provider, sms: TwilioSms) -> None:
    texts = [listed(SINCE + timedelta(minutes=m), SMS.body, f"SM{m}") for m in (9, 5, 1)]
    provider.answer(200, {"messages": texts, "page": 0, "next_page_uri": None})
    found = await sms.find(SMS, Search(SINCE, SINCE + timedelta(minutes=9), frozenset({"SM5"})), 5)
    assert found is not None
    assert found.provider_id == "SM1"


async def test_by_clocks_that_are_apart_a_text_is_found_and_belongs_to_one_claim_only(
    provider: Provider, sms: TwilioSms
) -> None:
    """The worker that sent it was ahead of the carrier by more than either is ever told of."""
    provider.answer(200, {"messages": [listed(SINCE - APART - timedelta(seconds=1))], "page": 0, "next_page_uri": None})
    assert await sms.find(SMS, Search(SINCE), 5) is not None
    assert await sms.find(SMS, Search(SINCE - timedelta(minutes=3), SINCE), 5) is None
    assert await sms.find(SMS, Search(SINCE, known=frozenset({"SM1"})), 5) is None


async def test_a_request_whose_time_passed_before_it_was_written_is_not_sent(
    provider: Provider, sms: TwilioSms, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the process was frozen: the event loop may see the connection before it sees that the time is up."""
    provider.answer(201, CREATED)
    await sms.send(SMS, 5)  # and with a connection that is kept
    for fresh in (False, True):
        if fresh:
            await sms._client.aclose()
        beats = iter([0.0])
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda beats=beats: next(beats, 5.0)))
        with pytest.raises(Unavailable):
            await sms.send(SMS, 5)
    assert provider.posts == 1


async def test_it_is_asked_with_the_connection_in_hand_and_what_it_raises_sends_nothing(
    provider: Provider, sms: TwilioSms
) -> None:
    provider.answer(201, CREATED)
    posts: list[int] = []

    async def begin() -> None:
        posts.append(provider.posts)

    await sms.send(SMS, 5, begin)
    await sms.send(SMS, 5, begin)  # by the connection that was kept
    assert posts == [0, 1]

    async def over() -> None:
        raise ClaimOver("another has it")

    for fresh in (False, True):
        if fresh:
            await sms._client.aclose()
        with pytest.raises(ClaimOver):
            await sms.send(SMS, 5, over)
    assert provider.posts == 2


async def test_a_connection_that_may_not_be_used_is_closed(provider: Provider, sms: TwilioSms) -> None:
    port = urlsplit(provider.base).port

    def open_ones() -> int:
        found = psutil.Process().net_connections("tcp")
        return sum(bool(c.raddr) and c.raddr.port == port and c.status == psutil.CONN_ESTABLISHED for c in found)

    async def over() -> None:
        assert open_ones() == 1
        raise ClaimOver("another has it")

    for _ in range(3):
        with pytest.raises(ClaimOver):
            await sms.send(SMS, 5, over)
        async for attempt in AsyncRetrying(wait=wait_fixed(0.02), stop=stop_after_delay(5), reraise=True):
            with attempt:
                assert open_ones() == 0


async def test_no_time_left_before_a_connection_came_about_is_known_to_have_sent_nothing(
    provider: Provider, sms: TwilioSms
) -> None:
    async def hangs() -> None:
        await asyncio.Event().wait()

    with pytest.raises(Unavailable):
        await sms.send(SMS, 0.1, hangs)
    assert provider.posts == 0


async def test_a_list_of_several_pages_stays_on_the_base_url(provider: Provider, sms: TwilioSms) -> None:
    path = f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json"
    pages: list[object] = [
        {"messages": [listed(SINCE, "another")], "page": 0, "next_page_uri": f"{path}?Page=1&PageToken=x"},
        {"messages": [listed(SINCE)], "page": 1, "next_page_uri": None},
    ]
    provider.answer(200, pages[0])
    first = provider.act
    assert first is not None

    async def turn(request):  # type: ignore[no-untyped-def]
        if "PageToken" in request.query:
            provider.answer(200, pages[1])
            assert provider.act is not None
            return await provider.act(request)
        return await first(request)

    provider.act = turn
    assert await sms.find(SMS, Search(SINCE), 5) is not None
    assert [seen.path for seen in provider.seen] == [path, path]


@pytest.mark.parametrize("status", [401, 429, 500])
async def test_not_having_looked_proves_nothing(provider: Provider, sms: TwilioSms, status: int) -> None:
    provider.answer(status, {"code": 20003})
    with pytest.raises(OutcomeUnknown):
        await sms.find(SMS, Search(SINCE), 5)


async def test_a_look_that_does_not_connect_or_end_proves_nothing(
    provider: Provider, sms: TwilioSms, closed_port: int
) -> None:
    provider.hang()
    with pytest.raises(OutcomeUnknown):
        await sms.find(SMS, Search(SINCE), 0.2)
    client = TwilioClient(ACCOUNT, "secret", f"http://127.0.0.1:{closed_port}")
    with pytest.raises(OutcomeUnknown):
        await TwilioSms(client, "https://tend.example.com", from_="+12125550100").find(SMS, Search(SINCE), 5)
    await client.aclose()


async def test_proxies_and_regions_of_the_environment_do_not_count(
    provider: Provider, closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{closed_port}")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TWILIO_REGION", "au1")
    provider.answer(201, CREATED)
    client = TwilioClient(ACCOUNT, "secret", provider.base)
    await TwilioSms(client, "https://tend.example.com", from_="+12125550100").send(SMS, 5)
    await client.aclose()
    assert provider.posts == 1


async def test_nothing_of_a_person_is_logged(
    provider: Provider, sms: TwilioSms, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    provider.answer(201, CREATED)
    await sms.send(SMS, 5)
    provider.answer(200, {"messages": [], "page": 0, "next_page_uri": None})
    await sms.find(SMS, Search(SINCE), 5)
    client_side = [r.getMessage() for r in caplog.records if r.name != "aiohttp.access"]  # that one is our server's
    assert not [line for line in client_side if SMS.to[1:] in line or "Test Lead" in line]


def test_the_account_is_needed() -> None:
    with pytest.raises(ValueError, match="account SID"):
        TwilioClient("", "secret")
