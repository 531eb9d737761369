"""Each fault through the carrier's own server, as the real SDKs meet it."""

import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from python_http_client.exceptions import HTTPError
from twilio.base.exceptions import TwilioException, TwilioRestException

from tests.sandbox.sending import CUT, HOUR, TO, dial, faults, mail, text
from tests.sandbox.world import FROM, Carrier, Receiver, config_for, running

FAILED = (TwilioRestException, HTTPError)

EACH = pytest.mark.parametrize(("send", "channel"), [(text, "sms"), (dial, "voice"), (mail, "email")])
Send = Callable[..., Any]


def told(receiver: Receiver, touch: str) -> list[str]:
    """What callbacks told of a touch, in the order they came."""
    forms = [got for got in list(receiver.got) if got.path in {"/status", "/call"} and f"touch={touch}" in got.url]
    statuses = [got.form.get("MessageStatus") or got.form["CallStatus"] for got in forms]
    events = [event for got in receiver.all("/events") for event in got.json if event["touch_id"] == touch]
    return statuses + [event["event"] for event in events]


def ended(carrier: Carrier, channel: str) -> Any:
    """The newest message or call, once the carrier has it as over."""
    reader = carrier.twilio().messages if channel == "sms" else carrier.twilio().calls
    sid = carrier.outbox(channel=channel)[-1]["id"]
    over = {"delivered", "undelivered", "no-answer", "failed", "completed"}
    return carrier.eventually(lambda: (one := reader(sid).fetch()).status in over and one)


# --- not taken -------------------------------------------------------------------------------------------------------


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
    assert mail(carrier, receiver).status_code == 202  # another channel
    assert carrier.ask("DELETE", "/_sandbox/faults")[0] == 204
    assert carrier.ask("GET", "/_sandbox/faults") == (200, {})
    text(carrier, receiver)


def test_who_comes_too_often_is_told_when_to_come_again(carrier: Carrier, receiver: Receiver) -> None:
    faults(carrier, error_rate=1.0, error_status=429, retry_after_s=7)
    account = carrier.twilio().username
    form = {"To": TO, "From": FROM, "Body": "Hello"}
    url = f"{carrier.base}/2010-04-01/Accounts/{account}/Messages.json"
    answer = requests.post(url, data=form, auth=carrier.twilio().auth, timeout=5)
    assert (answer.status_code, answer.json()["code"], answer.headers["Retry-After"]) == (429, 20429, "7")
    before = datetime.now(UTC).timestamp()
    with pytest.raises(HTTPError) as refused:
        mail(carrier, receiver)
    assert refused.value.status_code == 429
    assert float(refused.value.headers["X-RateLimit-Reset"]) >= before + 7
    assert refused.value.headers["X-RateLimit-Remaining"] == "0"
    assert carrier.outbox() == []


# --- taken, and the sender does not learn it -------------------------------------------------------------------------


@EACH
def test_a_lost_answer_was_kept(carrier: Carrier, receiver: Receiver, send: Send, channel: str) -> None:
    faults(carrier, lose_answer_rate=1.0, channel=channel)
    with pytest.raises(CUT):
        send(carrier, receiver, "t-lost")
    (row,) = carrier.outbox(channel=channel)
    assert row["touch_id"] == "t-lost"
    receiver.wait(lambda: told(receiver, "t-lost"))  # its callbacks come all the same


def test_only_who_is_meant_is_concerned(carrier: Carrier, receiver: Receiver) -> None:
    faults(carrier, lose_answer_rate=1.0, to=TO)
    with pytest.raises(CUT):
        text(carrier, receiver)
    sid = text(carrier, receiver, to="+12125550122").sid
    assert [one.sid for one in carrier.twilio().messages.list(to="+12125550122")] == [sid]


@EACH
def test_an_error_after_it_was_kept(carrier: Carrier, receiver: Receiver, send: Send, channel: str) -> None:
    faults(carrier, error_after_accept_rate=1.0, error_status=503, channel=channel)
    with pytest.raises(FAILED) as broken:
        send(carrier, receiver, "t-after")
    assert getattr(broken.value, "status", None) == 503 or broken.value.status_code == 503
    (row,) = carrier.outbox(channel=channel)
    assert row["touch_id"] == "t-after"
    receiver.wait(lambda: told(receiver, "t-after"))


def test_who_took_it_never_says_that_it_was_the_senders_fault(carrier: Carrier, receiver: Receiver) -> None:
    faults(carrier, error_after_accept_rate=1.0, error_status=429, error_code=20429)
    with pytest.raises(TwilioRestException) as broken:
        text(carrier, receiver)
    assert (broken.value.status, broken.value.code) == (500, 20500)
    assert len(carrier.outbox()) == 1


@EACH
def test_what_is_accepted_late_is_nowhere_before(tmp_path: Path, receiver: Receiver, send: Send, channel: str) -> None:
    """And a restart does not forget it: here its time comes while the carrier is down."""
    config = config_for(tmp_path, receiver)
    with running(config) as carrier:
        faults(carrier, accept_late_rate=1.0, accept_late_ms=float(HOUR))
        with pytest.raises(CUT):
            send(carrier, receiver, "t-late")
        assert carrier.ask("DELETE", "/_sandbox/faults")[0] == 204  # it is on its way already
        assert carrier.outbox() == []
        assert carrier.twilio().messages.list(to=TO) + carrier.twilio().calls.list(to=TO) == []
    with sqlite3.connect(tmp_path / "carrier.sqlite") as db:
        db.execute("UPDATE late SET due = due - 3600")
    db.close()
    again = datetime.now(UTC) - timedelta(milliseconds=1)
    with running(config) as carrier:
        (row,) = carrier.eventually(lambda: carrier.outbox(channel=channel))
        assert row["touch_id"] == "t-late"
        assert datetime.fromisoformat(row["at"]) >= again
        receiver.wait(lambda: told(receiver, "t-late"))
    with running(config) as carrier:
        assert len(carrier.outbox()) == 1


def test_what_is_accepted_late_bears_the_later_time(carrier: Carrier, receiver: Receiver) -> None:
    faults(carrier, accept_late_rate=1.0, accept_late_ms=300.0)
    before = datetime.now(UTC)
    with pytest.raises(CUT):
        text(carrier, receiver)
    (listed,) = carrier.eventually(lambda: carrier.twilio().messages.list(to=TO))
    (row,) = carrier.outbox()
    at = datetime.fromisoformat(row["at"])
    assert at >= before + timedelta(milliseconds=299)
    assert (listed.sid, listed.date_created) == (row["id"], at.replace(microsecond=0))
    receiver.wait(lambda: told(receiver, "t-1") == ["sent", "delivered"])


def test_a_slow_answer_is_of_something_taken(carrier: Carrier, receiver: Receiver) -> None:
    faults(carrier, latency_ms=120_000.0)
    client = carrier.twilio()
    client.http_client.timeout = 0.3
    with pytest.raises((requests.exceptions.Timeout, TwilioException)):
        client.messages.create(to=TO, from_=FROM, body="Hello")
    assert len(carrier.eventually(carrier.outbox)) == 1
    faults(carrier, latency_ms=50.0)
    assert text(carrier, receiver).sid == carrier.outbox()[-1]["id"]


# --- what becomes of it ----------------------------------------------------------------------------------------------


def test_refusals_are_taken_and_never_arrive(carrier: Carrier, receiver: Receiver) -> None:
    faults(carrier, refuse_rate=1.0, error_code=30005)
    text(carrier, receiver)
    last = receiver.wait_for("/status", 2)[-1].form
    assert (last["MessageStatus"], last["ErrorCode"]) == ("undelivered", "30005")
    dial(carrier, receiver)
    assert receiver.wait_for("/call")[0].form["CallStatus"] == "failed"
    mail(carrier, receiver)
    assert [event["event"] for event in receiver.wait_for("/events")[0].json] == ["processed", "bounce"]


def test_lists_lag_and_nothing_else_does(carrier: Carrier, receiver: Receiver) -> None:
    faults(carrier, list_lag_ms=float(HOUR))
    client = carrier.twilio()
    sms, call = text(carrier, receiver).sid, dial(carrier, receiver).sid
    assert client.messages.list(to=TO) + client.calls.list(to=TO) == []
    assert [row["id"] for row in carrier.outbox()] == [sms, call]
    assert (client.messages(sms).fetch().sid, client.calls(call).fetch().sid) == (sms, call)
    receiver.wait(lambda: told(receiver, "t-1"))
    faults(carrier, list_lag_ms=300.0)
    second = text(carrier, receiver).sid
    assert [one.sid for one in carrier.eventually(lambda: client.messages.list(to=TO))] == [second]
    at = datetime.fromisoformat(carrier.outbox()[-1]["at"])
    assert datetime.now(UTC) >= at + timedelta(milliseconds=300)


@EACH
def test_a_dropped_callback_hides_a_status(carrier: Carrier, receiver: Receiver, send: Send, channel: str) -> None:
    faults(carrier, drop_callback_rate=1.0)
    send(carrier, receiver, "t-mute")
    if channel != "email":
        assert ended(carrier, channel).status in {"delivered", "no-answer"}
    carrier.ask("DELETE", "/_sandbox/faults")
    send(carrier, receiver, "t-heard")
    receiver.wait(lambda: told(receiver, "t-heard"))
    assert told(receiver, "t-mute") == []


@EACH
def test_a_callback_that_comes_twice(carrier: Carrier, receiver: Receiver, send: Send, channel: str) -> None:
    faults(carrier, duplicate_callback_rate=1.0, channel=channel)
    send(carrier, receiver, "t-twice")
    ways = {"sms": ["sent", "delivered"], "voice": ["no-answer"], "email": ["processed", "delivered"]}
    receiver.wait(lambda: sorted(told(receiver, "t-twice")) == sorted(ways[channel] * 2))
    ids = [event["sg_event_id"] for got in receiver.all("/events") for event in got.json]
    assert len(set(ids)) == len(ids) / 2
    bodies = [got.form for got in receiver.all("/call")]
    assert all(body == bodies[0] for body in bodies)


def test_a_later_status_may_be_told_first(carrier: Carrier, receiver: Receiver) -> None:
    faults(carrier, callback_delay_ms=[0.0, 600_000.0], seed=4642)  # of this seed: delivered in 0.3 s, sent in 7 min
    text(carrier, receiver, "t-odd")
    receiver.wait(lambda: told(receiver, "t-odd"))
    assert told(receiver, "t-odd") == ["delivered"]
    assert ended(carrier, "sms").status == "delivered"


@EACH
def test_every_callback_can_be_late(carrier: Carrier, receiver: Receiver, send: Send, channel: str) -> None:
    faults(carrier, callback_delay_ms=[float(HOUR), float(HOUR)], channel=channel)
    send(carrier, receiver, "t-late")
    if channel != "email":
        ended(carrier, channel)
    carrier.ask("DELETE", "/_sandbox/faults")
    send(carrier, receiver, "t-now")
    receiver.wait(lambda: told(receiver, "t-now"))
    assert told(receiver, "t-late") == []
