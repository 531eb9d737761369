"""Which lead a reply is from, where several share the address: a person says, and everybody else goes on."""

from functools import partial

from domain import facts as f
from domain.access import Actor
from domain.consequences import task_id
from domain.lead_state import Task
from domain.touches import Channel
from store import owed_stops
from store.lead_unit import Leads, LeadUnit

Heard = f.Replied | f.TaskClosed


async def assign_reply(leads: Leads, unit: LeadUnit, task: Task, wrote: str, actor: Actor) -> None:
    """`task` (of `unit`'s lead) is done. The lead that wrote gets the reply; the others' rest for it ends.

    `unit` holds the shared address, so the other leads may be locked after it.
    """
    for candidate in sorted(task.candidates):
        if candidate == unit.lead_id:
            for fact in _told(task, candidate, is_writer=candidate == wrote):
                for news in owed_stops.owed(fact, unit.state):
                    unit.append(news, actor.name)
            continue
        facts = _told(task, candidate, is_writer=candidate == wrote)
        if not await owed_stops.told(unit.conn, partial(_tell, leads, unit, candidate, facts, actor)):
            await owed_stops.owe(unit.conn, candidate, facts)


async def _tell(leads: Leads, owner: LeadUnit, lead_id: str, facts: list[Heard], actor: Actor) -> None:
    async with leads.within(owner.conn, lead_id, owner.by_clock, locked=True, spreads=False) as unit:
        for fact in facts:
            for news in owed_stops.owed(fact, unit.state):
                unit.append(news, actor.name)


def _told(task: Task, lead_id: str, *, is_writer: bool) -> list[Heard]:
    """What it waits for ends, and only that: others may still hold the lead."""
    assert task.message_id is not None
    facts: list[Heard] = [
        f.TaskClosed(task_id=task.id, state=f.TaskState.DONE, reason="a person said who wrote"),
    ]
    if is_writer:
        own = task_id(lead_id, "reply", task.message_id)
        facts.append(f.Replied(message_id=task.message_id, channel=Channel.SMS, task_id=own))
    return facts
