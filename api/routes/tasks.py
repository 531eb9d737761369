"""Work for people: the queue, and what is done with a task."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Query
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncConnection

from api import fields, schemas, task_answers
from api.access import Right, may
from api.intake_form import Form
from api.once import ApiRoute
from api.services import Services, Who, Wired
from content.templates import Template, render_script
from domain.access import Actor, in_scope
from domain.consequences import task_id as opened_id
from domain.errors import NotFound
from domain.facts import TaskKind, TaskState
from domain.lead_state import LeadState
from store import audit
from store.intake import read_inquiries
from store.reading import Row
from store.sequences import SequenceBook
from store.task_reading import Script, TaskFilter, list_tasks, read_task

router = APIRouter(prefix="/v1/tasks", tags=["tasks"], route_class=ApiRoute)


class TaskSearch(Form):
    kind: TaskKind | None = None
    state: TaskState | None = None
    lead_id: Annotated[fields.Id, Field(description="Tasks of this lead only.")] | None = None
    cursor: schemas.Cursor | None = None
    limit: schemas.Limit = 50


@router.get("", response_model=task_answers.TaskPage, summary="The queue: open ones first, soonest due first")
async def list_(services: Wired, actor: Who, search: Annotated[TaskSearch, Query()]) -> dict[str, Any]:
    wanted = TaskFilter(
        kind=search.kind.value if search.kind else None,
        state=search.state.value if search.state else None,
        lead_id=search.lead_id,
        facilities=actor.facilities,
    )
    async with services.store.engine.begin() as conn:
        items, following = await list_tasks(
            services.leads, conn, wanted, _script(services), cursor=search.cursor, limit=search.limit
        )
        await audit.append_each(conn, actor, "tasks_listed", [item["lead_id"] for item in items])
        shown = await _readable(services, conn, actor, items)
    return {"items": shown, "next_cursor": following}


@router.get("/{task_id}", response_model=task_answers.TaskView, summary="One task")
async def show(task_id: fields.TaskId, services: Wired, actor: Who) -> dict[str, Any]:
    return await _show(services, actor, task_id, "task_viewed")


async def _show(services: Services, actor: Actor, task_id: str, action: str | None = None) -> dict[str, Any]:
    async with services.commands.transaction() as conn:
        task = await read_task(services.leads, conn, task_id, _script(services))
        try:
            in_scope(actor, task["lead"]["preferred_facility"])
        except NotFound:
            raise NotFound("no task with this id") from None
        if action is not None:
            await audit.append(conn, actor, action, task["lead_id"], detail=task_id)
        (shown,) = await _readable(services, conn, actor, [task])
    return shown


async def _readable(services: Services, conn: AsyncConnection, actor: Actor, tasks: list[Row]) -> list[Row]:
    """With the inquiry that opened each, and without words that the actor may not read."""
    if not may(actor, Right.WORDS):
        return [
            task | {"message": None, "notes": None, "inquiry": None, "lead": task["lead"] | {"concern": None}}
            for task in tasks
        ]
    asked = {task["lead_id"] for task in tasks if task["kind"] in (TaskKind.CALLBACK, TaskKind.REVIEW)}
    found = await read_inquiries(conn, services.store.vault, asked)
    opened_by = {
        opened_id(lead_id, kind, no): details
        for (lead_id, no), details in found.items()
        for kind in (TaskKind.CALLBACK, TaskKind.REVIEW)
    }
    return [task | {"inquiry": opened_by.get(task["id"])} for task in tasks]


@router.post("/{task_id}/claim", response_model=task_answers.TaskView, summary="Take a task on")
async def claim(task_id: fields.TaskId, services: Wired, actor: Who) -> dict[str, Any]:
    """It is held for the lease, and during a call; without an outcome by then it goes back to the queue."""
    await services.commands.claim_task(actor, task_id)
    return await _show(services, actor, task_id)


@router.post("/{task_id}/release", response_model=task_answers.TaskView, summary="Put a task back")
async def release(task_id: fields.TaskId, services: Wired, actor: Who) -> dict[str, Any]:
    await services.commands.release_task(actor, task_id)
    return await _show(services, actor, task_id)


@router.post("/{task_id}/dial", status_code=202, response_model=task_answers.TaskView, summary="Call the lead")
async def dial(task_id: fields.TaskId, services: Wired, actor: Who) -> dict[str, Any]:
    """Rings the phone of the key that asks; 1 pressed there calls the lead, by way of the gate.

    Its disposition arrives on the task. 409 if the key has no phone.
    """
    await services.commands.dial_task(actor, task_id)
    return await _show(services, actor, task_id)


@router.post("/{task_id}/complete", response_model=task_answers.Completed, summary="Enter what came out of a task")
async def complete(
    task_id: fields.TaskId,
    services: Wired,
    actor: Who,
    body: Annotated[schemas.Complete | None, Body()] = None,
) -> dict[str, Any]:
    """A call is claimed first (else 409), needs its disposition unless the carrier told it, if answered its outcome.

    An outcome that stops (`do_not_call`, `not_a_fit`) holds with the answer; `in_flight` is as of an opt-out.
    """
    form = body or schemas.Complete()
    applied = await services.commands.complete_task(
        actor,
        task_id,
        disposition=form.disposition,
        outcome=form.outcome,
        notes=form.notes,
        callback_at=form.callback_at,
        lead_id=form.lead_id,
    )
    return await _show(services, actor, task_id) | {"in_flight": applied.in_flight}


def _script(services: Services) -> Script:
    book, now = services.leads.book, services.leads.now()

    def script(state: LeadState, name: str, first_name: str) -> str | None:
        template = _template(book, state, name)
        if template is None:
            return None
        enrollment = state.enrollment
        known = enrollment is not None and book.knows(enrollment.sequence, enrollment.version)
        sequence = book.get(enrollment.sequence, enrollment.version) if enrollment is not None and known else None
        return render_script(template, services.voice.values(state, sequence, first_name, now))

    return script


def _template(book: SequenceBook, state: LeadState, name: str) -> Template | None:
    """As the lead's version pinned it; for a task of an earlier sequence, as the latest version has it."""
    enrollment = state.enrollment
    versions = [(enrollment.sequence, enrollment.version)] if enrollment is not None else []
    keys = book.keys()
    versions += [(key, book.latest(key).version) for key in keys]
    for key, version in versions:
        try:
            return book.template(key, version, name)
        except (KeyError, NotFound):
            continue
    return None
