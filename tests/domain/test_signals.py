"""Which facts wake a lead's workflow: by their kind alone."""

from typing import get_args

import pytest

from domain import facts as f
from domain.signals import _OF_KIND, signal_of
from domain.touches import Channel, Disposition, TouchStatus
from workflows import names

KINDS = set(get_args(get_args(f.Fact)[0]))
TOUCH = {"touch_id": "t", "enrollment": 1, "step": "s", "part": "sms", "channel": Channel.SMS}


def test_every_kind_of_fact_has_been_thought_about_and_every_signal_is_the_contracts() -> None:
    assert set(_OF_KIND) | {f.TouchChanged, f.TaskClosed} == KINDS
    assert {signal for signal in _OF_KIND.values() if signal} <= set(names.SIGNALS)


@pytest.mark.parametrize("status", TouchStatus)
def test_a_touch_that_goes_well_wakes_nobody(status: TouchStatus) -> None:
    signal = signal_of(f.TouchChanged(**TOUCH, status=status))
    wakes = {TouchStatus.PLANNED: "staff_acted", TouchStatus.UNDELIVERED: "touch_updated"}
    assert signal == (wakes | {TouchStatus.FAILED: "touch_updated"}).get(status)


def test_a_call_that_ended_is_told_as_such_and_a_stop_once() -> None:
    done = f.TaskClosed(task_id="k", state=f.TaskState.DONE)
    assert signal_of(done) == "staff_acted"
    assert signal_of(done.model_copy(update={"disposition": Disposition.BUSY})) == "call_completed"
    reply = f.Replied(message_id="m", channel=Channel.SMS, task_id="k")
    assert signal_of(reply) == "lead_replied"
    assert signal_of(reply.model_copy(update={"intent": "opt_out"})) is None
