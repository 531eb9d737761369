from datetime import UTC, datetime
from io import BytesIO

import pytest
from starlette.datastructures import FormData, UploadFile
from twilio.request_validator import RequestValidator

from channels.inbound_twilio import (
    Form,
    TwilioWebhooks,
    parse_call_status,
    parse_desk_status,
    parse_dialled,
    parse_key,
    parse_machine,
    parse_message_status,
    parse_sms,
)
from domain.errors import InvalidInput
from domain.ports import DeskCallEnded, HeardMachine, Remedy
from domain.touches import Disposition, TouchStatus

TOKEN = "12345"
PUBLIC = "https://tend.example.com"
PATH = "/webhooks/twilio/sms?touch=t%201&x=é"
FORM = {"MessageSid": "SM1", "From": "+12125550123", "To": "+12125550100", "Body": "See you – ü 😀", "NumMedia": "0"}
TOUCH = "8f14e45f-ceea-567f-a0e6-0f1c2d3e4f50"


def sign(url: str, form: dict[str, str], token: str = TOKEN, algorithm: str | None = None) -> str:
    return str(RequestValidator(token).compute_signature(url, form, algorithm))


def test_a_signed_post_is_twilios_in_every_shape_of_form() -> None:
    webhooks = TwilioWebhooks(TOKEN, PUBLIC + "/")
    signature = sign(PUBLIC + PATH, FORM)
    shapes: list[Form] = [FORM, list(FORM.items()), FormData(list(FORM.items())), iter(FORM.items())]
    assert all(webhooks.verify(PATH, form, signature) for form in shapes)


def test_the_vector_of_twilios_own_documentation() -> None:
    form = {
        "CallSid": "CA1234567890ABCDE",
        "Digits": "1234",
        "From": "+14158675309",
        "To": "+18005551212",
        "Caller": "+14158675309",
    }
    webhooks = TwilioWebhooks("12345", "https://mycompany.com")
    assert webhooks.verify("/myapp.php?foo=1&bar=2", form, "RSOYDt4T1cUTdK1PDd93/VVr8B8=")


def test_the_port_may_be_written_out() -> None:
    assert TwilioWebhooks(TOKEN, PUBLIC).verify("/a", FORM, sign(PUBLIC + ":443/a", FORM))
    assert TwilioWebhooks(TOKEN, "http://127.0.0.1:8123").verify("/a", FORM, sign("http://127.0.0.1:8123/a", FORM))


def test_repeated_fields_count_each() -> None:
    webhooks = TwilioWebhooks(TOKEN, PUBLIC)
    signed = RequestValidator(TOKEN).compute_signature(PUBLIC + "/a" + "MediaUrl1MediaUrl2", {})
    assert webhooks.verify("/a", [("MediaUrl", "2"), ("MediaUrl", "1")], signed)
    assert not webhooks.verify("/a", [("MediaUrl", "2")], signed)


def test_what_was_tampered_with_is_not_twilios() -> None:
    webhooks = TwilioWebhooks(TOKEN, PUBLIC)
    good = sign(PUBLIC + PATH, FORM)
    assert not webhooks.verify(PATH, FORM | {"Body": "STOP"}, good)
    assert not webhooks.verify(PATH, FORM | {"Extra": "1"}, good)
    assert not webhooks.verify(PATH, {k: v for k, v in FORM.items() if k != "Body"}, good)
    assert not webhooks.verify(PATH + "&y=1", FORM, good)
    assert not webhooks.verify(PATH, FORM, good[:-2] + "A=")
    assert not webhooks.verify(PATH, FORM, sign(PUBLIC + PATH, FORM, "another"))
    assert not webhooks.verify(PATH, FORM, sign("http://tend.example.com" + PATH, FORM))
    assert not webhooks.verify(PATH, FORM, sign(PUBLIC + PATH, FORM, algorithm="HMAC_SHA256"))


@pytest.mark.parametrize("signature", [None, "", "é", "\ud800", "x" * 10_000])
@pytest.mark.parametrize("path", [PATH, "", "//[", "/\ud800"])
def test_a_bad_signature_never_raises(signature: str | None, path: str) -> None:
    assert not TwilioWebhooks(TOKEN, PUBLIC).verify(path, FORM | {"Body": "\ud800"}, signature)
    assert not TwilioWebhooks(TOKEN, PUBLIC).verify(path, {}, signature)


def test_a_file_is_not_twilios() -> None:
    form = [("MessageSid", UploadFile(BytesIO(b"x")))]
    assert not TwilioWebhooks(TOKEN, PUBLIC).verify("/a", form, "x")
    with pytest.raises(InvalidInput):
        parse_sms(form)


def test_without_a_token_everybody_could_sign() -> None:
    with pytest.raises(ValueError, match="auth token"):
        TwilioWebhooks("", PUBLIC)


def test_an_inbound_text() -> None:
    sms = parse_sms(FORM)
    assert (sms.event_id, sms.sender, sms.to, sms.body) == (
        "SM1:received",
        "+12125550123",
        "+12125550100",
        FORM["Body"],
    )
    assert "2125550123" not in repr(sms)
    assert not parse_sms({k: v for k, v in FORM.items() if k != "Body"}).body


@pytest.mark.parametrize(
    ("name", "value"), [("MessageSid", ""), ("MessageSid", "a b"), ("From", ""), ("From", "Example"), ("From", "89454")]
)
def test_a_malformed_text_names_the_field_and_not_its_value(name: str, value: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_sms(FORM | {name: value})
    assert caught.value.field == name
    assert not value or value not in str(caught.value)


STOP = {"MessageSid": "SM1", "From": "+12125550123", "Body": "STOP"}


@pytest.mark.parametrize("to", ["89454", "TENDCARE", "rcs:tend_agent", "", "+12125550100", "\x00", "x" * 10_000, None])
def test_whoever_it_was_written_to_a_stop_is_taken(to: str | None) -> None:
    assert parse_sms(STOP | ({"To": to} if to is not None else {})).body == "STOP"


@pytest.mark.parametrize("sender", ["+12125550123", " +12125550123 ", "rcs:+12125550123", "12125550123", "2125550123"])
def test_however_the_number_is_written_a_stop_is_taken(sender: str) -> None:
    assert parse_sms(STOP | {"From": sender}).sender == "+12125550123"


@pytest.mark.parametrize("name", ["SmsMessageSid", "SmsSid"])
def test_the_id_may_come_under_its_older_names(name: str) -> None:
    form = {k: v for k, v in STOP.items() if k != "MessageSid"} | {name: "SM2"}
    assert parse_sms(form).event_id == "SM2:received"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("", ""),
        ("S\x00TOP\x00", "STOP"),
        ("STOP\ud800", "STOP?"),
        ("\u200fSTOP\ufe0f 😀", "\u200fSTOP\ufe0f 😀"),
        ("STOP " * 100_000, "STOP " * 100_000),
    ],
)
def test_what_cannot_be_kept_of_a_text_is_left_out(given: str, kept: str) -> None:
    assert parse_sms(STOP | {"Body": given}).body == kept


@pytest.mark.parametrize(
    ("word", "is_stop"),
    [("STOP", True), ("stop", True), ("START", False), ("HELP", False), ("", False), (None, False)],
)
def test_the_carrier_says_what_is_a_stop_by_its_own_words(word: str | None, is_stop: bool) -> None:
    form = STOP | {"Body": "basta"} | ({"OptOutType": word} if word is not None else {})
    assert parse_sms(form).is_stop is is_stop


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("sent", TouchStatus.ACCEPTED),
        ("delivered", TouchStatus.DELIVERED),
        ("read", TouchStatus.DELIVERED),
        ("partially_delivered", TouchStatus.DELIVERED),
        ("undelivered", TouchStatus.UNDELIVERED),
        ("failed", TouchStatus.FAILED),
        ("canceled", TouchStatus.FAILED),
    ],
)
def test_message_statuses(word: str, status: TouchStatus) -> None:
    update = parse_message_status(TOUCH, {"MessageSid": "SM1", "MessageStatus": word, "ErrorCode": "30006"})
    assert update is not None
    assert (update.touch_id, update.provider_id) == (TOUCH, "SM1")
    assert update.status is status
    bad = status in {TouchStatus.UNDELIVERED, TouchStatus.FAILED}
    assert (update.code, update.remedy) == (("30006", Remedy.SUPPRESS) if bad else (None, None))


@pytest.mark.parametrize("word", ["accepted", "scheduled", "queued", "sending", "receiving", "something new"])
def test_statuses_on_the_way_are_left_out(word: str) -> None:
    assert parse_message_status(TOUCH, {"MessageSid": "SM1", "MessageStatus": word}) is None


def test_a_failure_without_a_code_concerns_this_message_only() -> None:
    update = parse_message_status(TOUCH, {"MessageSid": "SM1", "MessageStatus": "failed"})
    assert update is not None
    assert (update.code, update.remedy) == (None, Remedy.DROP)


@pytest.mark.parametrize(
    ("touch", "form", "field"),
    [
        (TOUCH, {"MessageStatus": "sent"}, "MessageSid"),
        (TOUCH, {"MessageSid": "SM1"}, "MessageStatus"),
        ("", {"MessageSid": "SM1", "MessageStatus": "sent"}, "touch"),
        ("a b", {"MessageSid": "SM1", "MessageStatus": "sent"}, "touch"),
    ],
)
def test_malformed_statuses(touch: str, form: dict[str, str], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_message_status(touch, form)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("word", "answered_by", "disposition", "status"),
    [
        ("completed", "human", Disposition.ANSWERED, TouchStatus.DELIVERED),
        ("completed", "unknown", Disposition.ANSWERED, TouchStatus.DELIVERED),
        ("completed", None, Disposition.ANSWERED, TouchStatus.DELIVERED),
        ("completed", "machine_start", Disposition.VOICEMAIL, TouchStatus.DELIVERED),
        ("completed", "machine_end_beep", Disposition.VOICEMAIL, TouchStatus.DELIVERED),
        ("completed", "fax", Disposition.VOICEMAIL, TouchStatus.DELIVERED),
        ("busy", None, Disposition.BUSY, TouchStatus.UNDELIVERED),
        ("no-answer", None, Disposition.NO_ANSWER, TouchStatus.UNDELIVERED),
        ("failed", None, Disposition.FAILED, TouchStatus.UNDELIVERED),
        ("canceled", None, Disposition.FAILED, TouchStatus.UNDELIVERED),
    ],
)
def test_how_calls_end(word: str, answered_by: str | None, disposition: Disposition, status: TouchStatus) -> None:
    form = {"CallSid": "CA1", "CallStatus": word, "Timestamp": "Mon, 02 Mar 2026 15:04:05 +0000"}
    update = parse_call_status(TOUCH, form | ({"AnsweredBy": answered_by} if answered_by else {}))
    assert update is not None
    assert (update.provider_id, update.touch_id) == ("CA1", TOUCH)
    assert (update.disposition, update.status) == (disposition, status)
    assert update.at == datetime(2026, 3, 2, 15, 4, 5, tzinfo=UTC)
    assert update.remedy is (Remedy.DROP if disposition is Disposition.FAILED else None)


@pytest.mark.parametrize("word", ["queued", "initiated", "ringing", "in-progress"])
def test_a_call_on_its_way_tells_that_it_was_taken(word: str) -> None:
    update = parse_call_status(TOUCH, {"CallSid": "CA1", "CallStatus": word})
    assert update is not None
    assert (update.status, update.disposition, update.provider_id) == (TouchStatus.ACCEPTED, None, "CA1")
    assert parse_call_status(TOUCH, {"CallSid": "CA1", "CallStatus": "paused"}) is None


@pytest.mark.parametrize(
    ("word", "status", "disposition"),
    [
        ("completed", TouchStatus.DELIVERED, None),
        ("answered", TouchStatus.DELIVERED, None),
        ("busy", TouchStatus.UNDELIVERED, Disposition.BUSY),
        ("no-answer", TouchStatus.UNDELIVERED, Disposition.NO_ANSWER),
        ("failed", TouchStatus.UNDELIVERED, Disposition.FAILED),
        ("canceled", TouchStatus.UNDELIVERED, Disposition.FAILED),
    ],
)
def test_the_coordinators_call_tells_how_the_leads_ended(
    word: str, status: TouchStatus, disposition: Disposition | None
) -> None:
    update = parse_dialled(TOUCH, {"CallSid": "CA1", "DialCallSid": "CA2", "DialCallStatus": word})
    assert update is not None
    assert update.provider_id == "CA2"
    assert (update.status, update.disposition) == (status, disposition)
    bare = parse_dialled(TOUCH, {"CallSid": "CA1", "DialCallStatus": word})
    assert bare is not None
    assert bare.provider_id == "CA1", "a call that never came about has no id of its own"


def test_who_picked_up_and_how_the_coordinators_call_ended() -> None:
    assert parse_machine(TOUCH, {"CallSid": "CA2", "AnsweredBy": "machine_start"}) == HeardMachine(TOUCH, "CA2")
    assert parse_machine(TOUCH, {"CallSid": "CA2", "AnsweredBy": "human"}) is None
    assert parse_machine(TOUCH, {"CallSid": "CA2", "AnsweredBy": "unknown"}) is None
    told = parse_desk_status(TOUCH, {"CallSid": "CA1", "CallStatus": "no-answer"})
    assert told == DeskCallEnded(TOUCH, "CA1", Disposition.NO_ANSWER)
    assert parse_desk_status(TOUCH, {"CallSid": "CA1", "CallStatus": "ringing"}) is None
    assert parse_key({"CallSid": "CA1", "Digits": "1"}) == ("CA1", "1")
    assert parse_key({"CallSid": "CA1"}) == ("CA1", "")


@pytest.mark.parametrize("text", ["", "yesterday", "Mon, 99 Xxx"])
def test_an_unreadable_time_does_not_lose_the_end(text: str) -> None:
    update = parse_call_status(TOUCH, {"CallSid": "CA1", "CallStatus": "busy", "Timestamp": text})
    assert update is not None
    assert update.at is None
