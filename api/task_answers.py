"""Tasks as the API answers them."""

from pydantic import BaseModel

from api.answers import Owner
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


class TaskPage(BaseModel):
    items: list[TaskView]
    next_cursor: str | None
