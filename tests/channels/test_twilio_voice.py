from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
import pytest_asyncio

from channels.twilio_client import TwilioClient
from channels.twilio_voice import TwilioVoice
from domain.ports import Call, Rejected, Remedy, Search
from domain.touches import TouchStatus
from tests.channels.fake_provider import Provider

ACCOUNT = "AC" + "0" * 32
SINCE = datetime(2026, 3, 2, 15, 0, 0, tzinfo=UTC)
CALL = Call("8f14e45f-ceea-567f-a0e6-0f1c2d3e4f50", "+12125550123")


@pytest_asyncio.fixture
async def voice(provider: Provider) -> AsyncIterator[TwilioVoice]:
    client = TwilioClient(ACCOUNT, "secret", provider.base)
    yield TwilioVoice(client, "https://tend.example.com/", "+12125550100")
    await client.aclose()


async def test_what_is_posted(provider: Provider, voice: TwilioVoice) -> None:
    provider.answer(201, {"sid": "CA1", "status": "queued"})
    made = await voice.ring(CALL, 5)
    assert (made.provider_id, made.status) == ("CA1", TouchStatus.ACCEPTED)
    (seen,) = provider.seen
    assert (seen.method, seen.path) == ("POST", f"/2010-04-01/Accounts/{ACCOUNT}/Calls.json")
    assert seen.form == {
        "To": [CALL.to],
        "From": ["+12125550100"],
        "Url": [f"https://tend.example.com/webhooks/twilio/voice/desk?touch={CALL.touch_id}#rc=5&rp=all"],
        "StatusCallback": [
            f"https://tend.example.com/webhooks/twilio/voice/desk/status?touch={CALL.touch_id}#rc=5&rp=all"
        ],
        "StatusCallbackEvent": ["completed"],
        "Timeout": ["25"],
        "Record": ["false"],
    }


async def test_errors_are_those_of_texts(provider: Provider, voice: TwilioVoice) -> None:
    provider.answer(401, {"code": 20003})
    with pytest.raises(Rejected) as caught:
        await voice.ring(CALL, 5)
    assert caught.value.remedy is Remedy.ALERT
    assert provider.posts == 1


async def test_finding(provider: Provider, voice: TwilioVoice) -> None:
    def call(sid: str, made: datetime, direction: str) -> dict[str, str]:
        return {"sid": sid, "date_created": format_datetime(made), "direction": direction, "status": "completed"}

    late = SINCE + timedelta(seconds=1)
    calls = [call("CA3", late, "inbound"), call("CA2", late, "outbound-api"), call("CA1", SINCE, "outbound-api")]
    provider.answer(200, {"calls": calls, "page": 0, "next_page_uri": None})
    found = await voice.find(CALL, Search(SINCE), 5)
    assert found is not None
    assert (found.provider_id, found.status) == ("CA2", TouchStatus.ACCEPTED)
    assert provider.seen[0].query["To"] == CALL.to
    assert "ParentCallSid" not in provider.seen[0].query
    assert await voice.find(CALL, Search(late + timedelta(seconds=12)), 5) is not None  # by clocks that are apart
    assert await voice.find(CALL, Search(late + timedelta(seconds=13)), 5) is None


async def test_a_lead_who_was_dialled_is_looked_for_among_the_calls_within_the_coordinators(
    provider: Provider, voice: TwilioVoice
) -> None:
    child = {"sid": "CA2", "date_created": format_datetime(SINCE), "direction": "outbound-dial", "status": "busy"}
    provider.answer(200, {"calls": [child], "page": 0, "next_page_uri": None})
    found = await voice.find(CALL, Search(SINCE, child_of="CA1"), 5)
    assert found is not None
    assert (found.provider_id, found.status) == ("CA2", TouchStatus.ACCEPTED)
    asked = provider.seen[0].query
    assert (asked["ParentCallSid"], asked["To"]) == ("CA1", CALL.to)


def test_a_number_is_needed() -> None:
    with pytest.raises(ValueError, match="number"):
        TwilioVoice(TwilioClient(ACCOUNT, "secret"), "https://tend.example.com", "")
