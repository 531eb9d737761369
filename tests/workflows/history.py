"""Reading the history of a workflow."""

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent


def kind(event: HistoryEvent) -> str:
    """As `TIMER_STARTED`."""
    return EventType.Name(event.event_type).removeprefix("EVENT_TYPE_")


def count(events: list[HistoryEvent], *kinds: str) -> tuple[int, ...]:
    found = [kind(event) for event in events]
    return tuple(found.count(k) for k in kinds)


def is_idle(events: list[HistoryEvent]) -> bool:
    """No task of the workflow and no activity is under way, nor to be tried again."""
    activities_open, task_open = 0, True
    for name in map(kind, events):
        match name:
            case "ACTIVITY_TASK_SCHEDULED":
                activities_open += 1
            case "ACTIVITY_TASK_COMPLETED" | "ACTIVITY_TASK_FAILED" | "ACTIVITY_TASK_TIMED_OUT":
                activities_open -= 1
            case "WORKFLOW_TASK_SCHEDULED":
                task_open = True
            case "WORKFLOW_TASK_COMPLETED":
                task_open = False
            case _:
                pass
    return not activities_open and not task_open


def activities(events: list[HistoryEvent]) -> list[str]:
    """What was scheduled, in order, among the timers and signals."""
    marks = {"TIMER_STARTED", "TIMER_CANCELED", "TIMER_FIRED", "WORKFLOW_EXECUTION_SIGNALED"}
    return [
        event.activity_task_scheduled_event_attributes.activity_type.name
        if kind(event) == "ACTIVITY_TASK_SCHEDULED"
        else kind(event)
        for event in events
        if kind(event) in marks or kind(event) == "ACTIVITY_TASK_SCHEDULED"
    ]
