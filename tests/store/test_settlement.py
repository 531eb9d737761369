"""What is told of a touch late: found in the provider's list it counts as its callback does, and the workflow hears."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import select

from domain import facts as f
from domain.lead_state import LeadState, State
from domain.ledger import Claim, TouchRef
from domain.next_action import Wait
from domain.ports import Accepted, ChannelError, OutcomeUnknown, Rejected, Remedy, TouchUpdate, Unseen
from domain.touches import Channel, TouchStatus
from store import tables
from store.sequences import publish
from tests.store.test_publishing import ONE
from tests.store.test_rules import Clinic, clinic

__all__ = ["clinic"]  # the fixture

S = TouchStatus
CUT = OutcomeUnknown("cut")


async def first_text(clinic: Clinic, phone: str = "+12125550101") -> tuple[TouchRef, Claim]:
    """Claimed, and its request has begun."""
    lead = await clinic.inquire(phone=phone, email=f"{phone[-4:]}@example.com")
    ref, now = await clinic.next_touch(lead), datetime.now(UTC)
    claim = await clinic.ledger.claim(ref, now)
    assert isinstance(claim, Claim)
    await clinic.ledger.begin(ref, claim, now)
    return ref, claim


async def settle(clinic: Clinic, ref: TouchRef, result: Accepted | ChannelError) -> None:
    await clinic.ledger.settle(ref, result, datetime.now(UTC))


async def signals(clinic: Clinic, lead_id: str) -> list[str]:
    """Those that wait in the outbox for its workflow."""
    async with clinic.store.engine.connect() as conn:
        box = tables.outbox.c
        rows = await conn.execute(select(box.signal).where(box.lead_id == lead_id, box.signal.is_not(None)))
        return list(rows.scalars())


def what_follows(state: LeadState) -> dict[str, Any]:
    text = state.touches[1, "confirm", "sms"]
    return {
        "text": (text.status, text.rule, text.reason, text.code),
        "closed": state.closed,
        "tries": {part: t.status for (_, step, part), t in state.touches.items() if step == "confirm"},
        "tasks": [(t.kind, t.state, t.reason) for t in state.tasks.values()],
    }


@pytest.mark.parametrize("before", [None, CUT], ids=["claimed", "unknown"])
@pytest.mark.parametrize(
    ("status", "code", "remedy"),
    [
        (S.UNDELIVERED, "30006", Remedy.SUPPRESS),
        (S.UNDELIVERED, "21610", Remedy.SUPPRESS_NUMBER),
        (S.UNDELIVERED, "30003", Remedy.RETRY),
        (S.UNDELIVERED, "30007", Remedy.ALERT),
        (S.FAILED, "30022", Remedy.DROP),
    ],
)
async def test_what_is_found_is_settled_as_its_callback_would(
    clinic: Clinic, before: ChannelError | None, status: TouchStatus, code: str, remedy: Remedy
) -> None:
    states = []
    for how, phone in (("list", "+12125550101"), ("callback", "+12125550102")):
        ref, _ = await first_text(clinic, phone)
        if before is not None:
            await settle(clinic, ref, before)
        if how == "list":
            await settle(clinic, ref, Accepted("SM1", status, code, remedy))
        else:
            await clinic.news.update(TouchUpdate(ref.touch_id, "SM2", status, code=code, remedy=remedy))
            await clinic.ledger.plan(ref.lead_id, datetime.now(UTC))
        states.append(what_follows(await clinic.state(ref.lead_id)))
    found, told = states
    assert found == told
    assert found["text"][3] == code
    closes = {Remedy.SUPPRESS: {"sms"}, Remedy.SUPPRESS_NUMBER: {"sms", "voice"}}.get(remedy, set())
    assert found["closed"] == set(await clinic.causes()) == closes
    assert ("sms.retry1" in found["tries"]) == (remedy is Remedy.RETRY)
    reasons = [reason for kind, _, reason in found["tasks"] if kind is f.TaskKind.REVIEW]
    assert reasons == {
        Remedy.ALERT: ["the carrier refuses our account for sms (code 30007)"],
        Remedy.DROP: ["sms of step confirm did not go out: the carrier reports failed (30022)"],
    }.get(remedy, [])


async def test_a_text_found_without_a_code_closes_its_number_once_the_callback_brings_it(clinic: Clinic) -> None:
    ref, _ = await first_text(clinic)
    await settle(clinic, ref, Accepted("SM1", S.UNDELIVERED, None, Remedy.DROP))
    assert await clinic.causes() == {}
    told = TouchUpdate(ref.touch_id, "SM1", S.UNDELIVERED, code="30006", remedy=Remedy.SUPPRESS)
    assert await clinic.news.update(told)
    assert await clinic.causes() == {"sms": "suppressed"}
    assert (await clinic.state(ref.lead_id)).closed == {Channel.SMS}
    assert not await clinic.news.update(told)


async def held(clinic: Clinic) -> tuple[TouchRef, Claim]:
    """Its first text, whose step holds the rest, was looked for in vain while its worker was frozen."""
    content = json.loads(json.dumps(ONE.content))
    content["sequence"]["steps"][0]["if_unknown"] = "hold"
    await publish(clinic.store.engine, [replace(ONE, content=content, content_hash="hold")], datetime.now(UTC))
    await clinic.ledger.leads.book.refresh()
    ref, claim = await first_text(clinic)
    look = await clinic.ledger.claim(ref, claim.deadline)
    assert isinstance(look, Claim) and look.search is not None
    await clinic.ledger.settle(ref, Unseen("not there"), claim.deadline, look.deadline)
    state = await clinic.state(ref.lead_id)
    assert (state.state, [t.kind for t in state.tasks.values()]) == (State.RESTING, [f.TaskKind.REVIEW])
    assert await signals(clinic, ref.lead_id) == [], "who looked goes on by itself"
    return ref, claim


@pytest.mark.parametrize(
    ("late", "status"),
    [(Accepted("SM1"), S.ACCEPTED), (Rejected("too long", "21617", Remedy.DROP), S.FAILED)],
    ids=["taken", "refused"],
)
async def test_an_answer_that_comes_after_the_looking_wakes_the_workflow(
    clinic: Clinic, late: Accepted | ChannelError, status: TouchStatus
) -> None:
    ref, claim = await held(clinic)
    await clinic.ledger.settle(ref, late, claim.deadline, claim.deadline)
    state = await clinic.state(ref.lead_id)
    assert (state.touches[1, "confirm", "sms"].status, state.rest) == (status, None)
    assert await signals(clinic, ref.lead_id) == ["touch_updated"]


async def test_looking_in_vain_once_more_wakes_nobody(clinic: Clinic) -> None:
    ref, claim = await held(clinic)
    await clinic.ledger.settle(ref, Unseen("not there"), claim.deadline, claim.deadline)
    assert await signals(clinic, ref.lead_id) == []


@pytest.mark.parametrize(
    "answer",
    [Accepted("SM1"), Accepted("SM1", S.DELIVERED), Accepted("SM1", S.UNDELIVERED, "30003", Remedy.RETRY), CUT],
    ids=["accepted", "delivered", "undelivered", "unknown"],
)
async def test_the_answer_to_a_claim_wakes_nobody(clinic: Clinic, answer: Accepted | ChannelError) -> None:
    """It goes back with the activity that asked."""
    ref, claim = await first_text(clinic)
    view = await clinic.ledger.settle(ref, answer, datetime.now(UTC), claim.deadline)
    assert isinstance(view.action, Wait)
    assert await signals(clinic, ref.lead_id) == []
