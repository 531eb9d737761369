"""What the story so far makes possible: acts that follow on something, which a blind draw seldom meets."""

from collections.abc import Callable, Iterable
from datetime import timedelta
from functools import partial
from typing import TypeVar

from domain import commands, desk, task_commands
from domain import facts as f
from domain.lead_state import Task
from domain.restored import stop_for_review
from domain.touches import SENT, Disposition, TouchStatus
from tests.domain.lead_story import COORDINATOR, Story, resume

T = TypeVar("T")
Do = Callable[[Story], None]

_CALLS = (f.TaskKind.CALL, f.TaskKind.CALLBACK)
_MODES: tuple[commands.Mode, ...] = ("shift", "catch_up", "skip_expired")
_ON_THE_LINE = (SENT | {TouchStatus.UNKNOWN}) - {TouchStatus.UNDELIVERED}


def fits(subject: int, kind: int, n: int, story: Story) -> None:
    """What is possible with one of the subjects there are; nothing if none is there. `n` says which of its kind."""
    there = [acts for of in _SUBJECTS if (acts := of(story, n))]
    if there:
        acts = there[subject % len(there)]
        acts[kind % len(acts)](story)


def _calls(story: Story, n: int) -> list[Do]:
    """A call that waits is claimed, mostly to be dialled at once; it ends, and what came of it is entered."""
    acts: list[Do] = []
    for task in story.state.tasks.values():
        if not task.living or task.kind not in _CALLS:
            continue
        if task.state is f.TaskState.OPEN:
            acts.append(partial(_takes_on, task=task.id, dials=n % 3 > 0))
            continue
        dialled = [t for t in story.state.touches.values() if t.task_id == task.id]
        calls = [t.touch_id for t in dialled if t.status in _ON_THE_LINE and t.touch_id not in task.ended]
        if calls:
            acts.append(partial(_hangs_up, task=task.id, touch=calls[-1], how=_nth(Disposition, n)))
            continue
        if not any(desk.rings(touch) for touch in dialled):
            acts.append(partial(_dials, task=task.id))
        acts.append(_completed(task, n))
    return acts


def _tasks(story: Story, n: int) -> list[Do]:
    """Whatever else is open is claimed, or completed."""
    other = [task for task in story.state.tasks.values() if task.living and task.kind not in _CALLS]
    claims: list[Do] = [partial(Story.claims, task=task.id) for task in other if task.state is f.TaskState.OPEN]
    return [*claims, *(_completed(task, n) for task in other if not task.candidates)]  # who wrote is told otherwise


def _pauses(story: Story, n: int) -> list[Do]:
    """What is held goes on; now and then it is paused, or a restore stops it for review."""
    state = story.state
    if state.exit_reason is not None:
        return []
    besides: list[Do] = [_paused] if n % 3 == 0 else [under_review] if n % 3 == 1 else []
    if state.hold is None:
        return besides
    return [partial(resume, mode=_nth(_MODES, n)), *(besides if n % 2 else [])]


def _appointments(story: Story, n: int) -> list[Do]:
    """One that stands is moved, called off, kept or not; another is booked anew, or the first."""
    acts: list[Do] = [] if story.state.appointments else [partial(_tells, event=f.BookingEvent.BOOKED, of="A")]
    for appointment in story.state.appointments.values():
        stands = appointment.status is f.AppointmentStatus.BOOKED
        event = _nth(f.BookingEvent, n) if stands else f.BookingEvent.BOOKED
        acts.append(partial(_tells, event=event, of=appointment.id))
    return acts


_SUBJECTS = (_calls, _calls, _tasks, _pauses, _appointments)  # a call has the most stations, and little time


def _nth(of: Iterable[T], n: int) -> T:
    choices = list(of)
    return choices[n % len(choices)]


def under_review(story: Story) -> None:
    if facts := stop_for_review(story.state, story.now, 1, 0, story.now):
        story.tell(*facts)


def _paused(story: Story) -> None:
    story.tell(*commands.pause(story.state, "x", None, story.now))


def _takes_on(story: Story, task: str, dials: bool) -> None:
    story.claims(task)
    if dials:
        _dials(story, task)


def _dials(story: Story, task: str) -> None:
    story.tell(*task_commands.dial(story.state, task, COORDINATOR, story.now))


def _hangs_up(story: Story, task: str, touch: str, how: Disposition) -> None:
    story.tell(f.CallEnded(task_id=task, touch_id=touch, disposition=how))


def _completed(task: Task, n: int) -> Do:
    """As its form may be filled in: nobody was spoken with, or this came of it."""
    done = partial(Story.completes, task=task.id)
    call = task.kind in _CALLS
    spoken = task.disposition is Disposition.ANSWERED or (task.disposition is None and n % 3 > 0)
    if call and not spoken:
        return partial(done, disposition=task.disposition or Disposition.NO_ANSWER)
    return partial(done, outcome=_nth(f.Outcome, n), disposition=Disposition.ANSWERED if call else None)


def _tells(story: Story, event: f.BookingEvent, of: str) -> None:
    moves = event in (f.BookingEvent.BOOKED, f.BookingEvent.RESCHEDULED)
    story.scheduler_says(event.value, story.now + timedelta(days=2) if moves else None, of=of)
