"""Tasks as the API answers them."""

from pydantic import BaseModel

from api.answers import LEAD, InFlight, Owner, example, example_of
from api.fields import Time
from api.history_answers import InquiryDetails
from domain.facts import Outcome, TaskKind, TaskState
from domain.lead_state import Stage, State
from domain.touches import Channel, Disposition, TouchStatus


class LastTouch(BaseModel):
    step: str
    channel: Channel
    status: TouchStatus
    at: Time


class TaskLead(BaseModel):
    first_name: str
    last_name: str | None
    phone: str | None
    email: str | None
    service_line: str | None
    concern: str | None
    urgency: str
    preferred_facility: str | None
    state: State
    stage: Stage
    last_touches: list[LastTouch]


class TaskView(BaseModel):
    """Work for a person. `message` is what the lead wrote; `script` what to say on a call.

    `inquiry` is what the person sent, for a task that an inquiry opened.
    """

    model_config = example(
        id="b7c2a1de-0d0b-5f8e-8a3f-6f2d1c9e4b55",
        lead_id=LEAD,
        kind="call",
        state="open",
        due_at="2026-11-23T15:02:00.000+00:00",
        claim_by="2026-11-23T15:12:00.000+00:00",
        lease_until=None,
        claimed_by=None,
        escalation=0,
        reason=None,
        step="call1",
        disposition=None,
        outcome=None,
        notes=None,
        candidates=None,
        message=None,
        inquiry=None,
        script="Hello Ada, you asked about an appointment ...",
        opened_at="2026-11-23T15:02:00.000+00:00",
        closed_at=None,
        lead={
            "first_name": "Ada",
            "last_name": "Example",
            "phone": "+12125550142",
            "email": "ada@example.com",
            "service_line": "dermatology",
            "concern": "Evenings, please",
            "urgency": "routine",
            "preferred_facility": "main",
            "state": "active",
            "stage": "contacted",
            "last_touches": [
                {"step": "confirm", "channel": "sms", "status": "delivered", "at": "2026-11-23T15:00:00.210+00:00"}
            ],
        },
    )

    id: str
    lead_id: str
    kind: TaskKind
    state: TaskState
    due_at: Time
    claim_by: Time | None
    lease_until: Time | None
    claimed_by: Owner | None
    escalation: int
    reason: str | None
    step: str | None
    disposition: Disposition | None
    outcome: Outcome | None
    notes: str | None
    candidates: list[str] | None
    message: str | None
    inquiry: InquiryDetails | None
    script: str | None
    opened_at: Time
    closed_at: Time | None
    lead: TaskLead


class Completed(TaskView):
    model_config = example(
        **example_of(TaskView)
        | {
            "state": "done",
            "disposition": "answered_by_person",
            "outcome": "do_not_call",
            "closed_at": "2026-11-23T15:09:00.000+00:00",
            "in_flight": [],
        }
    )

    in_flight: InFlight


class TaskPage(BaseModel):
    model_config = example(items=[example_of(TaskView)], next_cursor=None)

    items: list[TaskView]
    next_cursor: str | None
