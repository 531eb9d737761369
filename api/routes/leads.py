"""Leads: taking in, finding, and seeing one."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from api import answers, fields, history_answers, schemas
from api.access import Right, may
from api.intake_form import IntakeForm
from api.lists import is_of_a_list
from api.once import ApiRoute
from api.sequences_ready import sequences_ready
from api.services import Services, Who, Wired
from domain.access import Actor, Role, in_scope
from domain.lead_state import Stage, State
from domain.same_person import fold_name
from domain.sequence import DEFAULT_SEQUENCE
from domain.standing import standing
from store import audit
from store.intake import read_inquiries, take_in
from store.reading import LeadFilter, facility_of, list_leads, read_lead
from store.timeline import read_timeline


class LeadsRoute(ApiRoute):
    is_behind = staticmethod(is_of_a_list)


router = APIRouter(prefix="/v1/leads", tags=["leads"], route_class=LeadsRoute)


@router.post("", status_code=202, response_model=answers.TakenIn, summary="Take in a lead")
async def take_in_lead(form: IntakeForm, services: Wired, actor: Who) -> answers.TakenIn:
    """Needs no Temporal: the lead is on file with the answer, and its sequence starts as soon as Temporal is there.

    A repeat inquiry of a living lead does not start a second conversation: it answers with that lead's id. What it
    says is kept with it, on the timeline; another number or e-mail address is for a person to use, not for Tend.
    """
    intake = form.intake(actor.facilities, services.facilities)
    await sequences_ready(services)
    async with services.commands.transaction() as conn:
        taken = await take_in(services.leads, conn, intake, actor)
        hidden = taken.duplicate_of is not None and not await _may_know(conn, actor, taken.lead_id)
    state, sequence, version = taken.state, taken.sequence, taken.sequence_version
    if hidden:  # answered as a new lead would be
        new = services.leads.book.latest(intake.sequence or DEFAULT_SEQUENCE)
        state, sequence, version = State.STARTING.value, new.key, new.version
    return answers.TakenIn(
        lead_id=taken.lead_id,
        workflow_id=f"lead/{taken.lead_id}",
        state=State(state),
        duplicate_of=None if hidden else taken.duplicate_of,
        sequence=sequence,
        sequence_version=version,
    )


async def _may_know(conn: Any, actor: Actor, lead_id: str) -> bool:
    if actor.role is Role.INTAKE:
        return False
    return not actor.facilities or await facility_of(conn, lead_id) in actor.facilities


@router.get("", response_model=answers.LeadPage, summary="List leads, newest first")
async def list_(services: Wired, actor: Who, search: Annotated[schemas.Search, Query()]) -> dict[str, Any]:
    """`q` is an exact phone, e-mail or name. Better use the search with a body: addresses are kept in many places."""
    return await _list(services, actor, search)


@router.post("/search", response_model=answers.LeadPage, summary="List leads, with the filters in the body")
async def search_(search: schemas.Search, services: Wired, actor: Who) -> dict[str, Any]:
    return await _list(services, actor, search)


async def _list(services: Services, actor: Actor, search: schemas.Search) -> dict[str, Any]:
    wanted = LeadFilter(
        state=_value(search.state),
        stage=_value(search.stage),
        facility=search.facility,
        facilities=actor.facilities,
        found=_blind(services, search.q) if search.q is not None else None,
    )
    store = services.store
    async with store.engine.begin() as conn:
        items, following = await list_leads(conn, store.vault, wanted, search.cursor, search.limit)
        await audit.append_each(conn, actor, "leads_listed", [item["id"] for item in items])
    return {"items": items, "next_cursor": following}


def _value(word: State | Stage | None) -> str | None:
    return word.value if word is not None else None


def _blind(services: Services, q: str) -> tuple[str, bytes]:
    """A phone if it can be one, else an e-mail if it can be one, else a name."""
    blind = services.store.vault.blind
    for kind, normalize in (("phone", fields.phone), ("email", fields.email)):
        try:
            return kind, blind(kind, normalize(q))
        except ValueError:
            continue
    return "name", blind("name", fold_name(q))


@router.get("/{lead_id}", response_model=answers.Lead, summary="One lead, and what comes next")
async def show(lead_id: fields.LeadId, services: Wired, actor: Who) -> dict[str, Any]:
    store = services.store
    async with store.engine.begin() as conn:
        lead = await read_lead(conn, store.vault, lead_id)
        in_scope(actor, lead["preferred_facility"])
        await audit.append(conn, actor, "lead_viewed", lead_id)
    for source in lead["sources"]:
        source.pop("details", None)  # the timeline shows it, to those who may read what was written
    if may(actor, Right.WORDS):
        return lead
    consents = [consent | {"ip": None} for consent in lead["consents"]]
    return lead | {"concern": None, "best_times": None, "insurance": None, "consents": consents}


@router.get(
    "/{lead_id}/timeline",
    response_model=history_answers.Timeline,
    response_model_exclude_none=True,
    summary="Everything that happened, oldest first",
)
async def timeline(lead_id: fields.LeadId, services: Wired, actor: Who) -> dict[str, Any]:
    """One entry for each touch and each task, with its history; the other kinds one entry for each fact."""
    words, store = may(actor, Right.WORDS), services.store
    async with store.engine.begin() as conn:
        in_scope(actor, await facility_of(conn, lead_id))
        items = await read_timeline(services.leads, conn, lead_id, words=words)
        sent = await read_inquiries(conn, store.vault, [lead_id]) if words else {}
        await audit.append(conn, actor, "timeline_viewed", lead_id)
    for item in items:
        if item["kind"] == "inquired":
            item["details"] = sent.get((lead_id, item["no"]))
    return {"lead_id": lead_id, "items": items}


@router.get(
    "/{lead_id}/upcoming", response_model=history_answers.Upcoming, summary="The next steps, with times and reasons"
)
async def upcoming(lead_id: fields.LeadId, services: Wired, actor: Who) -> dict[str, Any]:
    """As they fall if nothing else happens. A finished lead has none."""
    leads = services.leads
    async with services.store.engine.begin() as conn:
        in_scope(actor, await facility_of(conn, lead_id))
        state = await leads.read(conn, lead_id)
        await audit.append(conn, actor, "upcoming_viewed", lead_id)
    enrollment = state.enrollment
    sequence = leads.book.get(enrollment.sequence, enrollment.version) if enrollment else None
    stands = standing(state, sequence, max(leads.now(), state.last_at or leads.now()))
    held = stands.reason if stands.state in (State.PAUSED, State.RESTING) else None
    items = [{k: getattr(u, k) for k in ("step", "part", "channel", "kind", "at", "reason")} for u in stands.to_come]
    return {"lead_id": lead_id, "held": held, "until": stands.at if held else None, "items": items}
