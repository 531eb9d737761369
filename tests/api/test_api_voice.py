"""Click-to-call as Twilio asks for it: the coordinator's key, the lead dialled by our answer, and how it ended."""

import xml.etree.ElementTree as ET
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from twilio.request_validator import RequestValidator

from domain import carry_out, desk
from domain import facts as f
from domain.next_action import Touch
from domain.touches import Channel
from tests.api.office import AUTH_TOKEN, PHONE, PUBLIC_URL, Office, is_problem

TASK = "8d1f2a34-0000-4000-8000-000000000002"
VOICE = "/webhooks/twilio/voice"


@dataclass
class Call:
    """A call that somebody has dialled, at whose desk the phone rings."""

    office: Office
    lead_id: str
    touch: str

    async def twilio(self, path: str, **form: str) -> Any:
        """The parsed TwiML, or None where nothing is to be said."""
        address = f"{VOICE}/{path}?touch={self.touch}"
        signed = RequestValidator(AUTH_TOKEN).compute_signature(PUBLIC_URL + address, form)
        headers = {"X-Twilio-Signature": signed, "Content-Type": "application/x-www-form-urlencoded"}
        answer = await self.office.http.post(address, content=urlencode(form), headers=headers)
        if answer.status_code == 204:
            return None
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"].startswith("text/xml")
        return ET.fromstring(answer.text)

    async def press(self, digits: str = "1", leg: str = "CA1") -> Any:
        return await self.twilio("desk/key", CallSid=leg, Digits=digits)

    async def told(self) -> dict[str, Any]:
        """The touch on the timeline."""
        items = (await self.office.get(f"/v1/leads/{self.lead_id}/timeline"))["items"]
        return next(i for i in items if i.get("id") == self.touch)

    async def task(self) -> tuple[str, str | None]:
        task = await self.office.get(f"/v1/tasks/{TASK}")
        return task["state"], task["disposition"]


async def ringing(office: Office) -> Call:
    lead_id = await office.lead(phone=PHONE, concern="a planted secret")
    async with office.services.leads.lead(lead_id) as unit:
        opened = f.TaskOpened(
            task_id=TASK, task_kind=f.TaskKind.CALL, due_at=unit.now, enrollment=1, step="call1", part="call"
        )
        unit.append(opened, "system")
    await office.post(f"/v1/tasks/{TASK}/claim")
    await office.post(f"/v1/tasks/{TASK}/dial", {}, 202)
    async with office.services.leads.lead(lead_id) as unit:
        (dialled,) = [t for t in unit.state.touches.values() if t.task_id == TASK]
        touch = Touch(dialled.enrollment, dialled.step, dialled.part, Channel.VOICE, dialled.touch_id)
        carry_out.ring(unit.journal, touch, unit.now, unit.now + desk.WAITS)
    return Call(office, lead_id, touch.touch_id)


def words(twiml: Any) -> str:
    return " ".join("".join(said.itertext()) for said in twiml.iter("Say"))


async def test_the_coordinator_hears_the_organization_and_nothing_of_the_lead(office: Office) -> None:
    call = await ringing(office)
    twiml = await call.twilio("desk", CallSid="CA1", CallStatus="in-progress")
    assert [e.tag for e in twiml] == ["Gather", "Say", "Hangup"]
    assert "Springfield Care" in words(twiml)
    assert "Ada" not in words(twiml) and "planted" not in words(twiml)


async def test_1_dials_the_lead_and_the_same_request_again_gets_the_very_same_answer(office: Office) -> None:
    call = await ringing(office)
    first = await call.press()
    ((number,),) = first
    assert number.text == PHONE
    assert f"touch={call.touch}" in number.get("statusCallback")
    assert ET.tostring(await call.press()) == ET.tostring(first)
    other = await call.press(leg="CA2")
    assert [e.tag for e in other] == ["Say", "Hangup"]
    assert "over" in words(other)
    assert [h["status"] for h in (await call.told())["history"]].count("claimed") == 1


@pytest.mark.parametrize("digits", ["", "2", "*"])
async def test_any_other_key_dials_nobody(office: Office, digits: str) -> None:
    call = await ringing(office)
    assert [e.tag for e in await call.press(digits)] == ["Say", "Hangup"]
    assert (await call.told())["status"] == "delayed"
    await call.twilio("desk/status", CallSid="CA1", CallStatus="completed")
    told = await call.told()
    assert (told["status"], told["rule"]) == ("failed", "desk.no_key")
    assert await call.task() == ("claimed", "failed")
    await office.post(f"/v1/tasks/{TASK}/dial", {}, 202)


async def test_what_the_gate_refuses_is_said_in_words(office: Office) -> None:
    call = await ringing(office)
    await office.post(f"/v1/leads/{call.lead_id}/opt-out", {"channels": ["voice"]})
    refused = await call.press()
    assert [e.tag for e in refused] == ["Say", "Hangup"]
    assert "asked not to be called" in words(refused)
    assert "Ada" not in words(refused) and "planted" not in words(refused)
    told = await call.told()
    assert (told["status"], told["rule"]) == ("skipped", "stop.opted_out")


async def test_the_leads_call_tells_how_it_ended(office: Office) -> None:
    call = await ringing(office)
    await call.press()
    await call.twilio("status", CallSid="CA2", ParentCallSid="CA1", CallStatus="ringing")
    assert (await call.told())["status"] == "accepted"
    await call.twilio("machine", CallSid="CA2", AnsweredBy="machine_start")
    after = await call.twilio("dialled", CallSid="CA1", DialCallSid="CA2", DialCallStatus="completed")
    assert [e.tag for e in after] == ["Hangup"]
    assert await call.task() == ("claimed", None), "who picked up is not told with the coordinator's call"
    await call.twilio("status", CallSid="CA2", ParentCallSid="CA1", CallStatus="completed")
    assert (await call.told())["status"] == "delivered"
    assert await call.task() == ("done", "voicemail")


async def test_a_busy_line_is_said_and_settled_without_the_leads_own_callback(office: Office) -> None:
    call = await ringing(office)
    await call.press()
    after = await call.twilio("dialled", CallSid="CA1", DialCallSid="CA2", DialCallStatus="busy")
    assert "busy" in words(after)
    assert (await call.told())["status"] == "undelivered"
    assert await call.task() == ("done", "busy")


async def test_a_key_pressed_too_late_finds_it_over(office: Office) -> None:
    call = await ringing(office)
    async with office.services.leads.lead(call.lead_id, office.now + desk.WAITS + timedelta(seconds=1)) as unit:
        unit.journal.decide(unit.now)
    assert "over" in words(await call.press())
    assert (await call.told())["rule"] == "desk.no_answer"


@pytest.mark.parametrize("path", ["desk", "desk/key", "desk/status", "status", "machine", "dialled"])
async def test_what_twilio_did_not_sign_is_refused_and_what_cannot_be_read_is_named(office: Office, path: str) -> None:
    address = f"{VOICE}/{path}?touch=x1"
    is_problem(await office.http.post(address, data={"CallSid": "CA1", "Digits": "1"}), 403)
    if path == "desk":
        return  # reads nothing of what was posted
    signed = RequestValidator(AUTH_TOKEN).compute_signature(PUBLIC_URL + address, {"CallSid": "%"})
    answer = await office.http.post(address, data={"CallSid": "%"}, headers={"X-Twilio-Signature": signed})
    is_problem(answer, 422, "CallSid")
