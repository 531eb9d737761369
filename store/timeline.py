"""The timeline of a lead: its facts, one entry for each touch and each task, joined with what was written."""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from domain import facts as f
from domain.fold import apply
from domain.lead_state import LeadState, Task, Touch
from domain.restored import RULE
from domain.schedule import in_flight
from domain.standing import PUT_BACK
from store import tables
from store.lead_unit import Leads
from store.vault import Vault

Row = dict[str, Any]
_MESSAGE = ("subject", "body")
# After these only what was in flight arrives, with what a person had asked for; the entry names it.
_STOPS = (f.OptedOut, f.Suppressed, f.Paused, f.UnderReview, f.Disqualified, f.AppointmentChanged, f.Finished)


async def read_timeline(leads: Leads, conn: AsyncConnection, lead_id: str, *, words: bool) -> list[Row]:
    """Entries, oldest first. Without `words` nothing that was written is in them: no message, note or subject."""
    records = await leads.records(conn, lead_id)
    touches = await _touches(conn, leads.store.vault, lead_id)
    ids = [r.fact.message_id for r in records if isinstance(r.fact, f.Replied)]
    messages = await message_bodies(conn, leads.store.vault, ids)
    entries = build(lead_id, records, touches, messages)
    if not words:
        for entry in entries:
            for key in ("subject", "body", "text", "notes"):
                entry.pop(key, None)
            if entry["kind"] in ("paused", "decision") and entry.get("rule") != RULE:
                entry.pop("reason", None)  # a person's own words
    return entries


async def message_bodies(conn: AsyncConnection, vault: Vault, ids: Iterable[str | None]) -> dict[str, str]:
    wanted = {i for i in ids if i is not None}
    if not wanted:
        return {}
    table = tables.messages
    rows = (await conn.execute(select(table.c.id, table.c.body).where(table.c.id.in_(wanted)))).mappings()
    return {str(r["id"]): vault.open_row(table, r)["body"] for r in rows}


async def _touches(conn: AsyncConnection, vault: Vault, lead_id: str) -> dict[str, Row]:
    table = tables.touches
    query = select(table.c.id, table.c.claimed_at, table.c.subject, table.c.body).where(table.c.lead_id == lead_id)
    return {str(r["id"]): vault.open_row(table, r) for r in (await conn.execute(query)).mappings()}


def build(
    lead_id: str, records: list[f.Recorded], touches: Mapping[str, Row], messages: Mapping[str, str]
) -> list[Row]:
    """Pure: `records` are all of the lead's; `touches` gives claimed_at (real), subject and body by touch id."""
    of_touch: dict[str, list[f.Recorded]] = {}
    of_task: dict[str, list[f.Recorded]] = {}
    entries: list[Row] = []
    state = LeadState(lead_id)
    for record in records:
        state = apply(state, record)
        match record.fact:
            case f.TouchChanged() as fact:
                of_touch.setdefault(fact.touch_id, []).append(record)
            case f.TaskOpened() | f.TaskClaimed() | f.TaskReturned() | f.TaskEscalated() | f.TaskClosed() as fact:
                of_task.setdefault(fact.task_id, []).append(record)
            case _:
                entries.append(_single(record, messages))
                if isinstance(record.fact, _STOPS) and (flying := in_flight(state, record.at)):
                    entries[-1]["in_flight"] = flying
    for touch in state.touches.values():
        entries.append(_touch(touch, of_touch[touch.touch_id], touches.get(touch.touch_id, {})))
    for task in state.tasks.values():
        entries.append(_task(task, of_task[task.id]))
    return sorted(entries, key=lambda e: e["no"])


def _single(record: f.Recorded, messages: Mapping[str, str]) -> Row:
    fact = record.fact
    entry = {"no": record.no, "at": record.at, "kind": fact.kind, "by": record.by}
    entry |= fact.model_dump(exclude={"kind"}, exclude_none=True)
    if isinstance(fact, f.Replied):
        entry["body"] = messages.get(fact.message_id)
    elif isinstance(fact, f.Suppressed):
        entry |= {"kind": "decision", "decision": "suppressed"}
    elif isinstance(fact, f.UnderReview):
        entry |= {"kind": "paused", "rule": RULE, "reason": PUT_BACK}
    return entry


def _touch(touch: Touch, records: list[f.Recorded], row: Row) -> Row:
    """In its place is the claim, else the last decision about it; `by` is who asked for it."""
    facts = [(r, r.fact) for r in records if isinstance(r.fact, f.TouchChanged)]
    claim = next((r for r, fact in facts if fact.status.value == "claimed" and r.at == touch.claimed_at), None)
    place = claim or records[-1]
    return {
        "no": place.no,
        "at": place.at,
        "kind": "touch",
        "by": records[0].by,
        "id": touch.touch_id,
        "enrollment": touch.enrollment,
        "step": touch.step,
        "part": touch.part,
        "channel": touch.channel,
        "status": touch.status,
        "rule": touch.rule,
        "reason": touch.reason,
        "code": touch.code,
        "due_at": touch.due_at,
        "until": touch.until if touch.status.value == "delayed" else None,
        "claimed_at": row.get("claimed_at"),
        "task_id": touch.task_id,
        **{k: row.get(k) for k in _MESSAGE},
        "history": [
            {
                "status": fact.status,
                "at": r.at,
                "by": r.by,
                "reason": fact.reason,
                "rule": fact.rule,
                "until": fact.until,
            }
            for r, fact in facts
        ],
    }


def _task(task: Task, records: list[f.Recorded]) -> Row:
    opened = records[0]
    closed = next((r.fact for r in records if isinstance(r.fact, f.TaskClosed)), None)
    return {
        "no": opened.no,
        "at": opened.at,
        "kind": "task",
        "by": opened.by,
        "id": task.id,
        "task_kind": task.kind,
        "state": task.state,
        "enrollment": task.enrollment,
        "step": task.step,
        "part": task.part,
        "due_at": task.due_at,
        "claim_by": task.claim_by,
        "claimed_by": task.claimed_name,
        "disposition": task.disposition,
        "outcome": task.outcome,
        "callback_at": closed.callback_at if closed else None,
        "notes": task.notes,
        "script": task.script,
        "reason": task.reason,
        "message_id": task.message_id,
        "candidates": list(task.candidates) or None,
        "history": [_task_history(r) for r in records],
    }


def _task_history(record: f.Recorded) -> Row:
    entry: Row = {"at": record.at, "by": record.by}
    match record.fact:
        case f.TaskOpened(reason=reason):
            return entry | {"status": f.TaskState.OPEN, "reason": reason}
        case f.TaskClaimed(lease_until=until):
            return entry | {"status": f.TaskState.CLAIMED, "until": until}
        case f.TaskReturned(escalated=escalated):
            reason = "no outcome in time; back in the queue" if escalated else "released"
            return entry | {"status": f.TaskState.OPEN, "reason": reason}
        case f.TaskEscalated():
            return entry | {"status": f.TaskState.OPEN, "reason": "nobody has taken it on; escalated"}
        case f.TaskClosed(state=state, reason=reason):
            return entry | {"status": state, "reason": reason}
        case other:
            raise TypeError(f"{other.kind} is not of a task")
