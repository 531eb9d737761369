"""The carrier's list says numbers as its webhook does, however Twilio writes them."""

from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from aiohttp import web

from channels.inbound_twilio import parse_sms
from channels.twilio_client import TwilioClient
from channels.twilio_lists import TwilioLists
from domain.ports import Listed
from tests.channels.fake_provider import Provider

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
LEAD, OURS = "+12125550101", "+15005550006"


async def listed(provider: Provider, *, inbound: bool, kept_in: str = "messages", **fields: str) -> list[Listed]:
    record = {"sid": "SM1", "body": "STOP", "date_created": format_datetime(NOON)} | fields
    record["direction"] = "inbound" if inbound else "outbound-api"

    async def act(request: web.Request) -> web.Response:
        name = "calls" if "Calls" in request.path else "messages"
        page = [record] if name == kept_in else []
        return web.json_response({name: page, "page": 0, "next_page_uri": None})

    provider.act = act
    client = TwilioClient("AC" + "0" * 32, "secret", provider.base)
    try:
        return [one async for one in TwilioLists(client).since(NOON)]
    finally:
        await client.aclose()


@pytest.mark.parametrize("theirs", [LEAD, f"rcs:{LEAD}", "2125550101", "12125550101", f" {LEAD}"])
@pytest.mark.parametrize("ours", [OURS, f"rcs:{OURS}", "5005550006"])
async def test_a_text_is_from_the_number_that_its_webhook_says(provider: Provider, theirs: str, ours: str) -> None:
    (one,) = await listed(provider, inbound=True, **{"from": theirs, "to": ours})
    assert (one.inbound, one.person, one.ours) == (True, LEAD, OURS)
    assert parse_sms({"MessageSid": "SM1", "From": theirs, "To": ours}).sender == one.person


@pytest.mark.parametrize("to", [LEAD, f"rcs:{LEAD}", "2125550101"])
async def test_so_is_what_we_sent(provider: Provider, to: str) -> None:
    (one,) = await listed(provider, inbound=False, **{"from": f"rcs:{OURS}", "to": to})
    assert (one.inbound, one.person, one.ours) == (False, LEAD, OURS)


@pytest.mark.parametrize("ours", ["rcs:tend_agent", "22222", "Clinic"])
async def test_of_ours_a_name_stays_one(provider: Provider, ours: str) -> None:
    (one,) = await listed(provider, inbound=True, **{"from": LEAD, "to": ours})
    assert one.ours == ours


@pytest.mark.parametrize(
    "other",
    [
        "client:desk",
        "sip:desk@example.com",
        "sip:+12125550101@example.com",
        "sim:HS1",
        "whatsapp:US.123",
        "22222",
        "246810",
    ],
)
@pytest.mark.parametrize("inbound", [True, False])
async def test_what_has_no_number_at_its_other_end_is_no_leads(provider: Provider, other: str, inbound: bool) -> None:
    ends = {"from": other, "to": OURS} if inbound else {"from": OURS, "to": other}
    assert await listed(provider, inbound=inbound, **ends) == []


@pytest.mark.parametrize(
    "hidden", ["+1212555XXXX", "rcs:+1212555XXXX", "whatsapp:+1212555XXXX", "+1212555****", "XXXX", "", "Ada"]
)
@pytest.mark.parametrize("inbound", [True, False])
async def test_a_number_that_is_hidden_is_not_left_out(provider: Provider, hidden: str, inbound: bool) -> None:
    ends = {"from": hidden, "to": OURS} if inbound else {"from": OURS, "to": hidden}
    (one,) = await listed(provider, inbound=inbound, **ends)
    assert (one.provider_id, one.person) == ("SM1", "")


async def test_who_calls_us_from_a_withheld_number_is_nobody_that_we_called(provider: Provider) -> None:
    assert await listed(provider, inbound=True, kept_in="calls", **{"from": "anonymous", "to": OURS}) == []
    assert len(await listed(provider, inbound=False, kept_in="calls", **{"from": OURS, "to": "+1212555XXXX"})) == 1
