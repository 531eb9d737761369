"""The real Twilio SDK sends texts to the carrier."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from twilio.base.exceptions import TwilioRestException

from sandbox.twilio_messages import segments
from tests.sandbox.world import FROM, SERVICE, TOKEN, Carrier, Receiver, config_for, running

TO = "+12125550101"


def test_text_is_kept_delivered_and_reported(carrier: Carrier, receiver: Receiver) -> None:
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    message = carrier.twilio().messages.create(
        to=TO, messaging_service_sid=SERVICE, body="Hello", status_callback=f"{receiver.base}/status?touch=t-1&x=a%20b"
    )
    assert message.status == "accepted"
    assert message.sid.startswith("SM")
    assert len(message.sid) == 34
    (row,) = carrier.outbox(to=TO)
    assert (row["id"], row["channel"], row["to"], row["body"]) == (message.sid, "sms", TO, "Hello")
    assert row["touch_id"] == "t-1"
    assert before <= datetime.fromisoformat(row["at"]) <= datetime.now(UTC)
    assert row["request"]["MessagingServiceSid"] == SERVICE
    assert "authorization" not in {name.lower() for name in row["headers"]}
    assert TOKEN not in str(row)

    got = receiver.wait_for("/status", 2)
    assert [one.form["MessageStatus"] for one in got] == ["sent", "delivered"]
    assert all(one.signed_by_twilio() for one in got)
    assert {one.form["MessageSid"] for one in got} == {message.sid}
    assert "ErrorCode" not in got[-1].form
    seen = carrier.twilio().messages(message.sid).fetch()
    assert seen.status == "delivered"
    assert seen.date_sent is not None
    assert seen.date_created <= seen.date_sent


def test_a_sender_of_its_own_is_queued(carrier: Carrier) -> None:
    message = carrier.twilio().messages.create(to=TO, from_=FROM, body="Hello")
    assert (message.status, message.from_) == ("queued", FROM)


def test_list_by_to_pages_newest_first(carrier: Carrier) -> None:
    client = carrier.twilio()
    sids = [client.messages.create(to=TO, from_=FROM, body=f"n{n}").sid for n in range(5)]
    client.messages.create(to="+12125550102", from_=FROM, body="other")
    listed = client.messages.list(to=TO, page_size=2)
    assert [one.sid for one in listed] == sids[::-1]
    assert [one.sid for one in client.messages.list(to=TO, from_=FROM, limit=1)] == [sids[-1]]
    assert client.messages.list(to=TO, from_="+12125550190") == []


def test_list_by_date_sent_misses_what_is_not_sent(tmp_path: Path, receiver: Receiver) -> None:
    slow = config_for(tmp_path, receiver, sent_after=3600.0, delivered_after=3600.0)
    with running(slow) as carrier:
        carrier.twilio().messages.create(to=TO, from_=FROM, body="waits")
        hour_ago = datetime.now(UTC) - timedelta(hours=1)
        assert carrier.twilio().messages.list(to=TO, date_sent_after=hour_ago) == []
        assert len(carrier.twilio().messages.list(to=TO)) == 1


def test_list_by_date_sent_finds_the_day(carrier: Carrier) -> None:
    client = carrier.twilio()
    client.messages.create(to=TO, from_=FROM, body="Hello")
    found = carrier.eventually(lambda: client.messages.list(to=TO, date_sent_after=datetime(2020, 1, 1, tzinfo=UTC)))
    assert client.messages.list(to=TO, date_sent=found[0].date_sent.date())
    assert client.messages.list(to=TO, date_sent_before=datetime(2020, 1, 1, tzinfo=UTC)) == []


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"to": "12125550101", "from_": FROM, "body": "x"}, 21211),
        ({"to": "", "from_": FROM, "body": "x"}, 21604),
        ({"to": TO, "body": "x"}, 21603),
        ({"to": TO, "from_": FROM, "body": ""}, 21602),
        ({"to": TO, "from_": FROM, "body": "x" * 1601}, 21617),
        ({"to": "+15005550001", "from_": FROM, "body": "x"}, 21211),
        ({"to": "+15005550004", "from_": FROM, "body": "x"}, 21610),
    ],
)
def test_refused_at_once(carrier: Carrier, fields: dict[str, str], code: int) -> None:
    with pytest.raises(TwilioRestException) as refused:
        carrier.twilio().messages.create(**fields)
    assert (refused.value.status, refused.value.code) == (400, code)
    assert carrier.outbox() == []


def test_a_number_that_is_never_reached(carrier: Carrier, receiver: Receiver) -> None:
    url = f"{receiver.base}/status?touch=t-2"
    message = carrier.twilio().messages.create(to="+15005553006", from_=FROM, body="x", status_callback=url)
    last = receiver.wait_for("/status", 2)[-1].form
    assert (last["MessageStatus"], last["ErrorCode"]) == ("undelivered", "30006")
    seen = carrier.twilio().messages(message.sid).fetch()
    assert (seen.status, seen.error_code) == ("undelivered", 30006)


def test_wrong_token_and_unknown_sid(carrier: Carrier) -> None:
    with pytest.raises(TwilioRestException) as refused:
        carrier.twilio("wrong").messages.create(to=TO, from_=FROM, body="x")
    assert (refused.value.status, refused.value.code) == (401, 20003)
    assert carrier.outbox() == []
    with pytest.raises(TwilioRestException) as missing:
        carrier.twilio().messages("SM" + "0" * 32).fetch()
    assert (missing.value.status, missing.value.code) == (404, 20404)


def test_segments() -> None:
    assert [segments("a" * 160), segments("a" * 161), segments("€" * 80), segments("€" * 81)] == [1, 2, 1, 2]
    assert [segments("ы" * 70), segments("ы" * 71)] == [1, 2]
