"""What an engineer sees of a lead at a glance: its search attributes and current details."""

from typing import Any

from temporalio.common import SearchAttributeUpdate

from workflows import messages as m
from workflows import names


def attributes(shot: m.Snapshot) -> list[SearchAttributeUpdate[Any]]:
    return [
        names.STATE.value_set(shot.state),
        names.SEQUENCE.value_set(shot.sequence) if shot.sequence else names.SEQUENCE.value_unset(),
        names.STEP.value_set(shot.step) if shot.step else names.STEP.value_unset(),
        names.FACILITY.value_set(shot.facility) if shot.facility else names.FACILITY.value_unset(),
        names.PAUSED.value_set(shot.paused),
        names.NEXT_AT.value_set(shot.next_at) if shot.next_at else names.NEXT_AT.value_unset(),
    ]


def details(plan: m.Plan) -> str:
    shot = plan.snapshot
    at = f" at {shot.next_at:%Y-%m-%d %H:%M:%S} UTC" if shot.next_at else ""
    lines = [f"**{shot.state}**, sequence {shot.sequence}", f"next: {shot.step or '-'}{at}: {shot.reason}"]
    lines += [f"- {u.step} ({u.kind}){f' {u.at:%Y-%m-%d %H:%M}' if u.at else ''}" for u in plan.upcoming]
    return "\n\n".join(lines[:2]) + "\n\n" + "\n".join(lines[2:])
