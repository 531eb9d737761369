"""A request whose answer does not come, or tells nothing, was made once, and nobody knows what became of it."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import pytest_asyncio

from channels.sendgrid_email import SendGridEmail
from channels.twilio_client import TwilioClient
from channels.twilio_sms import TwilioSms
from channels.twilio_voice import TwilioVoice
from domain.ports import Accepted, Call, Email, OutcomeUnknown, Sms
from tests.channels.fake_provider import Provider

TOUCH = "8f14e45f-ceea-567f-a0e6-0f1c2d3e4f50"
Send = Callable[[float], Awaitable[Accepted]]


@pytest_asyncio.fixture(params=["sms", "voice", "email"])
async def send(provider: Provider, request: pytest.FixtureRequest) -> AsyncIterator[Send]:
    """Sends one touch over its channel, within so many seconds."""
    client = TwilioClient("AC" + "0" * 32, "secret", provider.base)
    mail = SendGridEmail("SG.secret", "care@example.com", "Springfield Care", provider.base)
    sms = TwilioSms(client, "https://tend.example.com", from_="+12125550100")
    voice = TwilioVoice(client, "https://tend.example.com", "+12125550100")
    match request.param:
        case "sms":
            yield lambda limit: sms.send(Sms(TOUCH, "+12125550123", "Hello"), limit)
        case "voice":
            yield lambda limit: voice.ring(Call(TOUCH, "+12125550123"), limit)
        case _:
            yield lambda limit: mail.send(Email(TOUCH, "ada@example.com", "Hello", "Hello", "<p>Hello</p>"), limit)
    await mail.aclose()
    await client.aclose()


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_a_server_error(provider: Provider, send: Send, status: int) -> None:
    provider.answer(status, "oops")
    with pytest.raises(OutcomeUnknown):
        await send(5)
    assert provider.posts == 1


@pytest.mark.parametrize("answers", [Provider.hang, Provider.trickle], ids=["not at all", "in drops"])
async def test_no_whole_answer_in_time(provider: Provider, send: Send, answers: Callable[[Provider], None]) -> None:
    answers(provider)
    with pytest.raises(OutcomeUnknown):
        await send(0.3)
    assert provider.posts == 1


async def test_a_cut_connection(provider: Provider, send: Send) -> None:
    provider.cut()
    with pytest.raises(OutcomeUnknown):
        await send(5)
    assert provider.posts == 1
