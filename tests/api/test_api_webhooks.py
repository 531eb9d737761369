"""Callbacks of providers, signed as the providers sign them; and what is not signed so."""

import base64
import json
import time
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import create_async_engine
from twilio.request_validator import RequestValidator

from domain import facts as f
from domain.lead_state import STOP
from domain.touches import Channel, TouchStatus, touch_id
from store import tables
from tests.api.office import AUTH_TOKEN, EMAIL, PHONE, PUBLIC_URL, SENDGRID_KEY, Office, is_problem

OURS = "+12125550100"
TOUCH = "8d1f2a34-0000-4000-8000-000000000009"
SMS = {"MessageSid": "SM01", "AccountSid": "AC01", "From": PHONE, "To": OURS, "Body": "Is Friday fine?"}


async def _twilio(office: Office, path: str, form: dict[str, str], signature: str | None = None) -> httpx.Response:
    signed = signature or RequestValidator(AUTH_TOKEN).compute_signature(PUBLIC_URL + path, form)
    headers = {"X-Twilio-Signature": signed, "Content-Type": "application/x-www-form-urlencoded"}
    return await office.http.post(path, content=urlencode(form), headers=headers)


async def _sendgrid(office: Office, events: Any, key: Any = SENDGRID_KEY, age: float = 0) -> httpx.Response:
    raw, timestamp = json.dumps(events).encode(), str(int(time.time() - age))
    signature = key.sign(timestamp.encode() + raw, ec.ECDSA(hashes.SHA256()))
    headers = {
        "X-Twilio-Email-Event-Webhook-Signature": base64.b64encode(signature).decode(),
        "X-Twilio-Email-Event-Webhook-Timestamp": timestamp,
    }
    return await office.http.post("/webhooks/sendgrid/events", content=raw, headers=headers)


async def _sent(office: Office, lead_id: str, channel: Channel, task_id: str | None = None) -> str:
    """A touch that the provider has taken."""
    identity = touch_id(lead_id, 1, "confirm", channel.value)
    async with office.services.leads.lead(lead_id) as unit:
        for status in (TouchStatus.CLAIMED, TouchStatus.ACCEPTED):
            unit.append(
                f.TouchChanged(
                    touch_id=identity,
                    enrollment=1,
                    step="confirm",
                    part=channel.value,
                    channel=channel,
                    status=status,
                    task_id=task_id,
                ),
                "system",
            )
    return identity


async def _count(office: Office, table: Any) -> int:
    async with office.services.store.engine.connect() as conn:
        return int(await conn.scalar(select(func.count()).select_from(table)) or 0)


async def _metric(office: Office, provider: str, result: str) -> float:
    return (
        office.services.meters.registry.get_sample_value(
            "tend_webhook_events_total", {"provider": provider, "result": result}
        )
        or 0.0
    )


async def _touch(office: Office, lead_id: str, identity: str) -> dict[str, Any]:
    items = (await office.get(f"/v1/leads/{lead_id}/timeline"))["items"]
    return next(i for i in items if i.get("id") == identity)


async def test_a_reply_rests_the_cadence_and_opens_a_task(office: Office) -> None:
    lead_id = await office.lead(phone=PHONE)
    for _ in range(2):
        answer = await _twilio(office, "/webhooks/twilio/sms", SMS)
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/xml")
        assert answer.text.endswith("<Response/>")
    lead = await office.get(f"/v1/leads/{lead_id}")
    assert lead["state"] == "resting"
    assert [t["kind"] for t in lead["open_tasks"]] == ["reply"]
    assert await _metric(office, "twilio", "taken") == 1
    assert await _metric(office, "twilio", "repeated_or_unknown") == 1


async def test_a_stop_word_opts_out_at_once(office: Office) -> None:
    lead_id = await office.lead(phone=PHONE)
    await _twilio(office, "/webhooks/twilio/sms", SMS | {"Body": "STOP"})
    lead = await office.get(f"/v1/leads/{lead_id}")
    assert (lead["state"], lead["exit_reason"]) == ("finished", "opted_out")


@pytest.mark.parametrize(
    "form",
    [
        {"To": "89454"},
        {"To": ""},
        {"From": "rcs:" + PHONE},
        {"Body": "S\x00TOP"},
        {"Body": "STOP " + " " * 100_000},
        {"Body": "\ufeffＳＴＯＰ\u200b"},
        {"Body": "basta", "OptOutType": "STOP"},
        {"Body": "", "OptOutType": "STOP"},
    ],
)
async def test_no_stop_is_lost_over_its_form(office: Office, form: dict[str, str]) -> None:
    lead_id = await office.lead(phone=PHONE)
    assert (await _twilio(office, "/webhooks/twilio/sms", SMS | {"Body": "STOP"} | form)).status_code == 200
    lead = await office.get(f"/v1/leads/{lead_id}")
    assert (lead["state"], lead["exit_reason"], lead["open_tasks"]) == ("finished", "opted_out", [])


@pytest.mark.parametrize(("form", "confirms"), [({"Body": "STOP"}, 1), ({"Body": "basta", "OptOutType": "STOP"}, 0)])
async def test_a_stop_is_confirmed_once_by_us_or_by_the_carrier(
    office: Office, form: dict[str, str], confirms: int
) -> None:
    lead_id = await office.lead(phone=PHONE)
    await _twilio(office, "/webhooks/twilio/sms", SMS | form)
    async with office.services.store.engine.connect() as conn:
        state = await office.services.leads.read(conn, lead_id)
    assert len([t for t in state.touches.values() if t.step == STOP]) == confirms


@pytest.mark.parametrize("kind", ["HELP", "START"])
async def test_the_carriers_help_and_start_are_texts_that_a_person_answers(office: Office, kind: str) -> None:
    lead_id = await office.lead(phone=PHONE)
    await _twilio(office, "/webhooks/twilio/sms", SMS | {"Body": kind, "OptOutType": kind})
    lead = await office.get(f"/v1/leads/{lead_id}")
    assert lead["state"] == "resting"
    assert [t["kind"] for t in lead["open_tasks"]] == ["reply"]


async def test_the_address_is_checked_as_it_was_written_by_twilio(office: Office) -> None:
    await office.lead(phone=PHONE)
    assert (await _twilio(office, "/webhooks/twilio/%73ms?a=%20b", SMS)).status_code == 200
    undone = RequestValidator(AUTH_TOKEN).compute_signature(PUBLIC_URL + "/webhooks/twilio/sms", SMS)
    is_problem(await _twilio(office, "/webhooks/twilio/%73ms", SMS, undone), 403)


async def test_a_callback_while_the_database_is_away_is_asked_for_again(office: Office) -> None:
    """Twilio (by its retry policy) and SendGrid try a 5xx again, and nothing else."""
    store, real = office.services.store, office.services.store.engine
    object.__setattr__(store, "engine", create_async_engine("postgresql+psycopg://nobody@127.0.0.1:1/none"))
    try:
        status = {"MessageSid": "SM09", "MessageStatus": "delivered"}
        for answer in (
            await _twilio(office, "/webhooks/twilio/sms", SMS | {"Body": "STOP"}),
            await _twilio(office, f"/webhooks/twilio/status?touch={TOUCH}", status),
            await _twilio(
                office, f"/webhooks/twilio/voice/status?touch={TOUCH}", {"CallSid": "CA09", "CallStatus": "busy"}
            ),
            await _sendgrid(office, [{"event": "delivered", "sg_event_id": "ev9", "touch_id": TOUCH}]),
            await _sendgrid(office, [{"event": "spamreport", "sg_event_id": "ev10", "email": EMAIL}]),
        ):
            is_problem(answer, 503)
            assert answer.headers["retry-after"]
    finally:
        object.__setattr__(store, "engine", real)


@pytest.mark.parametrize(
    "path",
    [
        "/webhooks/twilio/sms",
        "/webhooks/twilio/status?touch=x1",
        "/webhooks/twilio/voice/status?touch=x1",
        "/webhooks/twilio/voice/desk/key?touch=x1",
    ],
)
async def test_what_twilio_did_not_sign_is_refused_and_not_stored(office: Office, path: str) -> None:
    await office.lead(phone=PHONE)
    right = RequestValidator(AUTH_TOKEN).compute_signature(PUBLIC_URL + path, SMS)
    is_problem(await office.http.post(path, data=SMS), 403)
    is_problem(await _twilio(office, path, SMS, "x"), 403)
    is_problem(await _twilio(office, path, SMS | {"Body": "STOP"}, right), 403)
    other = path + ("&" if "?" in path else "?") + "more=1"
    is_problem(await _twilio(office, other, SMS, right), 403)
    wrong = RequestValidator("another token").compute_signature(PUBLIC_URL + path, SMS)
    is_problem(await _twilio(office, path, SMS, wrong), 403)
    headers = {"Content-Type": "application/json"}
    is_problem(await office.http.post(path, content=b"{}", headers=headers), 403)
    assert await _count(office, tables.inbound_events) == 0
    assert await _count(office, tables.messages) == 0
    assert await _metric(office, "twilio", "bad_signature") == 6


async def test_a_delivery_is_recorded_once(office: Office) -> None:
    lead_id = await office.lead(phone=PHONE)
    identity = await _sent(office, lead_id, Channel.SMS)
    path = f"/webhooks/twilio/status?touch={identity}"
    form = {"MessageSid": "SM02", "MessageStatus": "delivered"}
    for _ in range(2):
        assert (await _twilio(office, path, form)).status_code == 204
    assert (await _twilio(office, path, form | {"MessageStatus": "sending"})).status_code == 204
    touch = await _touch(office, lead_id, identity)
    assert [h["status"] for h in touch["history"]] == ["claimed", "accepted", "delivered"]


async def test_a_callback_for_nobody_is_taken_with_a_nod(office: Office) -> None:
    form = {"MessageSid": "SM03", "MessageStatus": "delivered"}
    for touch in ("8d1f2a34-0000-4000-8000-000000000001", "no-id-of-ours"):
        answer = await _twilio(office, f"/webhooks/twilio/status?touch={touch}", form | {"MessageSid": f"SM{touch}"})
        assert answer.status_code == 204
    is_problem(await _twilio(office, "/webhooks/twilio/status", form), 422, "touch")
    is_problem(await _twilio(office, "/webhooks/twilio/sms", {"MessageSid": "SM04"}), 422, "From")
    assert await _metric(office, "twilio", "unreadable") == 2
    assert await _metric(office, "twilio", "unknown_touch") == 2
    assert await _count(office, tables.inbound_events) == 0


async def test_of_a_strangers_text_nothing_is_kept_and_of_its_stop_the_stop(office: Office) -> None:
    assert (await _twilio(office, "/webhooks/twilio/sms", SMS)).status_code == 200
    for table in (tables.addresses, tables.inbound_events, tables.messages):
        assert await _count(office, table) == 0
    assert await _metric(office, "twilio", "repeated_or_unknown") == 1
    assert (await _twilio(office, "/webhooks/twilio/sms", SMS | {"Body": "STOP"})).status_code == 200
    assert await _count(office, tables.stops) == 2


async def test_how_a_call_ended_reaches_its_task(office: Office) -> None:
    lead_id = await office.lead(phone=PHONE)
    async with office.services.leads.lead(lead_id) as unit:
        opened = f.TaskOpened(
            task_id="8d1f2a34-0000-4000-8000-000000000002", task_kind=f.TaskKind.CALL, due_at=unit.now, enrollment=1,
            step="call1", part="call", script="first_call",
        )  # fmt: skip
        unit.append(opened, "system")
    await office.post(f"/v1/tasks/{opened.task_id}/claim")
    identity = await _sent(office, lead_id, Channel.VOICE, opened.task_id)
    form = {"CallSid": "CA01", "CallStatus": "completed", "AnsweredBy": "human"}
    assert (await _twilio(office, f"/webhooks/twilio/voice/status?touch={identity}", form)).status_code == 204
    task = await office.get(f"/v1/tasks/{opened.task_id}")
    assert (task["state"], task["disposition"]) == ("claimed", "answered_by_person")


async def test_a_hard_bounce_closes_the_address(office: Office) -> None:
    lead_id = await office.lead(phone=PHONE, email="gone@example.com")
    identity = await _sent(office, lead_id, Channel.EMAIL)
    event = {
        "event": "bounce", "type": "bounce", "sg_event_id": "ev1", "sg_message_id": "m1.x", "touch_id": identity,
        "timestamp": 1, "status": "5.1.1", "reason": "550 no such mailbox",
    }  # fmt: skip
    other = {"event": "open", "sg_event_id": "ev2", "timestamp": 2}
    for _ in range(2):
        assert (await _sendgrid(office, [event, other])).status_code == 204
    lead = await office.get(f"/v1/leads/{lead_id}")
    stops = {a["kind"]: [(s["channel"], s["cause"]) for s in a["stops"]] for a in lead["addresses"]}
    assert stops["email"] == [("email", "suppressed")]
    timeline = (await office.get(f"/v1/leads/{lead_id}/timeline"))["items"]
    assert [i["cause"] for i in timeline if i.get("decision") == "suppressed"] == ["suppressed"]


async def test_a_hard_bounce_after_the_mails_last_word_still_closes_the_address(office: Office) -> None:
    lead_id = await office.lead(phone=PHONE, email="gone@example.com")
    identity = await _sent(office, lead_id, Channel.EMAIL)
    block = {"event": "bounce", "type": "blocked", "sg_event_id": "ev1", "sg_message_id": "m1.x", "touch_id": identity}
    bounce = block | {"type": "bounce", "sg_event_id": "ev2", "status": "5.1.1"}
    open_ = []
    for event in (block, bounce, bounce | {"sg_event_id": "ev3"}):
        assert (await _sendgrid(office, [event | {"timestamp": 1}])).status_code == 204
        lead = await office.get(f"/v1/leads/{lead_id}")
        open_.append(not any(a["stops"] for a in lead["addresses"] if a["kind"] == "email"))
    assert open_ == [True, False, False]
    timeline = (await office.get(f"/v1/leads/{lead_id}/timeline"))["items"]
    assert [i["cause"] for i in timeline if i.get("decision") == "suppressed"] == ["suppressed"]


@pytest.mark.parametrize("word", ["spamreport", "unsubscribe", "group_unsubscribe"])
async def test_who_reports_spam_or_unsubscribes_gets_no_more_mail(office: Office, word: str) -> None:
    first, second = (
        await office.lead(phone=PHONE, email=EMAIL),
        await office.lead(first_name="Bo", phone=None, email=EMAIL),
    )
    assert first != second
    bad = {"event": "delivered", "touch_id": {"a": TOUCH}}
    told = {"event": word, "sg_event_id": "ev4", "email": "Ada@Example.com"}
    for _ in range(2):
        assert (await _sendgrid(office, [bad, told])).status_code == 204
    for lead_id in (first, second):
        lead = await office.get(f"/v1/leads/{lead_id}")
        stops = {a["kind"]: [(s["channel"], s["cause"]) for s in a["stops"]] for a in lead["addresses"]}
        assert stops["email"] == [("email", "opt_out")]
        assert not stops.get("phone")
    assert await _metric(office, "sendgrid", "taken") == 1
    assert await _metric(office, "sendgrid", "repeated_or_unknown") == 1
    assert await _metric(office, "sendgrid", "unreadable") == 2


async def test_an_address_that_wants_no_mail_keeps_its_stop_for_a_lead_to_come(office: Office) -> None:
    await _sendgrid(office, [{"event": "spamreport", "sg_event_id": "ev5", "email": EMAIL}])
    lead = await office.get(f"/v1/leads/{await office.lead(email=EMAIL)}")
    assert [s["cause"] for a in lead["addresses"] if a["kind"] == "email" for s in a["stops"]] == ["opt_out"]


async def test_what_sendgrid_did_not_sign_is_refused(office: Office) -> None:
    event = [{"event": "delivered", "sg_event_id": "ev3", "touch_id": "x1"}]
    is_problem(await _sendgrid(office, event, ec.generate_private_key(ec.SECP256R1())), 403)
    is_problem(await office.http.post("/webhooks/sendgrid/events", json=event), 403)
    is_problem(await _sendgrid(office, {"not": "events"}), 422)
    assert await _count(office, tables.inbound_events) == 0


@pytest.mark.parametrize(("age", "status"), [(-200, 204), (24 * 3600, 204), (-600, 403), (26 * 3600, 403)])
async def test_what_was_signed_long_ago_is_refused_and_counted(office: Office, age: float, status: int) -> None:
    answer = await _sendgrid(office, [{"event": "spamreport", "sg_event_id": "ev6", "email": EMAIL}], age=age)
    assert answer.status_code == status
    assert await _metric(office, "sendgrid", "too_old") == (status == 403)
    assert await _count(office, tables.inbound_events) == (status == 204)
    if status == 403:
        assert "25 hours" in is_problem(answer, 403)["detail"]


async def test_what_is_kept_of_a_message_is_sealed(office: Office) -> None:
    await office.lead(phone=PHONE)
    await _twilio(office, "/webhooks/twilio/sms", SMS | {"Body": "my planted secret"})
    async with office.services.store.engine.connect() as conn:
        (body,) = (await conn.execute(select(tables.messages.c.body))).scalars().all()
    assert b"planted" not in bytes(body)
