import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from channels.sendgrid_email import THREADS, SendGridEmail
from channels.sendgrid_http import Turn
from domain.errors import ClaimOver
from domain.ports import Email, OutcomeUnknown, Rejected, Remedy, Unavailable
from tests.channels.fake_provider import Provider

MAIL = Email(
    touch_id="8f14e45f-ceea-567f-a0e6-0f1c2d3e4f50",
    to="ada@example.com",
    subject="Your question",
    text="Hello Ada Example",
    html="<p>Hello Ada Example</p>",
    headers=(("List-Unsubscribe", "<https://tend.example.com/u/token>"),),
)


@pytest_asyncio.fixture
async def email(provider: Provider) -> AsyncIterator[SendGridEmail]:
    it = SendGridEmail("SG.secret", "care@example.com", "Springfield Care", provider.base)
    yield it
    await it.aclose()


async def test_what_is_posted(provider: Provider, email: SendGridEmail) -> None:
    provider.answer(202, "", {"X-Message-Id": "msg1"})
    assert (await email.send(MAIL, 5)).provider_id == "msg1"
    (seen,) = provider.seen
    assert (seen.method, seen.path) == ("POST", "/v3/mail/send")
    assert seen.headers["Authorization"] == "Bearer SG.secret"
    off = {"enable": False}
    assert seen.json == {
        "from": {"email": "care@example.com", "name": "Springfield Care"},
        "personalizations": [{"to": [{"email": "ada@example.com"}]}],
        "subject": "Your question",
        "content": [
            {"type": "text/plain", "value": "Hello Ada Example"},
            {"type": "text/html", "value": "<p>Hello Ada Example</p>"},
        ],
        "custom_args": {"touch_id": MAIL.touch_id},
        "headers": {"List-Unsubscribe": "<https://tend.example.com/u/token>"},
        "tracking_settings": {
            "click_tracking": {"enable": False, "enable_text": False},
            "open_tracking": off,
            "subscription_tracking": off,
            "ganalytics": off,
        },
    }


@pytest.mark.parametrize("host", ["127.0.0.1", "no-such-host-of-tend"])
async def test_without_a_connection_nothing_was_sent(closed_port: int, host: str) -> None:
    email = SendGridEmail("SG.secret", "care@example.com", base_url=f"http://{host}:{closed_port}")
    with pytest.raises(Unavailable):
        await email.send(MAIL, 30)
    await email.aclose()


async def test_it_is_asked_with_the_connection_in_hand_and_what_it_raises_sends_nothing(
    provider: Provider, email: SendGridEmail
) -> None:
    provider.answer(202, "", {"X-Message-Id": "msg1"})
    posts: list[int] = []

    async def begin() -> None:
        posts.append(provider.posts)

    async def over() -> None:
        raise ClaimOver("another has it")

    await email.send(MAIL, 5, begin)
    with pytest.raises(ClaimOver):
        await email.send(MAIL, 5, over)
    assert (posts, provider.posts) == ([0], 1)


async def test_a_claim_that_is_not_used_in_time_sends_nothing(provider: Provider, email: SendGridEmail) -> None:
    """As where the database does not answer."""
    provider.answer(202, "")

    async def begin() -> None:
        await asyncio.Event().wait()

    with pytest.raises(Unavailable):
        await email.send(MAIL, 0.2, begin)
    assert provider.posts == 0


async def test_waiting_for_a_thread_sends_nothing(provider: Provider, email: SendGridEmail) -> None:
    provider.answer(202, "")
    free = threading.Event()
    for _ in range(THREADS):
        email._pool.submit(free.wait)
    try:
        with pytest.raises(Unavailable):
            await email.send(MAIL, 0.1)
    finally:
        free.set()
    provider.answer(202, "", {"X-Message-Id": "later"})
    assert (await email.send(MAIL, 5)).provider_id == "later"
    assert provider.posts == 1


async def test_a_mail_that_waited_too_long_for_a_thread_does_not_leave(
    provider: Provider, email: SendGridEmail, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider.answer(202, "")
    free = threading.Event()
    for _ in range(THREADS):
        email._pool.submit(free.wait)
    sending = asyncio.create_task(email.send(MAIL, 60))
    await asyncio.sleep(0)  # it queues
    assert email._pool._work_queue.qsize() == 1
    late = time.monotonic() + 61
    monkeypatch.setattr("channels.sendgrid_http.monotonic", lambda: late)
    free.set()
    with pytest.raises(Unavailable):
        await sending
    assert not provider.seen


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    ("within", "limit", "why"), [(0.1, 30.0, "cannot be reached"), (30.0, 0.1, "nothing was sent")]
)
async def test_a_connection_that_does_not_come_about_in_time_sent_nothing(
    deaf: dict[str, str], scheme: str, within: float, limit: float, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("channels.sendgrid_http.CONNECT_WITHIN", within)
    email = SendGridEmail("SG.secret", "care@example.com", base_url=deaf[scheme])
    with pytest.raises(Unavailable, match=why):
        await email.send(MAIL, limit)
    await email.aclose()


def test_either_the_thread_writes_or_the_caller_knows_that_it_did_not() -> None:
    first, second, late = Turn(60), Turn(60), Turn(0)
    assert first.take()
    assert not first.take_away()
    assert second.take_away()
    assert not second.take()
    assert not late.take()
    assert late.take_away()


def test_while_its_claim_is_being_used_nothing_is_written_yet() -> None:
    taken: list[bool] = []
    turn = Turn(60, lambda _: taken.append(turn.take_away()))
    assert not turn.take()
    assert taken == [True]


@pytest.mark.parametrize("code", [301, 302, 307])
async def test_a_redirect_is_not_followed(provider: Provider, email: SendGridEmail, code: int) -> None:
    provider.answer(code, "", {"Location": "/elsewhere"})
    with pytest.raises(OutcomeUnknown):
        await email.send(MAIL, 5)
    assert len(provider.seen) == 1


async def test_too_many_requests_say_when_to_come_back(provider: Provider, email: SendGridEmail) -> None:
    provider.answer(429, {"errors": []}, {"X-RateLimit-Reset": str(int(time.time()) + 100)})
    with pytest.raises(Unavailable) as caught:
        await email.send(MAIL, 5)
    assert 1 < caught.value.retry_after <= 101


@pytest.mark.parametrize(
    ("status", "remedy"),
    [(400, Remedy.DROP), (401, Remedy.ALERT), (403, Remedy.ALERT), (404, Remedy.DROP), (413, Remedy.DROP)],
)
async def test_a_refusal_says_what_follows_and_nothing_of_the_person(
    provider: Provider, email: SendGridEmail, status: int, remedy: Remedy
) -> None:
    provider.answer(status, {"errors": [{"message": f"{MAIL.to} is not right", "field": "to"}]})
    with pytest.raises(Rejected) as caught:
        await email.send(MAIL, 5)
    error: BaseException = caught.value
    assert (caught.value.code, caught.value.remedy) == (str(status), remedy)
    assert MAIL.to not in str(error)
    assert error.__cause__ is error.__context__ is None
    assert provider.posts == 1


async def test_proxies_of_the_environment_do_not_count(
    provider: Provider, closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{closed_port}")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    provider.answer(202, "")
    email = SendGridEmail("SG.secret", "care@example.com", base_url=provider.base)
    await email.send(MAIL, 5)
    await email.aclose()
    assert provider.posts == 1


async def test_nothing_of_a_person_is_logged(
    provider: Provider, email: SendGridEmail, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    provider.answer(202, "")
    await email.send(MAIL, 5)
    provider.answer(400, {"errors": [{"message": MAIL.to}]})
    with pytest.raises(Rejected):
        await email.send(MAIL, 5)
    lines = [record.getMessage() for record in caplog.records]
    assert not [line for line in lines if "ada@" in line or "Ada" in line or "SG.secret" in line]


def test_a_key_is_needed() -> None:
    with pytest.raises(ValueError, match="API key"):
        SendGridEmail("", "care@example.com")
