"""From a lead's state to the rows that show it. Pure, so that all rows can be made again from the facts."""

import uuid
from typing import Any

from domain.lead_state import Appointment, LeadState, State, Task, Touch
from domain.standing import Standing
from domain.touches import TouchStatus


def lead_row(state: LeadState, stands: Standing) -> dict[str, Any]:
    """The part of the lead's row that facts decide."""
    enrollment = state.enrollment
    return {
        "state": stands.state.value,
        "stage": state.stage.value,
        "paused": state.state is State.PAUSED,
        "exit_reason": state.exit_reason.value if state.exit_reason else None,
        "sequence": enrollment.sequence if enrollment else None,
        "sequence_version": enrollment.version if enrollment else None,
        "enrollment": state.enrollment_no,
        "next_step": stands.step,
        "next_kind": stands.kind,
        "next_channel": stands.channel,
        "next_at": stands.at,
        "next_reason": stands.reason,
        "last_fact": state.last_no,
        "owner": state.owner,
        "finished_at": state.finished_at,
    }


def touch_row(lead_id: str, touch: Touch) -> dict[str, Any]:
    """`due_at`: of one that was put off, till when; before that it need not be looked at."""
    until = touch.until if touch.status is TouchStatus.DELAYED else None
    return {
        "id": touch.touch_id,
        "lead_id": lead_id,
        "enrollment": touch.enrollment,
        "step": touch.step,
        "part": touch.part,
        "channel": touch.channel.value if touch.channel else None,
        "status": touch.status.value,
        "due_at": until or touch.due_at or touch.at,
        "rule": touch.rule,
        "reason": touch.reason,
        "code": touch.code,
        "look_at": touch.look_at,
        "attempts": touch.tries,
    }


def task_row(lead_id: str, task: Task) -> dict[str, Any]:
    return {
        "id": task.id,
        "lead_id": lead_id,
        "kind": task.kind.value,
        "state": task.state.value,
        "due_at": task.due_at,
        "claim_by": task.claim_by,
        "lease_until": task.lease_until,
        "claimed_by": task.claimed_by,
        "claimed_name": task.claimed_name,
        "enrollment": task.enrollment,
        "step": task.step,
        "part": task.part,
        "script": task.script,
        "escalation": task.escalation,
        "disposition": task.disposition.value if task.disposition else None,
        "outcome": task.outcome.value if task.outcome else None,
        "notes": task.notes,
        "reason": task.reason,
        "candidates": [uuid.UUID(i) for i in task.candidates] or None,
        "message_id": task.message_id,
        "opened_at": task.opened_at,
        "closed_at": task.closed_at,
    }


def appointment_row(lead_id: str, appointment: Appointment) -> dict[str, Any]:
    return {
        "id": appointment.id,
        "lead_id": lead_id,
        "starts_at": appointment.starts_at,
        "facility": appointment.facility,
        "status": appointment.status.value,
        "occurred_at": appointment.occurred_at,
    }
