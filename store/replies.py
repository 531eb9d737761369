"""Which lead a reply is from, where several share the address: a person says, and everybody else goes on."""

from domain import facts as f
from domain.access import Actor
from domain.consequences import task_id
from domain.lead_state import Task
from domain.touches import Channel
from store.lead_unit import Leads, LeadUnit


async def assign_reply(leads: Leads, unit: LeadUnit, task: Task, wrote: str, actor: Actor) -> None:
    """`task` (of `unit`'s lead) is done. The lead that wrote gets the reply; the others' rest for it ends.

    `unit` holds the shared address, so the other leads may be locked after it.
    """
    for candidate in sorted(task.candidates):
        if candidate == unit.lead_id:
            _tell(unit, task, actor, is_writer=candidate == wrote)
        else:
            async with leads.within(unit.conn, candidate, unit.by_clock, locked=True, spreads=False) as other:
                _tell(other, task, actor, is_writer=candidate == wrote)


def _tell(unit: LeadUnit, task: Task, actor: Actor, *, is_writer: bool) -> None:
    """What it waits for ends, and only that: others may still hold the lead. Of an earlier reply only a rest waits."""
    assert task.message_id is not None
    rest = unit.state.rest
    if task.id in unit.state.unanswered or (rest is not None and task.id in rest.waits):
        unit.append(f.TaskClosed(task_id=task.id, state=f.TaskState.DONE, reason="a person said who wrote"), actor.name)
    if is_writer:
        own = task_id(unit.lead_id, "reply", task.message_id)
        unit.append(f.Replied(message_id=task.message_id, channel=Channel.SMS, task_id=own), actor.name)
