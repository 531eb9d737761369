"""Names that others hold on to: workflow, queues, signals, search attributes, activities."""

from datetime import datetime

from temporalio.common import SearchAttributeKey

WORKFLOW = "LeadWorkflow"
LEADS_QUEUE = "tend-leads"
CHANNEL_QUEUES = {"sms": "tend-sms", "voice": "tend-voice", "email": "tend-email"}

# One at a time, started by its schedule.
SWEEP_WORKFLOW, SWEEP_ID, SWEEP_SCHEDULE = "SweepWorkflow", "tend-sweep", "tend-sweep"

SWEEP = "sweep"
PLAN, TOUCH, OPEN_TASK, EXPIRE_TASK = "plan", "touch", "open_task", "expire_task"

LETS_GO = "lets-go"  # patched: a woken lead waits no longer in a queue with a limit

SIGNALS = (
    "lead_replied",
    "appointment_changed",
    "touch_updated",
    "lead_opted_out",
    "call_completed",
    "payment_received",
    "lead_merged",
    "staff_acted",
)

STATE: SearchAttributeKey[str] = SearchAttributeKey.for_keyword("TendState")
SEQUENCE: SearchAttributeKey[str] = SearchAttributeKey.for_keyword("TendSequence")
STEP: SearchAttributeKey[str] = SearchAttributeKey.for_keyword("TendStep")
FACILITY: SearchAttributeKey[str] = SearchAttributeKey.for_keyword("TendFacility")
PAUSED: SearchAttributeKey[bool] = SearchAttributeKey.for_bool("TendPaused")
NEXT_AT: SearchAttributeKey[datetime] = SearchAttributeKey.for_datetime("TendNextAt")
SEARCH_ATTRIBUTES = (STATE, SEQUENCE, STEP, FACILITY, PAUSED, NEXT_AT)
ATTRIBUTE_TYPES = {key.name: int(key.indexed_value_type) for key in SEARCH_ATTRIBUTES}


def workflow_id(lead_id: str) -> str:
    return f"lead/{lead_id}"
