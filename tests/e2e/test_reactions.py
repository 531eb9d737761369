"""Every reaction on the running system, by its public door: what the API tells, the workflow knows, the carrier got."""

import os
import signal
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from bench.load import temporal_of
from demo.client import CallFailed, Json, client
from demo.launch import Launched
from domain.opt_out_words import OPT_OUT
from stack.carrier import ADMIN_PHONE
from tests.e2e.clinic import NUMBERS, PACE, Clinic, Lead
from tests.e2e.story import BEGINS

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("reactions")]


@pytest_asyncio.fixture(scope="module")
async def clinic(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Clinic]:
    path: Path = tmp_path_factory.mktemp("reactions") / "data"
    async with Launched(path, "--port", "0", "--clock", BEGINS.isoformat(), "--pace", str(PACE)) as launched:
        endpoints = await launched.start()
        async with client(endpoints, launched.admin_key) as tend:
            yield Clinic(launched, tend, await temporal_of(launched))


async def refused(call: Awaitable[Json], status: int) -> None:
    with pytest.raises(CallFailed, match=f"was answered {status}"):
        await call


async def test_a_reply_rests_the_cadence_until_a_person_answers(clinic: Clinic) -> None:
    lead = await clinic.lead()
    await lead.reply("How long does it take?")
    seen = await lead.until("resting", lambda s: s.stands("resting"))
    assert seen.of("reply")[0]["body"] == "How long does it take?"
    assert [t["state"] for t in seen.tasks("reply")] == ["open"]
    assert seen.lead["next_step"]["at"] is None, "its end counts from the answer"

    touch = (await lead.post("messages", {"channel": "sms", "body": "About an hour."}))["touch_id"]
    seen = await lead.until("the answer at the carrier", lambda s: any(i["touch_id"] == touch for i in s.arrived))
    assert [i["body"] for i in seen.arrived if i["touch_id"] == touch] == ["About an hour."]
    assert [t["state"] for t in seen.tasks("reply")] == ["done"]
    seen = await lead.until("its end known", lambda s: s.snapshot is not None and s.snapshot.next_at is not None)
    assert seen.stands("resting")
    left = datetime.fromisoformat(seen.lead["next_step"]["at"]) - clinic.now
    assert timedelta(days=1, hours=20) < left <= timedelta(days=2), "the sequence says two days"


@pytest.mark.parametrize("word", [*sorted(OPT_OUT), "stop all", "opt out", "Stop.", "  uNsubscribe!"])
async def test_every_word_of_a_stop_ends_it_with_one_confirmation(clinic: Clinic, word: str) -> None:
    lead = await clinic.lead()
    await lead.reply(word)
    await lead.reply(word)
    seen = await lead.until("finished and confirmed", lambda s: s.stands("finished") and "stop" in s.sent("sms"))
    assert seen.lead["exit_reason"] == "opted_out"
    assert len(seen.of("opt_out")) == 1
    assert seen.sent("sms") == ["confirm", "stop"]
    await refused(lead.post("messages", {"channel": "sms", "body": "But"}), 409)


async def test_a_booking_its_new_time_and_its_cancellation(clinic: Clinic) -> None:
    lead = await clinic.lead()
    await lead.book("booked", "a", timedelta(days=3))
    seen = await lead.until(
        "booked, and confirmed",
        lambda s: s.stands("active", "booked") and "confirm" in s.sent("email") and s.sent("sms").count("confirm") == 2,
    )
    assert seen.snapshot is not None
    assert (seen.snapshot.sequence, seen.lead["stage"]) == ("s11", "booked")
    moved = await lead.book("rescheduled", "a", timedelta(days=5))
    assert moved is not None
    await lead.until("confirmed anew", lambda s: s.sent("sms").count("confirm") == 3)
    coming = {u["step"]: datetime.fromisoformat(u["at"]) for u in await clinic.tend.upcoming(lead.id)}
    assert coming["remind_day"] == moved - timedelta(hours=24)
    assert coming["remind_hours"] == moved - timedelta(hours=2)
    await lead.book("cancelled", "a")
    seen = await lead.until("recovering", lambda s: s.stands("active", "recovery"))
    assert [a["event"] for a in seen.of("appointment")] == ["booked", "rescheduled", "cancelled"]


async def test_a_no_show_is_recovered_and_a_visit_converts(clinic: Clinic) -> None:
    lead = await clinic.lead()
    await lead.book("booked", "a", timedelta(days=2))
    await lead.until("booked", lambda s: s.stands("active", "booked"))
    await lead.book("no_show", "a")
    await lead.until("recovering", lambda s: s.stands("active", "recovery"))
    await lead.book("booked", "b", timedelta(days=2))
    await lead.until("booked anew", lambda s: s.stands("active", "booked"))
    await lead.book("arrived", "b")
    seen = await lead.until("shown", lambda s: s.lead["stage"] == "shown")
    await lead.book("completed", "b")
    seen = await lead.until("converted", lambda s: s.stands("finished"))
    assert (seen.lead["stage"], seen.lead["exit_reason"]) == ("converted", "converted")


@asynccontextmanager
async def failing(clinic: Clinic, lead: Lead, code: int) -> AsyncIterator[None]:
    """Texts to this lead are taken, and then not delivered."""
    faults = f"{clinic.tend.sandbox}/_sandbox/faults"
    await clinic.tend.post(faults, {"to": lead.phone, "channel": "sms", "refuse_rate": 1, "error_code": code})
    yield
    (await clinic.tend.http.delete(faults)).raise_for_status()


async def test_an_undelivered_text_gets_a_second_try(clinic: Clinic) -> None:
    lead = await clinic.lead()
    async with failing(clinic, lead, 30003):
        await lead.post("messages", {"channel": "sms", "body": "The handset is off."})
        seen = await lead.until(
            "tried again later", lambda s: len([t for t in s.of("touch") if t["step"] == "staff"]) == 2
        )
    first, second = [t for t in seen.of("touch") if t["step"] == "staff"]
    assert (first["status"], first["rule"], first["code"]) == ("undelivered", "carrier.callback", "30003")
    assert (second["part"], second["status"]) == (f"{first['part']}.retry1", "planned")


async def test_a_number_that_takes_no_texts_is_only_called(clinic: Clinic) -> None:
    lead = await clinic.lead()
    async with failing(clinic, lead, 30006):
        await lead.post("messages", {"channel": "sms", "body": "A landline."})
        seen = await lead.until("suppressed", lambda s: bool(s.of("decision")))
    stops = {a["kind"]: [s["channel"] for s in a["stops"]] for a in seen.lead["addresses"]}
    assert stops == {"phone": ["sms"], "email": []}
    assert seen.tasks("reply", "open"), "a person's words did not arrive: it is a person's turn"
    await refused(lead.post("messages", {"channel": "sms", "body": "Again"}), 409)


async def test_a_hard_bounce_closes_the_address(clinic: Clinic) -> None:
    lead = await clinic.lead(email=f"person{next(NUMBERS)}+bounce@example.com")
    await lead.post("messages", {"channel": "email", "body": "Here is what you asked for."})
    seen = await lead.until("suppressed", lambda s: bool(s.of("decision")))
    assert [t["status"] for t in seen.touches("staff")] == ["undelivered"]
    assert [[s["channel"] for s in a["stops"]] for a in seen.lead["addresses"] if a["kind"] == "email"] == [["email"]]
    await refused(lead.post("messages", {"channel": "email", "body": "Again"}), 409)


async def test_pause_with_an_end_resume_skip_and_enroll(clinic: Clinic) -> None:
    lead = await clinic.lead()
    before = {u["step"]: u["at"] for u in await clinic.tend.upcoming(lead.id)}
    paused = await lead.post("pause", {"reason": "on holiday"})
    assert (paused["state"], paused["paused"]) == ("paused", True)
    await lead.until("paused", lambda s: s.stands("paused"))
    await lead.post("resume", {"mode": "shift"})
    seen = await lead.until("going on", lambda s: s.stands("active"))
    coming = seen.lead["next_step"]  # the first call, unless the machine was slow
    assert coming["at"] > before[coming["step"]], "moved by the time it was paused"

    until_ = (clinic.now + timedelta(minutes=3)).isoformat()
    await lead.post("pause", {"reason": "a moment", "until": until_})
    seen = await lead.until("resumed by itself", lambda s: len(s.of("resumed")) == 2 and s.stands("active"))
    assert [p["reason"] for p in seen.of("paused")] == ["on holiday", "a moment"]

    left_out = (await lead.post("skip"))["skipped"]
    seen = await lead.until("another step next", lambda s: s.snapshot is not None and s.snapshot.step != left_out)
    assert seen.of("skipped") or seen.tasks("call", "cancelled")
    await lead.post("enroll", {"sequence": "recovery"})
    await lead.until("in another sequence", lambda s: s.stands("active", "recovery"))
    await refused(lead.post("enroll", {"sequence": "booked"}), 409)


@pytest.mark.parametrize(("command", "body", "reason"), [
    ("opt-out", {}, "opted_out"),
    ("disqualify", {"reason": "asks for what is not offered"}, "disqualified"),
])  # fmt: skip
async def test_what_a_person_ends_is_over(clinic: Clinic, command: str, body: Json, reason: str) -> None:
    lead = await clinic.lead()
    answer = await lead.post(command, body)
    assert (answer["state"], answer["stage"]) == ("finished", "lost")
    seen = await lead.until("finished", lambda s: s.stands("finished"))
    assert seen.lead["exit_reason"] == reason
    await refused(lead.post("pause", {"reason": "too late"}), 409)


async def test_an_answered_call_rests_the_cadence_until_its_outcome(clinic: Clinic) -> None:
    lead = await clinic.lead("answers")
    task = await lead.open_call()
    await lead.task(task, "claim")
    await lead.task(task, "dial")
    seen = await lead.until("resting", lambda s: s.stands("resting"))
    assert [c["disposition"] for c in seen.of("call")] == ["answered_by_person"]
    assert seen.lead["stage"] == "contacted"
    (dialled,) = [t["id"] for t in seen.touches("call1") if t.get("task_id")]
    placed = [item for item in await clinic.tend.outbox(to=ADMIN_PHONE) if item["touch_id"] == dialled]
    assert len(placed) == 1, "the carrier was asked to call who dialled, and our answer had the lead called"
    assert "voice" not in {item["channel"] for item in seen.arrived}
    await lead.task(task, "complete", {"outcome": "reached", "notes": "Comes next week."})
    seen = await lead.until("going on", lambda s: s.stands("active"))
    assert seen.tasks("call", "done")[0]["outcome"] == "reached"
    coming = [u["step"] for u in await clinic.tend.upcoming(lead.id)]
    assert coming[0] == "call2", "the mail is for those whom the first call did not reach"


async def test_voicemail_closes_the_task_and_the_cadence_goes_on(clinic: Clinic) -> None:
    lead = await clinic.lead("voicemail")
    task = await lead.open_call()
    await lead.task(task, "claim")
    await lead.task(task, "dial")
    seen = await lead.until("done", lambda s: bool(s.tasks("call", "done")) and s.stands("active"))
    assert seen.tasks("call")[0]["disposition"] == "voicemail"
    assert seen.lead["next_step"]["step"] == "bio"


async def test_an_unclaimed_call_is_missed_and_a_wrong_number_ends_texts_and_calls(clinic: Clinic) -> None:
    lead, wrong = await clinic.lead(), await clinic.lead()
    task = await wrong.open_call()
    await wrong.task(task, "claim")
    await wrong.task(task, "complete", {"disposition": "answered_by_person", "outcome": "wrong_number"})
    seen = await wrong.until("suppressed", lambda s: bool(s.of("decision")))
    assert {a["kind"]: a["wrong"] for a in seen.lead["addresses"]} == {"phone": True, "email": False}
    seen = await lead.until("missed", lambda s: bool(s.tasks("call", "missed")) and s.stands("active"))
    assert [(t["status"], t["rule"]) for t in seen.touches("call1")] == [("missed", "task.unclaimed")]


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


async def test_stops_and_intake_work_while_temporal_is_down(clinic: Clinic) -> None:
    lead, other, paused = [await clinic.lead() for _ in range(3)]
    with frozen(clinic.launched.endpoints["pids"]["temporal"]):
        assert (await lead.post("opt-out"))["workflow"] == "pending"
        assert (await paused.post("pause", {"reason": "wait"}))["workflow"] == "pending"
        await other.reply("STOP")
        asked = {"first_name": "Late", "email": "late@example.com", "source": {"channel": "web_form"}}
        late = await clinic.tend.take_in(asked)
        for one in (lead, other):
            told = await clinic.tend.lead(one.id)
            assert (told["state"], told["exit_reason"]) == ("finished", "opted_out")
        assert (await clinic.tend.lead(paused.id))["state"] == "paused"
        assert (await clinic.tend.lead(late["lead_id"]))["state"] == "starting"
    for one in (lead, other):
        await one.until("the workflow has ended too", lambda s: s.stands("finished"))
    await paused.until("the workflow rests too", lambda s: s.stands("paused"))
    begun = Lead(clinic, late["lead_id"], "+12125550199", "late@example.com")
    await begun.until("begun: without a phone the first answer goes by mail", lambda s: "confirm" in s.sent("email"))


async def test_nothing_is_at_the_carrier_twice(clinic: Clinic) -> None:
    arrived = [item["touch_id"] for item in await clinic.tend.outbox()]
    assert arrived
    assert len(arrived) == len(set(arrived))
