"""Tasks as they are shown: with the lead's context, and on calls with what to say."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from domain import facts as f
from domain.errors import InvalidInput, NewerFact, NotFound
from domain.fold import fold
from domain.lead_state import Enrollment, LeadState
from store import tables
from store.lead_rows import recorded
from store.lead_unit import Leads
from store.reading import Row, addresses_of, cursor_id, holder, read_cursor, write_cursor
from store.timeline import message_bodies
from store.vault import Vault

STATES = tuple(s.value for s in f.TaskState)  # in the order of lists: open first
LAST_TOUCHES = 3
_TASK, _LEAD, _TOUCH = tables.tasks, tables.leads, tables.touches

Script = Callable[[LeadState, str, str], str | None]
"""Renders the script of that name for a lead in that state with that first name."""


@dataclass(frozen=True)
class TaskFilter:
    """`facilities`: those the reader may see, none for all."""

    kind: str | None = None
    state: str | None = None
    lead_id: str | None = None
    facilities: tuple[str, ...] = ()


async def list_tasks(
    leads: Leads, conn: AsyncConnection, wanted: TaskFilter, script: Script, *, cursor: str | None, limit: int
) -> tuple[list[Row], str | None]:
    """A page, open ones first, then by due time; and the cursor of the next one. Raises InvalidInput."""
    after: tuple[str, datetime, str] | None = None
    if cursor is not None:
        state, due_at, task_id = read_cursor(cursor, str, datetime, str)
        if state not in STATES:
            raise InvalidInput("cursor", "is not one of ours; take next_cursor of the page before")
        after = (state, due_at, cursor_id(task_id))
    states = [wanted.state] if wanted.state else list(STATES)
    rows: list[Mapping[Any, Any]] = []
    for state in states:  # each an index scan: a sort of all tasks would grow with their number
        if after is not None and STATES.index(state) < STATES.index(after[0]):
            continue
        query = _query(wanted, state).limit(limit + 1 - len(rows))
        if after is not None and state == after[0]:
            query = query.where(tuple_(_TASK.c.due_at, _TASK.c.id) > after[1:])
        rows += (await conn.execute(query)).mappings()
        if len(rows) > limit:
            break
    more, rows = len(rows) > limit, rows[:limit]
    last = rows[-1] if more else None
    following = write_cursor(last["state"], last["due_at"], str(last["id"])) if last is not None else None
    return await _views(leads, conn, rows, script), following


async def read_task(leads: Leads, conn: AsyncConnection, task_id: str, script: Script) -> Row:
    """Raises NotFound."""
    rows = list((await conn.execute(select(_TASK).where(_TASK.c.id == task_id))).mappings())
    if not rows:
        raise NotFound("no task with this id")
    return (await _views(leads, conn, rows, script))[0]


def _query(wanted: TaskFilter, state: str) -> Any:
    query = select(_TASK).where(_TASK.c.state == state).order_by(_TASK.c.due_at, _TASK.c.id)
    if wanted.kind is not None:
        query = query.where(_TASK.c.kind == wanted.kind)
    if wanted.lead_id is not None:
        query = query.where(_TASK.c.lead_id == wanted.lead_id)
    if wanted.facilities:
        query = query.join(_LEAD, _LEAD.c.id == _TASK.c.lead_id)
        query = query.where(_LEAD.c.preferred_facility.in_(wanted.facilities))
    return query


async def _views(leads: Leads, conn: AsyncConnection, rows: Sequence[Mapping[Any, Any]], script: Script) -> list[Row]:
    if not rows:
        return []
    vault = leads.store.vault
    tasks = [vault.open_row(_TASK, r) for r in rows]
    ids = sorted({str(t["lead_id"]) for t in tasks})
    context = await _leads(conn, vault, ids)
    messages = await message_bodies(conn, vault, [t["message_id"] and str(t["message_id"]) for t in tasks])
    spoken = [t for t in tasks if t["script"] and t["state"] in ("open", "claimed")]
    states = await _states(leads, conn, sorted({str(t["lead_id"]) for t in spoken}))
    views = []
    for task in tasks:
        lead_id = str(task["lead_id"])
        text = None
        if task["script"] and lead_id in states:
            text = script(states[lead_id].of(task["enrollment"]), task["script"], context[lead_id]["first_name"])
        views.append(_view(task, context[lead_id], messages, text))
    return views


def _view(task: Row, lead: Row, messages: Mapping[str, str], script: str | None) -> Row:
    same = (
        "kind", "state", "due_at", "claim_by", "lease_until", "escalation", "reason", "step", "disposition", "outcome",
        "notes", "opened_at", "closed_at",
    )  # fmt: skip
    return {k: task[k] for k in same} | {
        "id": str(task["id"]),
        "lead_id": str(task["lead_id"]),
        "claimed_by": holder(task["claimed_by"], {}, task["claimed_name"]),
        "candidates": [str(i) for i in task["candidates"]] if task["candidates"] else None,
        "message": messages.get(str(task["message_id"])),
        "script": script,
        "lead": lead,
    }


async def _leads(conn: AsyncConnection, vault: Vault, ids: list[str]) -> dict[str, Row]:
    same = ("first_name", "last_name", "service_line", "concern", "urgency", "preferred_facility", "state", "stage")
    query = select(_LEAD.c.id, *(_LEAD.c[name] for name in same)).where(_LEAD.c.id.in_(ids))
    rows = [vault.open_row(_LEAD, r) for r in (await conn.execute(query)).mappings()]
    addresses = await addresses_of(conn, vault, ids)
    touches = await _last_touches(conn, ids)
    out = {}
    for row in rows:
        lead_id = str(row["id"])
        by_kind = {a["kind"]: a["value"] for a in addresses.get(lead_id, [])}
        out[lead_id] = {k: row[k] for k in same} | {
            "phone": by_kind.get("phone"),
            "email": by_kind.get("email"),
            "last_touches": touches.get(lead_id, []),
        }
    return out


async def _last_touches(conn: AsyncConnection, ids: list[str]) -> dict[str, list[Row]]:
    """The newest touches that were handed to a provider, newest first."""
    ranked = (
        select(
            _TOUCH.c.lead_id,
            _TOUCH.c.step,
            _TOUCH.c.channel,
            _TOUCH.c.status,
            _TOUCH.c.due_at.label("at"),
            func.row_number().over(partition_by=_TOUCH.c.lead_id, order_by=_TOUCH.c.claimed_at.desc()).label("rank"),
        )
        .where(_TOUCH.c.lead_id.in_(ids), _TOUCH.c.claimed_at.is_not(None))
        .subquery()
    )
    query = select(ranked).where(ranked.c.rank <= LAST_TOUCHES).order_by(ranked.c.lead_id, ranked.c.rank)
    out: dict[str, list[Row]] = defaultdict(list)
    for row in (await conn.execute(query)).mappings():
        out[str(row["lead_id"])].append({k: row[k] for k in ("step", "channel", "status", "at")})
    return out


async def _states(leads: Leads, conn: AsyncConnection, ids: list[str]) -> "dict[str, _Known]":
    """Several leads, in one query."""
    if not ids:
        return {}
    table = tables.facts
    query = select(table).where(table.c.lead_id.in_(ids)).order_by(table.c.lead_id, table.c.no)
    rows = (await conn.execute(query)).mappings().all()
    return await asyncio.to_thread(_folded, leads.store.vault, rows)  # a page of leads takes a while


@dataclass(frozen=True)
class _Known:
    records: list[f.Recorded]
    state: LeadState

    def of(self, number: int | None) -> LeadState:
        """As it is now, in the enrollment of this number: a task of an earlier one turns on that one's appointment."""
        for record in self.records:
            if isinstance(record.fact, f.Enrolled) and record.fact.enrollment == number:
                return replace(self.state, enrollment=Enrollment.begun(record.fact, record.at))
        return self.state


def _folded(vault: Vault, rows: Sequence[Mapping[Any, Any]]) -> dict[str, _Known]:
    records, unread = defaultdict[str, list[f.Recorded]](list), set[str]()
    for row in rows:
        try:
            records[str(row["lead_id"])].append(recorded(vault.open_row(tables.facts, row)))
        except NewerFact:  # its tasks are shown without their script; it hides those of nobody else
            unread.add(str(row["lead_id"]))
    return {i: _Known(found, fold(i, found)) for i, found in records.items() if i not in unread}
