"""What was accepted with a 2xx and is not there, or is there too often: each planted in a run in which all is well."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from domain.commands import RESUMED
from tests.faults.a_good_run import PRODUCT, Run, iso, told
from tests.faults.record import Json


def _at(no: int, kind: str, **more: object) -> Json:
    return {"no": no, "at": iso(PRODUCT), "kind": kind, **more}


def _gone_on(no: int, cause: str = RESUMED) -> Json:
    return _at(no, "resumed", cause=cause)


def _claimed_and_done(run: Run, **more: object) -> Json:
    """The second call is taken on, and nobody answers it."""
    call = run.entry("call2", "task")
    call.update(state="done", disposition="no_answer", notes="complete-0-1")
    call["history"] = [{"status": status} for status in ("open", "claimed", "done")]
    run.told.append(told("claim", "claim-0-0", 2, answer={"id": call["id"]}))
    run.told.append(told("complete", "complete-0-1", 2.1, body={"notes": "complete-0-1", "disposition": "no_answer"}))
    call.update(more)
    return call


def _paused_and_resumed(run: Run) -> None:
    run.timeline += [_at(13, "paused", reason="pause-0-0"), _gone_on(14)]
    run.told.append(told("pause", "pause-0-0", 10, answer={"in_flight": []}))
    run.told.append(told("resume", "resume-0-1", 11))


def _skipped(run: Run) -> None:
    """The second call is cancelled for it, and a step left out."""
    call = run.entry("call2", "task")
    call.update(
        state="cancelled", history=[{"status": "open"}, {"status": "cancelled", "reason": "skipped by a person"}]
    )
    run.drop("edu")
    run.timeline.append(_at(8, "skipped", enrollment=1, step="edu"))
    run.told += [told("skip", "skip-0-0", 2), told("skip", "skip-0-1", 3)]


def _enrolled(run: Run) -> None:
    entry = _at(13, "enrolled", enrollment=2, sequence="recovery", cause="a person enrolled it")
    run.timeline.append(entry | {"at": iso(PRODUCT + timedelta(days=9))})
    run.told.append(told("enroll", "enroll-0-0", 12))


@pytest.mark.parametrize("act", [_claimed_and_done, _paused_and_resumed, _skipped, _enrolled])
def test_what_is_there_is_no_violation(act: Callable[[Run], object]) -> None:
    run = Run()
    act(run)
    assert run.verdict().violations == ()


def _only_overslept(run: Run) -> None:
    """After an outage it is `resumed`, too, and by nobody."""
    _paused_and_resumed(run)
    run.timeline[-1] = _gone_on(14, "nobody carried out link in time")


def _resumed_before(run: Run) -> None:
    _paused_and_resumed(run)
    run.timeline[-1]["no"] = 12


def _never_resumed(run: Run) -> None:
    _paused_and_resumed(run)
    run.timeline.pop()


def _no_claim(run: Run) -> None:
    _claimed_and_done(run, history=[{"status": "open"}, {"status": "done"}])


def _no_outcome(run: Run) -> None:
    _claimed_and_done(run, notes=None)


def _another_outcome(run: Run) -> None:
    _claimed_and_done(run, disposition="busy")


def _open_again(run: Run) -> None:
    _claimed_and_done(run, state="open")


def _not_skipped(run: Run) -> None:
    _skipped(run)
    run.timeline.pop()


def _not_cancelled(run: Run) -> None:
    _skipped(run)
    run.entry("call2", "task").update(state="missed", history=[{"status": "open"}, {"status": "missed"}])


def _not_enrolled(run: Run) -> None:
    _enrolled(run)
    run.timeline.pop()


def _enrolled_by_what_became(run: Run) -> None:
    _enrolled(run)
    run.timeline[-1]["cause"] = "cancelled"


LOST = [
    _only_overslept,
    _resumed_before,
    _never_resumed,
    _no_claim,
    _no_outcome,
    _another_outcome,
    _open_again,
    _not_skipped,
    _not_cancelled,
    _not_enrolled,
    _enrolled_by_what_became,
]


@pytest.mark.parametrize("plant", LOST, ids=[plant.__name__.strip("_") for plant in LOST])
def test_what_was_accepted_and_is_not_there_is_lost(plant: Callable[[Run], None]) -> None:
    run = Run()
    plant(run)
    assert run.verdict().counts["lost"] == 1


def test_what_was_refused_and_is_there_is_one_too_many() -> None:
    for act, often in ((_claimed_and_done, 2), (_paused_and_resumed, 1), (_enrolled, 1)):
        run = Run()
        act(run)
        run.told = [
            told(t.verb, t.mark, 12, status=409) if t.verb in ("claim", "complete", "resume", "enroll") else t
            for t in run.told
        ]
        assert run.verdict().counts == {"doubled": often}, act


def test_a_skip_that_nobody_asked_for_is_one_too_many() -> None:
    run = Run()
    _skipped(run)
    run.told.pop()
    assert run.verdict().counts == {"doubled": 1}
