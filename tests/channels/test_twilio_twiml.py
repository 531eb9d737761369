"""What our voice webhooks say to Twilio."""

import xml.etree.ElementTree as ET

from channels.twilio_twiml import CallFlow, said

TOUCH = "8f14e45f-ceea-567f-a0e6-0f1c2d3e4f50"
HOOKS = "https://tend.example.com/webhooks/twilio/voice"
FLOW = CallFlow("https://tend.example.com/", "+12125550100")


def address(path: str) -> str:
    return f"{HOOKS}/{path}?touch={TOUCH}#rc=5&rp=all"


def test_the_coordinator_is_asked_for_one_key() -> None:
    gather, silent, hangup = ET.fromstring(FLOW.whisper(TOUCH, "Smith & Example: press 1", "No key"))
    assert (gather.tag, gather.get("numDigits"), gather.get("action")) == ("Gather", "1", address("desk/key"))
    assert "".join(gather.itertext()) == "Smith & Example: press 1"
    assert (silent.text, hangup.tag) == ("No key", "Hangup")


def test_the_lead_is_dialled_with_the_touch_in_every_address() -> None:
    (dial,) = ET.fromstring(FLOW.dial(TOUCH, "+12125550123"))
    assert (dial.get("action"), dial.get("callerId"), dial.get("timeout")) == (
        address("dialled"),
        "+12125550100",
        "25",
    )
    assert (dial.get("timeLimit"), dial.get("record")) == ("7200", None)
    (number,) = dial
    assert number.text == "+12125550123"
    assert number.attrib == {
        "statusCallback": address("status"),
        "statusCallbackEvent": "initiated ringing answered completed",
        "machineDetection": "Enable",
        "amdStatusCallback": address("machine"),
    }


def test_without_a_number_of_our_own_the_lead_sees_the_one_that_calls() -> None:
    assert "callerId" not in CallFlow("https://tend.example.com", None).dial(TOUCH, "+12125550123")


def test_what_is_said_ends_the_call() -> None:
    assert [e.tag for e in ET.fromstring(said("Goodbye."))] == ["Say", "Hangup"]
    assert [e.tag for e in ET.fromstring(said())] == ["Hangup"]
