"""The shapes that a lead's history can have, and by what each is known. Every one is recorded and replayed."""

import itertools
from collections.abc import Callable
from datetime import timedelta

from temporalio.api.history.v1 import HistoryEvent

from tests.workflows.history import activities, count, kind
from workflows import names

Events = list[HistoryEvent]
RENEWED = 30  # events after which the lead of the files `renewed` and `onward` continues as new
SIGNALLED = "WORKFLOW_EXECUTION_SIGNALED"
RING = ("TIMER_STARTED", "TIMER_FIRED")


def _ended(events: Events) -> bool:
    return kind(events[-1]) == "WORKFLOW_EXECUTION_COMPLETED"


def _signals(least: int) -> Callable[[Events], bool]:
    return lambda events: _ended(events) and count(events, SIGNALLED)[0] >= least


def _follow(*wanted: str) -> Callable[[Events], bool]:
    """These come one after another, with nothing that is done or heard of in between."""

    def shows(events: Events) -> bool:
        happened = activities(events)
        runs = (tuple(happened[i : i + len(wanted)]) for i in range(len(happened)))
        return _ended(events) and wanted in runs

    return shows


def _begins(events: Events, *wanted: str) -> bool:
    return _ended(events) and tuple(activities(events)[: len(wanted)]) == wanted


def _silent(events: Events) -> bool:
    begins = _begins(events, names.PLAN, names.TOUCH, *RING, names.OPEN_TASK)
    return begins and count(events, SIGNALLED) == (0,) and not _cut_off(events)


def _begun(events: Events) -> bool:
    return _begins(events, names.TOUCH, *RING, names.OPEN_TASK) and not _cut_off(events)


def _begun_at_night(events: Events) -> bool:
    return _begins(events, names.TOUCH) and _first_timer(events) >= timedelta(hours=8)


def _begun_renewed(events: Events) -> bool:
    return _renewed(events) and activities(events)[0] == names.TOUCH


def _brief(events: Events) -> bool:
    return _begins(events, names.TOUCH, *RING, names.TOUCH) and _first_timer(events) < timedelta(seconds=5)


def _unavailable(events: Events) -> bool:
    return _begins(events, names.PLAN, names.TOUCH, names.TOUCH, *RING, names.TOUCH)  # the e-mail goes meanwhile


def _dialled(events: Events) -> bool:
    return _ended(events) and queued(events, "voice")


def queued(events: Events, channel: str) -> bool:
    """Whether a touch of the channel was handed to its queue."""
    queues = [e.activity_task_scheduled_event_attributes.task_queue.name for e in events]
    return names.CHANNEL_QUEUES[channel] in queues


def _cut_off(events: Events) -> bool:
    started = [e.activity_task_started_event_attributes for e in events if kind(e) == "ACTIVITY_TASK_STARTED"]
    return any(s.attempt > 1 for s in started)


def _early(events: Events) -> bool:
    kinds = [kind(e) for e in events]
    return _ended(events) and SIGNALLED in kinds[: kinds.index("WORKFLOW_TASK_STARTED")]


def _meanwhile(events: Events) -> bool:
    """A signal while an activity was under way: between its schedule and its end."""
    kinds = [kind(e) for e in events]
    under_way = [kinds[i : i + 2] for i in range(len(kinds))]
    return _ended(events) and ["ACTIVITY_TASK_SCHEDULED", SIGNALLED] in under_way


def _under_way(events: Events) -> bool:
    """A signal between the schedule and the end of a touch, which comes to its end."""
    return _ended(events) and _heard_of_during(events, names.CHANNEL_QUEUES["email"]) and not _let_go(events)


def _heard_of_during(events: Events, queue: str) -> bool:
    pairs = itertools.pairwise(events)
    queues = [(e.activity_task_scheduled_event_attributes.task_queue.name, kind(then)) for e, then in pairs]
    return (queue, SIGNALLED) in queues


def _let_go(events: Events) -> bool:
    return _ended(events) and count(events, "ACTIVITY_TASK_CANCELED") > (0,)


def _first_timer(events: Events) -> timedelta:
    timers = [e.timer_started_event_attributes.start_to_fire_timeout.ToTimedelta() for e in events]
    return next(t for t in timers if t)


def _night(events: Events) -> bool:
    begins = _begins(events, names.PLAN, names.TOUCH, *RING, names.TOUCH)  # the e-mail goes at once
    return begins and _first_timer(events) >= timedelta(hours=8)


def _woken_again(events: Events) -> bool:
    return _ended(events) and activities(events) == [SIGNALLED, names.PLAN, names.TOUCH]


def _renewed(events: Events) -> bool:
    return kind(events[-1]) == "WORKFLOW_EXECUTION_CONTINUED_AS_NEW" and len(events) >= RENEWED


def _onward(events: Events) -> bool:
    return bool(events[0].workflow_execution_started_event_attributes.continued_execution_run_id)


def _versioned(events: Events) -> bool:
    done = [e.workflow_task_completed_event_attributes for e in events if kind(e) == "WORKFLOW_TASK_COMPLETED"]
    return _ended(events) and len({d.deployment_version.build_id for d in done}) > 2


SHAPES: dict[str, Callable[[Events], bool]] = {
    "begun": _begun,  # as since its start brings the first touch along: the whole cadence
    "begun_at_night": _begun_at_night,
    "begun_renewed": _begun_renewed,
    "brief": _brief,  # a wait so short that search attributes do not show it
    "silent": _silent,  # the whole cadence, with calls that nobody claims; begins with a plan, as the others do
    "replied": _signals(2),  # rests, is answered, goes on to the end
    "stopped": _follow(SIGNALLED, names.PLAN, names.TOUCH),  # the confirmation of an opt-out
    "answered": _signals(2),  # a call claimed and completed by hand
    "paused": _signals(3),
    "cancelled": _signals(3),
    "visited": _signals(4),  # reminders, a no-show, booked again, arrived
    "dialled": _dialled,
    "leased": _follow("TIMER_FIRED", *RING, names.EXPIRE_TASK, *RING, names.EXPIRE_TASK),  # a claim runs out
    "cut_off": _cut_off,  # a worker was killed between claim and settlement
    "early": _early,  # signals before the first task
    "meanwhile": _meanwhile,
    "hurried": _follow("TIMER_CANCELED", "TIMER_STARTED"),  # woken for an earlier time than the timer's
    "unavailable": _unavailable,  # the carrier did not take it
    "night": _night,  # put off to the morning when it was planned
    "woken_again": _woken_again,  # after the end
    "renewed": _renewed,  # continues as new
    "onward": _onward,  # the run after that
    "under_way": _under_way,
    "let_go": _let_go,  # waited in a queue with a limit when the lead was woken
    "versioned": _versioned,  # of workers without a version, of one build, of another
}
