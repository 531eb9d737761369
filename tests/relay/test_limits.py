"""A limit of messages a second is Temporal's, over all workers; who waits for it hears all the same."""

from domain.backpressure import Limits
from domain.touches import Channel
from relay.lead_workflows import Looked
from tests.relay.conftest import Clinic

SELDOM = Limits(per_second={Channel.SMS: 0.001})


async def test_who_is_written_to_does_not_wait_for_the_turn_of_its_text(clinic: Clinic) -> None:
    async with clinic.working(SELDOM):
        waiting = await clinic.take_in()
        await clinic.until(lambda: _is_started(clinic, waiting), "its start")
        await clinic.until(lambda: _in_a_queue(clinic, waiting), "its text waits for its turn")
        await clinic.append(waiting, await clinic.own_words(waiting, Channel.EMAIL))
        await clinic.until_sent(waiting, "staff")
        state = await clinic.state(waiting)
        assert (1, "confirm", "sms") not in state.touches, "its turn has not come"


async def _is_started(clinic: Clinic, lead: str) -> bool:
    return (await clinic.workflows.look([lead]))[0].looked is not Looked.NONE


async def _in_a_queue(clinic: Clinic, lead: str) -> bool:
    description = await clinic.temporal.get_workflow_handle(f"lead/{lead}").describe()
    pending = description.raw_description.pending_activities
    return [(activity.activity_type.name, activity.attempt) for activity in pending] == [("touch", 1)]
