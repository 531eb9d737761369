"""The carrier's own endpoints: outbox, faults, inbound; and what a restart keeps."""

import os
import signal
import socket
import subprocess
import sys
import urllib.error
from pathlib import Path
from typing import Any

import pytest
import requests
from sendgrid.helpers.mail import Mail
from twilio.base.exceptions import TwilioRestException

from tests.sandbox.world import (
    ACCOUNT,
    DEADLINE,
    FROM,
    MAIL_KEY,
    TOKEN,
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


def faults(carrier: Carrier, **rules: Any) -> None:
    status, shown = carrier.ask("POST", "/_sandbox/faults", rules)
    assert (status, shown) == (200, rules)


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


# --- faults ----------------------------------------------------------------------------------------------------------


def test_errors_take_nothing(carrier: Carrier, receiver: Receiver) -> None:
    faults(carrier, error_rate=1.0)
    with pytest.raises(TwilioRestException) as broken:
        text(carrier, receiver)
    assert broken.value.status == 500
    faults(carrier, error_rate=1.0, error_status=429, error_code=20429, channel="sms")
    with pytest.raises(TwilioRestException) as broken:
        text(carrier, receiver)
    assert (broken.value.status, broken.value.code) == (429, 20429)
    assert carrier.outbox() == []
    mail = Mail("care@example.com", "lead@example.com", "Your question", "Hello", "<p>Hello</p>")
    assert carrier.sendgrid().send(mail).status_code == 202  # another channel
    assert carrier.ask("DELETE", "/_sandbox/faults")[0] == 204
    assert carrier.ask("GET", "/_sandbox/faults") == (200, {})
    text(carrier, receiver)


def test_refusals_are_taken_and_never_arrive(carrier: Carrier, receiver: Receiver) -> None:
    faults(carrier, refuse_rate=1.0, error_code=30005)
    text(carrier, receiver)
    last = receiver.wait_for("/status", 2)[-1].form
    assert (last["MessageStatus"], last["ErrorCode"]) == ("undelivered", "30005")
    carrier.twilio().calls.create(to=TO, from_=FROM, twiml="<Response/>", status_callback=f"{receiver.base}/call")
    assert receiver.wait_for("/call")[0].form["CallStatus"] == "failed"
    carrier.sendgrid().send(Mail("care@example.com", "lead@example.com", "Your question", "Hello", "<p>Hello</p>"))
    assert [event["event"] for event in receiver.wait_for("/events")[0].json] == ["processed", "bounce"]


def test_a_lost_answer_was_kept(carrier: Carrier, receiver: Receiver) -> None:
    faults(carrier, lose_answer_rate=1.0, to=TO)
    with pytest.raises(requests.exceptions.ConnectionError):
        text(carrier, receiver, touch="t-lost")
    (row,) = carrier.outbox(to=TO)
    assert row["touch_id"] == "t-lost"
    assert [one.sid for one in carrier.twilio().messages.list(to=TO)] == [row["id"]]
    receiver.wait_for("/status", 2)  # its callbacks come all the same
    text(carrier, receiver, "+12125550122")  # others are not concerned
    faults(carrier, lose_answer_rate=1.0, channel="email")
    with pytest.raises((urllib.error.URLError, ConnectionError)):
        carrier.sendgrid().send(Mail("care@example.com", "lead@example.com", "Your question", "Hi", "<p>Hi</p>"))
    assert len(carrier.outbox(channel="email")) == 1


def test_latency_comes_before_the_answer(carrier: Carrier, receiver: Receiver) -> None:
    faults(carrier, latency_ms=150.0)
    assert text(carrier, receiver).sid == carrier.outbox()[0]["id"]


def test_the_same_seed_gives_the_same_faults(carrier: Carrier, receiver: Receiver) -> None:
    def taken() -> list[bool]:
        faults(carrier, seed=7, error_rate=0.5)
        found = []
        for _ in range(12):
            try:
                text(carrier, receiver)
            except TwilioRestException:
                found.append(False)
            else:
                found.append(True)
        return found

    first = taken()
    assert set(first) == {True, False}
    assert taken() == first


@pytest.mark.parametrize(
    ("rules", "field"),
    [({"drop_callback_rate": 0.5}, "drop_callback_rate"), ({"error_rate": 2}, "error_rate"), ({"to": 5}, "to")],
)
def test_faults_that_cannot_be_are_refused_by_name(carrier: Carrier, rules: dict[str, Any], field: str) -> None:
    status, problem = carrier.ask("POST", "/_sandbox/faults", rules)
    assert (status, problem["field"]) == (422, field)
    assert field in problem["detail"]


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


# --- the process -----------------------------------------------------------------------------------------------------


def test_it_runs_as_a_process_and_stops_cleanly(tmp_path: Path, receiver: Receiver) -> None:
    (tmp_path / "token").write_text(TOKEN + "\n")
    (tmp_path / "mail").write_text(MAIL_KEY + "\n")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    given = {
        "port": port,
        "dir": tmp_path / "carrier",
        "account-sid": ACCOUNT,
        "auth-token-file": tmp_path / "token",
        "sendgrid-api-key-file": tmp_path / "mail",
        "inbound-sms-url": f"{receiver.base}/sms",
        "inbound-voice-url": f"{receiver.base}/voice",
        "email-events-url": f"{receiver.base}/events",
    }
    command = [sys.executable, "-m", "sandbox", *(part for name, v in given.items() for part in (f"--{name}", str(v)))]
    refused = subprocess.run(
        [*command, "--personas", "books"], check=False, capture_output=True, text=True, timeout=DEADLINE
    )
    assert refused.returncode == 1
    assert "--api" in refused.stderr
    assert refused.stderr.count("\n") == 1
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        carrier = Carrier(f"http://127.0.0.1:{port}", tmp_path / "carrier")

        def healthy() -> bool:
            assert process.poll() is None, process.communicate()[0]
            try:
                return carrier.ask("GET", "/healthz") == (200, {"status": "ok"})
            except OSError:
                return False

        carrier.eventually(healthy)
        text(carrier, receiver)
        receiver.wait_for("/status", 2)
        os.kill(process.pid, signal.SIGTERM)
        output, _ = process.communicate(timeout=DEADLINE)
        assert process.returncode == 0, output
        assert output == b""
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
