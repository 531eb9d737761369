"""What the real Twilio SDK reads back of messages and calls: all of them, both ways, newest first."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from twilio.base.exceptions import TwilioException

from tests.sandbox.world import FROM, Carrier, Receiver, config_for, running, staffed

TO = "+12125550131"
OTHER = "+12125550132"


def reply(carrier: Carrier, body: str, sender: str = TO) -> str:
    status, _ = carrier.ask("POST", "/_sandbox/inbound", {"channel": "sms", "from": sender, "to": FROM, "body": body})
    assert status == 200
    return str(carrier.ask("GET", "/_sandbox/inbound?limit=1000")[1]["items"][-1]["id"])


def test_texts_both_ways_are_in_one_list(carrier: Carrier) -> None:
    client = carrier.twilio()
    first = client.messages.create(to=TO, from_=FROM, body="Hello").sid
    answer = reply(carrier, "Yes please")
    last = client.messages.create(to=TO, from_=FROM, body="Good").sid
    reply(carrier, "Who is this?", OTHER)
    assert [one.sid for one in client.messages.list(to=TO)] == [last, first]
    assert [one.sid for one in client.messages.list(from_=TO)] == [answer]
    assert [one.direction for one in client.messages.list()] == ["inbound", "outbound-api", "inbound", "outbound-api"]
    seen = client.messages(answer).fetch()
    assert (seen.body, seen.status, seen.to, seen.direction) == ("Yes please", "received", FROM, "inbound")
    assert seen.date_sent == seen.date_created
    assert [row["id"] for row in carrier.outbox()] == [first, last]  # what came in is not what went out


def test_pages_are_whole_while_more_arrives(carrier: Carrier) -> None:
    client = carrier.twilio()
    sids = [client.messages.create(to=TO, from_=FROM, body=f"n{n}").sid for n in range(7)]
    page = client.messages.page(to=TO, page_size=3)
    seen = [one.sid for one in page]
    while (page := page.next_page()) is not None:
        client.messages.create(to=TO, from_=FROM, body="one more")
        seen += [one.sid for one in page]
    assert seen == sids[::-1]


def test_times_of_a_filter_include_what_they_name(carrier: Carrier) -> None:
    client = carrier.twilio()
    client.messages.create(to=TO, from_=FROM, body="Hello")
    sent = carrier.eventually(lambda: client.messages.list(to=TO)[0].date_sent)
    second = timedelta(seconds=1)

    def found(**filters: Any) -> int:
        return len(client.messages.list(to=TO, **filters))

    assert found(date_sent_before=sent) == found(date_sent_after=sent) == 1
    assert found(date_sent_before=sent - second) == found(date_sent_after=sent + second) == 0
    assert found(date_sent_after=sent - second, date_sent_before=sent + second) == 1
    assert found(date_sent_before=f"{sent:%Y-%m-%d}") == found(date_sent_after=f"{sent:%Y-%m-%d}") == 1


def bridge(carrier: Carrier, receiver: Receiver, **more: Any) -> str:
    """Calls a coordinator, whose key connects them to the lead."""
    receiver.answers["POST /twiml"] = lambda got: (200, '<Response><Gather numDigits="1" action="/keys"/></Response>')
    receiver.answers["POST /keys"] = lambda got: (
        200,
        f'<Response><Dial action="/dialled" callerId="{FROM}"><Number statusCallback="/leg?touch=t-leg" '
        f'statusCallbackEvent="initiated ringing answered completed">{TO}</Number></Dial></Response>',
    )
    call = carrier.twilio().calls.create(
        to=OTHER, from_="+12125550198", url=f"{receiver.base}/twiml", status_callback=f"{receiver.base}/call", **more
    )
    return str(call.sid)


def test_the_other_party_is_a_call_of_its_own(tmp_path: Path, receiver: Receiver) -> None:
    with running(staffed(tmp_path, receiver)) as carrier:
        for to, persona in ((OTHER, "coordinator"), (TO, "answers")):
            carrier.ask("POST", "/_sandbox/personas", {"to": to, "persona": persona})
        parent = bridge(carrier, receiver)
        (dialled,) = receiver.wait_for("/dialled")
        receiver.wait_for("/leg", 4)
        client = carrier.twilio()
        (leg,) = client.calls.list(parent_call_sid=parent)
        assert (leg.to, leg._from, leg.direction, leg.status) == (TO, FROM, "outbound-dial", "completed")
        assert leg.parent_call_sid == parent
        assert (dialled.form["DialCallSid"], dialled.form["DialCallStatus"]) == (leg.sid, "completed")
        assert dialled.form["DialCallDuration"] == leg.duration
        told = {got.form["CallStatus"]: got for got in receiver.all("/leg")}
        assert set(told) == {"initiated", "ringing", "in-progress", "completed"}
        for got in told.values():
            assert got.signed_by_twilio()
            assert (got.form["CallSid"], got.form["ParentCallSid"]) == (leg.sid, parent)
            assert got.form["Direction"] == "outbound-dial"
        assert [one.sid for one in client.calls.list(to=TO)] == [leg.sid]
        assert [one.sid for one in client.calls.list(parent_call_sid=leg.sid)] == []
        assert [row["id"] for row in carrier.outbox()] == [parent]  # a leg was no request


def test_a_leg_meets_its_parents_faults(tmp_path: Path, receiver: Receiver) -> None:
    with running(staffed(tmp_path, receiver)) as carrier:
        carrier.ask("POST", "/_sandbox/personas", {"to": OTHER, "persona": "coordinator"})
        carrier.ask("POST", "/_sandbox/faults", {"list_lag_ms": 3_600_000, "duplicate_callback_rate": 1})
        bridge(carrier, receiver)
        (dialled,) = receiver.wait_for("/dialled")
        assert dialled.form["DialCallStatus"] == "no-answer"
        receiver.wait(
            lambda: sorted(receiver.statuses("/leg", "CallStatus")) == sorted(["initiated", "ringing", "no-answer"] * 2)
        )
        assert carrier.twilio().calls.list() == []
        assert carrier.twilio().calls(dialled.form["DialCallSid"]).fetch().status == "no-answer"


def test_a_restart_ends_who_was_talking_and_their_other_party(tmp_path: Path, receiver: Receiver) -> None:
    config = staffed(tmp_path, receiver, pace="1")  # the talk would last two minutes
    with running(config) as carrier:
        for to, persona in ((OTHER, "coordinator"), (TO, "answers")):
            carrier.ask("POST", "/_sandbox/personas", {"to": to, "persona": persona})
        parent = bridge(carrier, receiver)
        receiver.wait(lambda: "in-progress" in receiver.statuses("/leg", "CallStatus"))
    with running(config) as carrier:
        receiver.wait(lambda: "completed" in receiver.statuses("/leg", "CallStatus"))
        receiver.wait_for("/call")
        assert {one.status for one in carrier.twilio().calls.list()} == {"completed"}
        assert len(carrier.twilio().calls.list(parent_call_sid=parent)) == 1


def test_calls_are_found_by_status_and_time(carrier: Carrier, receiver: Receiver) -> None:
    client = carrier.twilio()
    busy = client.calls.create(to="+15005552001", from_=FROM, twiml="<Response/>").sid
    client.calls.create(to="+15005552002", from_=FROM, twiml="<Response/>")
    carrier.eventually(lambda: len(client.calls.list(status="no-answer")) == 1)
    assert [one.sid for one in client.calls.list(status="busy")] == [busy]
    day_ago = datetime.now(UTC) - timedelta(days=1)
    assert len(client.calls.list(end_time_after=day_ago)) == 2
    assert client.calls.list(end_time_before=day_ago) == []
    carrier.ask("POST", "/_sandbox/inbound", {"channel": "voice", "from": TO, "to": FROM})
    (came,) = client.calls.list(from_=TO)
    assert (came.direction, came.to) == ("inbound", FROM)


def test_a_filter_that_is_no_time_is_refused(carrier: Carrier) -> None:
    with pytest.raises(TwilioException, match="20001"):
        carrier.twilio().messages.list(date_sent_after="soon")


def test_the_carriers_own_words_are_in_outbox_and_list(tmp_path: Path, receiver: Receiver) -> None:
    with running(config_for(tmp_path, receiver, carrier_opt_out=True)) as carrier:
        carrier.twilio().messages.create(to=TO, from_=FROM, body="Hello")
        carrier.ask("DELETE", "/_sandbox/outbox")
        reply(carrier, "STOP")
        assert [row["by"] for row in carrier.outbox()] == ["carrier"]
        (said, *_) = carrier.twilio().messages.list(to=TO)
        assert said.direction == "outbound-reply"
