"""The carrier's own endpoints: outbox, faults, inbound; and what a restart keeps."""

import socket
from pathlib import Path
from typing import Any

import pytest
from twilio.base.exceptions import TwilioRestException

from tests.sandbox.world import (
    FROM,
    Carrier,
    Receiver,
    config_for,
    receiving,
    running,
)

TO = "+12125550120"


def text(carrier: Carrier, receiver: Receiver, to: str = TO, touch: str = "t-1") -> Any:
    url = f"{receiver.base}/status?touch={touch}"
    return carrier.twilio().messages.create(to=to, from_=FROM, body="Hello", status_callback=url)


# --- outbox ----------------------------------------------------------------------------------------------------------


def test_outbox_pages_filters_and_clears(carrier: Carrier, receiver: Receiver) -> None:
    sids = [text(carrier, receiver, touch=f"t-{n}").sid for n in range(5)]
    text(carrier, receiver, "+12125550121")
    seen, cursor = [], ""
    while cursor is not None:
        status, page = carrier.ask("GET", f"/_sandbox/outbox?to=%2B12125550120&limit=2&cursor={cursor}")
        assert status == 200
        assert len(page["items"]) <= 2
        seen += [row["id"] for row in page["items"]]
        cursor = page["next_cursor"]
    assert seen == sids
    rows = carrier.outbox(channel="sms")
    assert len(rows) == 6
    assert [row["id"] for row in carrier.outbox(since=rows[-1]["at"])][-1] == rows[-1]["id"]
    assert carrier.outbox(since="2999-01-01T00:00:00Z") == []
    for wrong in ("limit=0", "cursor=x", "since=soon", "channel=fax"):
        status, problem = carrier.ask("GET", f"/_sandbox/outbox?{wrong}")
        assert (status, problem["field"]) == (422, wrong.partition("=")[0])
    assert carrier.ask("DELETE", "/_sandbox/outbox")[0] == 204
    assert carrier.outbox() == []
    assert len(carrier.twilio().messages.list(to=TO)) == 5  # the provider's own list stays


def test_a_restart_keeps_the_outbox_and_sends_what_was_due(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    away = Receiver(base=f"http://127.0.0.1:{port}")  # nobody listens there yet
    config = config_for(tmp_path, away)
    with running(config) as carrier:
        sid = text(carrier, away).sid
        carrier.eventually(lambda: carrier.twilio().messages(sid).fetch().status == "delivered")
    with receiving(port) as receiver, running(config) as carrier:
        assert [row["id"] for row in carrier.outbox()] == [sid]
        receiver.wait(lambda: set(receiver.statuses("/status", "MessageStatus")) == {"sent", "delivered"})
        assert all(got.signed_by_twilio() for got in receiver.all("/status"))


def test_a_callback_is_tried_again_after_a_5xx(carrier: Carrier, receiver: Receiver) -> None:
    receiver.answers["POST /status"] = lambda got: (500 if len(receiver.all("/status")) < 3 else 204, "")
    text(carrier, receiver)
    got = receiver.wait_for("/status", 5)
    assert sorted({one.form["MessageStatus"] for one in got}) == ["delivered", "sent"]


@pytest.mark.parametrize("since", ["0001-01-01T00:00:00%2B23:59", "9999-12-31T23:59:59-10:00"])
def test_times_outside_the_calendar_are_refused(carrier: Carrier, since: str) -> None:
    status, problem = carrier.ask("GET", f"/_sandbox/outbox?since={since}")
    assert (status, problem["field"]) == (422, "since")


def test_half_a_character_is_no_text(carrier: Carrier) -> None:
    half = {"channel": "sms", "from": TO, "body": "\ud800"}
    status, problem = carrier.ask("POST", "/_sandbox/inbound", half)
    assert (status, problem["field"]) == (422, "body")


# --- inbound ---------------------------------------------------------------------------------------------------------


def test_a_reply_is_signed_and_kept(carrier: Carrier, receiver: Receiver) -> None:
    text(carrier, receiver)
    receiver.answers["POST /sms"] = lambda got: (200, "<Response/>")
    status, answer = carrier.ask("POST", "/_sandbox/inbound", {"channel": "sms", "from": TO, "body": "Yes, 5 & 6?"})
    assert (status, answer) == (200, {"status": 200, "body": "<Response/>"})
    (got,) = receiver.all("/sms")
    assert got.signed_by_twilio()
    assert (got.form["From"], got.form["To"], got.form["Body"]) == (TO, FROM, "Yes, 5 & 6?")
    assert got.form["NumMedia"] == "0"
    (kept,) = carrier.ask("GET", "/_sandbox/inbound")[1]["items"]
    assert (kept["id"], kept["from"], kept["body"]) == (got.form["MessageSid"], TO, "Yes, 5 & 6?")
    assert (kept["status"], kept["answer"]) == (200, "<Response/>")


def test_inbound_that_cannot_be(carrier: Carrier) -> None:
    status, problem = carrier.ask("POST", "/_sandbox/inbound", {"channel": "email", "from": "x", "body": "y"})
    assert (status, problem["field"]) == (422, "channel")
    status, problem = carrier.ask("POST", "/_sandbox/inbound", {"channel": "sms", "from": "555", "body": "y"})
    assert (status, problem["field"]) == (422, "from")


def test_the_carrier_may_handle_stop_itself(tmp_path: Path, receiver: Receiver) -> None:
    with running(config_for(tmp_path, receiver, carrier_opt_out=True)) as carrier:
        text(carrier, receiver)
        carrier.ask("POST", "/_sandbox/inbound", {"channel": "sms", "from": TO, "body": " stop "})
        assert receiver.all("/sms")[0].form["OptOutType"] == "STOP"
        assert [row.get("by") for row in carrier.outbox(to=TO)] == [None, "carrier"]
        with pytest.raises(TwilioRestException) as refused:
            text(carrier, receiver)
        assert refused.value.code == 21610
        carrier.ask("POST", "/_sandbox/inbound", {"channel": "sms", "from": TO, "body": "START"})
        text(carrier, receiver)


def test_by_default_stop_is_not_the_carriers_business(carrier: Carrier, receiver: Receiver) -> None:
    carrier.ask("POST", "/_sandbox/inbound", {"channel": "sms", "from": TO, "body": "STOP"})
    text(carrier, receiver)
    assert len(carrier.outbox(to=TO)) == 1
