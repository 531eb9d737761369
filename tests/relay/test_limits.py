"""A limit of messages a second is Temporal's, over all workers; who waits for it hears all the same."""

import pytest

from domain.backpressure import Limits
from domain.touches import Channel
from relay.lead_workflows import Looked
from tests.relay.conftest import Clinic
from workflows import names

SELDOM = Limits(per_second={Channel.SMS: 0.001})


async def test_who_is_written_to_does_not_wait_for_the_turn_of_its_text(clinic: Clinic) -> None:
    async with clinic.working(SELDOM):
        for _ in range(10):  # what was about to be handed out looks as if it waited
            waiting = await _who_waits(clinic)
            await clinic.append(waiting, await clinic.own_words(waiting, Channel.EMAIL))
            await clinic.until_sent(waiting, "staff")
            if not await _is_sent(clinic, waiting):
                return
    pytest.fail("every text had its turn, though its limit is one in a quarter of an hour")


async def _who_waits(clinic: Clinic) -> str:
    """A lead whose text waits for its turn: the first few have theirs at once."""
    for _ in range(10):
        lead = await clinic.take_in()

        async def its_turn(lead: str = lead) -> bool:
            return await _is_sent(clinic, lead) or await _in_a_queue(clinic, lead)

        await clinic.until(its_turn, "its text is sent, or waits")
        if not await _is_sent(clinic, lead):
            return lead
    pytest.fail("nobody waits")


async def _is_sent(clinic: Clinic, lead: str) -> bool:
    return (1, "confirm", "sms") in (await clinic.state(lead)).touches


async def _in_a_queue(clinic: Clinic, lead: str) -> bool:
    """Not handed out yet."""
    if (await clinic.workflows.look([lead]))[0].looked is Looked.NONE:
        return False
    description = await clinic.temporal.get_workflow_handle(names.workflow_id(lead)).describe()
    pending = description.raw_description.pending_activities
    return [(work.activity_type.name, work.HasField("last_started_time")) for work in pending] == [(names.TOUCH, False)]
