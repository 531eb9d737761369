"""What people do with a lead. Each is decided under the lead's lock, and refused with 409 where it cannot be."""

from typing import Annotated

from fastapi import APIRouter, Body
from pydantic import Field

from api import answers, fields, schemas
from api.commands import Applied
from api.intake_form import Exact
from api.once import ApiRoute
from api.sequences_ready import sequences_ready
from api.services import Who, Wired
from domain.touches import Channel

router = APIRouter(prefix="/v1/leads/{lead_id}", tags=["steering a lead"], route_class=ApiRoute)


class Skip(Exact):
    """No step: the next, whichever that is."""

    model_config = answers.example(step="link")

    step: Annotated[fields.Word, Field(description="The step that is meant; 409 if another is the next.")] | None = None


class Skipped(answers.Applied):
    """`skipped`: the step that was left out."""

    model_config = answers.example(**answers.example_of(answers.Applied) | {"skipped": "link"})

    skipped: str


def _answer(lead_id: str, applied: Applied) -> answers.Applied:
    return answers.Applied.model_validate(
        {"lead_id": lead_id, "workflow": applied.workflow, "in_flight": applied.in_flight, **applied.state}
    )


@router.post("/pause", summary="Stop all automatic contact for a while")
async def pause(lead_id: fields.LeadId, body: schemas.Pause, services: Wired, actor: Who) -> answers.Applied:
    """In effect with the answer, Temporal up or not."""
    return _answer(lead_id, await services.commands.pause(actor, lead_id, body.reason, body.until))


@router.post("/resume", summary="Go on after a review, a pause or a rest")
async def resume(lead_id: fields.LeadId, body: schemas.Resume, services: Wired, actor: Who) -> answers.Applied:
    """With its `of`, what is asked for twice ends nothing that stood below: 409, which names that."""
    return _answer(lead_id, await services.commands.resume(actor, lead_id, body.mode, body.of))


@router.post("/skip", summary="Leave out the next step")
async def skip(
    lead_id: fields.LeadId,
    services: Wired,
    actor: Who,
    body: Annotated[Skip | None, Body()] = None,
) -> Skipped:
    """With its `step`, one that is asked for twice is left out once: 409, which names the next one."""
    applied, skipped = await services.commands.skip(actor, lead_id, body.step if body is not None else None)
    return Skipped(**_answer(lead_id, applied).model_dump(), skipped=skipped)


@router.post("/opt-out", summary="Enter the lead's opt-out")
async def opt_out(
    lead_id: fields.LeadId,
    services: Wired,
    actor: Who,
    body: Annotated[schemas.OptOut | None, Body()] = None,
) -> answers.Applied:
    """In effect with the answer, for every lead with this number or address. Without channels: all of them."""
    channels = tuple(body.channels) if body is not None and body.channels else None
    return _answer(lead_id, await services.commands.opt_out(actor, lead_id, channels))


@router.post("/disqualify", summary="End the sequence: this lead does not fit")
async def disqualify(lead_id: fields.LeadId, body: schemas.Disqualify, services: Wired, actor: Who) -> answers.Applied:
    return _answer(lead_id, await services.commands.disqualify(actor, lead_id, body.reason))


@router.post("/enroll", summary="Change to another sequence")
async def enroll(lead_id: fields.LeadId, body: schemas.Enroll, services: Wired, actor: Who) -> answers.Applied:
    await sequences_ready(services)
    return _answer(lead_id, await services.commands.enroll(actor, lead_id, body.sequence, body.version))


@router.post("/messages", status_code=202, summary="Write to the lead")
async def message(lead_id: fields.LeadId, body: schemas.Message, services: Wired, actor: Who) -> answers.Written:
    """A person's own words, through the same gate as every touch; it answers the lead's open reply tasks.

    With `read_to`, a text of the lead that arrived meanwhile is not taken as answered: 409, and nothing is sent. So it
    is where the practice has written since, and while another key has the lead's texts in hand.
    """
    touch_id = await services.commands.message(actor, lead_id, Channel(body.channel), body.body, body.read_to)
    return answers.Written(touch_id=touch_id)


@router.post("/notes", summary="Write a note")
async def note(lead_id: fields.LeadId, body: schemas.Note, services: Wired, actor: Who) -> answers.Applied:
    return _answer(lead_id, await services.commands.note(actor, lead_id, body.text))


@router.post("/assign", summary="Give the lead an owner")
async def assign(lead_id: fields.LeadId, body: schemas.Assign, services: Wired, actor: Who) -> answers.Applied:
    return _answer(lead_id, await services.commands.assign(actor, lead_id, body.to))
