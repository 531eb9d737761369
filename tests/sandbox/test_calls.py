"""The real Twilio SDK places calls at the carrier."""

from pathlib import Path

import pytest
from twilio.base.exceptions import TwilioRestException

from tests.sandbox.world import FROM, Carrier, Got, Receiver, running, staffed

TO = "+12125550110"
EVENTS = ["initiated", "ringing", "answered", "completed"]


def dial(carrier: Carrier, receiver: Receiver, to: str = TO) -> str:
    call = carrier.twilio().calls.create(
        to=to,
        from_=FROM,
        url=f"{receiver.base}/twiml?touch=t-9",
        status_callback=f"{receiver.base}/call?touch=t-9",
        status_callback_event=EVENTS,
        machine_detection="Enable",
    )
    assert call.status == "queued"
    return str(call.sid)


def silent(carrier: Carrier) -> None:
    """Somebody who lets the phone ring."""
    assert carrier.ask("POST", "/_sandbox/personas", {"to": TO, "persona": "silent"})[0] == 200


def ended(receiver: Receiver) -> Got:
    ends = {"completed", "busy", "no-answer", "failed"}
    receiver.wait(lambda: any(status in ends for status in receiver.statuses("/call", "CallStatus")))
    return next(got for got in receiver.all("/call") if got.form["CallStatus"] in ends)


def test_nobody_picks_up(carrier: Carrier, receiver: Receiver) -> None:
    silent(carrier)
    sid = dial(carrier, receiver)
    end = ended(receiver)
    assert end.form["CallStatus"] == "no-answer"
    assert end.form["CallDuration"] == "0"
    numbers = {got.form["CallStatus"]: got.form["SequenceNumber"] for got in receiver.wait_for("/call", 3)}
    assert numbers == {"initiated": "0", "ringing": "1", "no-answer": "2"}
    assert all(got.signed_by_twilio() for got in receiver.all("/call"))
    assert receiver.all("/twiml") == []
    (row,) = carrier.outbox(channel="voice")
    assert (row["id"], row["touch_id"]) == (sid, "t-9")
    assert carrier.twilio().calls(sid).fetch().status == "no-answer"
    assert [call.sid for call in carrier.twilio().calls.list(to=TO)] == [sid]


@pytest.mark.parametrize(
    ("to", "status"),
    [("+15005552001", "busy"), ("+15005552002", "no-answer"), ("+15005552003", "failed")],
)
def test_numbers_with_a_fate(carrier: Carrier, receiver: Receiver, to: str, status: str) -> None:
    dial(carrier, receiver, to)
    assert ended(receiver).form["CallStatus"] == status


@pytest.mark.parametrize(("persona", "answered_by"), [("answers", "human"), ("voicemail", "machine_start")])
def test_twiml_is_obeyed(tmp_path: Path, receiver: Receiver, persona: str, answered_by: str) -> None:
    receiver.answers["POST /twiml"] = lambda got: (
        200,
        '<Response><Say>Hello, this is a test</Say><Gather numDigits="1" action="/keys?k=1"><Say>Press one</Say>'
        '</Gather><Pause length="5"/><Hangup/></Response>',
    )
    receiver.answers["POST /keys"] = lambda got: (200, "<Response><Say>Thank you</Say></Response>")
    with running(staffed(tmp_path, receiver)) as carrier:
        assert carrier.ask("POST", "/_sandbox/personas", {"to": TO, "persona": persona})[0] == 200
        sid = dial(carrier, receiver)
        end = ended(receiver)
        assert end.form["CallStatus"] == "completed"
        assert end.form["AnsweredBy"] == answered_by
        assert 0 < int(end.form["CallDuration"]) <= 60
        (asked,) = receiver.all("/twiml")
        assert asked.signed_by_twilio()
        assert (asked.form["CallSid"], asked.form["CallStatus"]) == (sid, "in-progress")
        assert (asked.form["AnsweredBy"], asked.form["Direction"]) == (answered_by, "outbound-api")
        keys = receiver.all("/keys")
        if persona == "answers":
            assert [got.form["Digits"] for got in keys] == ["1"]
            assert keys[0].signed_by_twilio()
        else:
            assert keys == []
        receiver.wait_for("/call", 4)
        assert set(receiver.statuses("/call", "CallStatus")) == {"initiated", "ringing", "in-progress", "completed"}
        assert carrier.twilio().calls(sid).fetch().answered_by == answered_by


def test_a_coordinators_line_is_bridged_to_the_lead(tmp_path: Path, receiver: Receiver) -> None:
    receiver.answers["POST /twiml"] = lambda got: (200, '<Response><Gather numDigits="1" action="/keys"/></Response>')
    receiver.answers["POST /keys"] = lambda got: (
        200,
        '<Response><Dial action="/dialled"><Number>+12125550111</Number></Dial></Response>',
    )
    with running(staffed(tmp_path, receiver)) as carrier:
        for to, persona in ((TO, "coordinator"), ("+12125550111", "answers")):
            assert carrier.ask("POST", "/_sandbox/personas", {"to": to, "persona": persona})[0] == 200
        dial(carrier, receiver)
        (dialled,) = receiver.wait_for("/dialled")
        assert dialled.form["DialCallStatus"] == "completed"
        assert ended(receiver).form["CallStatus"] == "completed"


@pytest.mark.parametrize(("persona", "answered_by"), [("answers", "human"), ("voicemail", "machine_start")])
def test_who_is_called_outright_sits_at_a_desk_and_who_picks_up_there_is_told(
    tmp_path: Path, receiver: Receiver, persona: str, answered_by: str
) -> None:
    receiver.answers["POST /twiml"] = lambda got: (200, '<Response><Gather numDigits="1" action="/keys"/></Response>')
    receiver.answers["POST /keys"] = lambda got: (
        200,
        '<Response><Dial><Number statusCallback="/child" machineDetection="Enable" amdStatusCallback="/heard">'
        "+12125550111</Number></Dial></Response>",
    )
    with running(staffed(tmp_path, receiver, "eager")) as carrier:
        carrier.ask("POST", "/_sandbox/personas", {"to": "+12125550111", "persona": persona})
        dial(carrier, receiver)
        (key,) = receiver.wait_for("/keys")
        assert key.form["Digits"] == "1"
        (heard,) = receiver.wait_for("/heard")
        assert heard.signed_by_twilio()
        (child,) = receiver.wait_for("/child")
        assert (heard.form["AnsweredBy"], heard.form["CallSid"]) == (answered_by, child.form["CallSid"])
        assert (child.form["CallStatus"], child.form["AnsweredBy"]) == ("completed", answered_by)
        assert child.form["ParentCallSid"] == key.form["CallSid"]
        shown = {item["to"]: item["persona"] for item in carrier.ask("GET", "/_sandbox/personas")[1]["items"]}
    assert shown == {TO: "coordinator", "+12125550111": persona}


@pytest.mark.parametrize(("fragment", "requests"), [("", 1), ("#rc=2&rp=all", 3)])
def test_twiml_is_asked_for_again_as_its_address_says(
    carrier: Carrier, receiver: Receiver, fragment: str, requests: int
) -> None:
    receiver.answers["POST /twiml"] = lambda got: (503, "")
    call = carrier.twilio().calls.create(
        to=TO, from_=FROM, url=f"{receiver.base}/twiml{fragment}", status_callback=f"{receiver.base}/call"
    )
    assert ended(receiver).form["CallSid"] == call.sid
    tokens = {got.headers["i-twilio-idempotency-token"] for got in receiver.wait_for("/twiml", requests)}
    assert (len(receiver.all("/twiml")), len(tokens)) == (requests, 1)


def test_completed_is_the_only_event_unless_more_are_asked_for(carrier: Carrier, receiver: Receiver) -> None:
    silent(carrier)
    carrier.twilio().calls.create(
        to=TO, from_=FROM, twiml="<Response/>", status_callback=f"{receiver.base}/call", machine_detection="Enable"
    )
    ended(receiver)
    assert receiver.statuses("/call", "CallStatus") == ["no-answer"]


def test_refused_at_once(carrier: Carrier) -> None:
    for fields, code in (
        ({"to": "nobody", "from_": FROM, "twiml": "<Response/>"}, 21211),
        ({"to": TO, "from_": FROM}, 21205),
    ):
        with pytest.raises(TwilioRestException) as refused:
            carrier.twilio().calls.create(**fields)
        assert (refused.value.status, refused.value.code) == (400, code)
    with pytest.raises(TwilioRestException) as stranger:
        carrier.twilio("wrong").calls.create(to=TO, from_=FROM, twiml="<Response/>")
    assert stranger.value.code == 20003
