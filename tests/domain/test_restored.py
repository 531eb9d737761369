"""What a copy accounts for of the carrier's list, and what of it that waits may have been sent."""

from datetime import UTC, datetime, timedelta

from domain import facts as f
from domain.lead_state import STAFF, STOP, LeadState, Touch
from domain.ports import Listed
from domain.restored import Claimed, perhaps_sent, unexplained, was_sent
from domain.touches import Channel, TouchStatus

NOON = datetime(2026, 3, 3, 17, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def listed(sid: str, after: timedelta, body: str = "Hello.", channel: Channel = Channel.SMS) -> Listed:
    return Listed(sid, channel, False, "+12125550101", "+15005550006", body, NOON + after)


def left(found: list[Listed], *claims: Claimed) -> list[str]:
    return [one.provider_id for one in unexplained(found, claims, str.__eq__)]


def test_a_claim_accounts_for_one_of_its_time() -> None:
    claim = Claimed(Channel.SMS, NOON, "Hello.")
    assert left([listed("SM1", SECOND)], claim) == []
    assert left([listed("SM1", -SECOND)], claim) == []  # the carrier's times are whole seconds
    assert left([listed("SM1", SECOND), listed("SM2", 2 * SECOND)], claim) == ["SM2"]
    assert left([listed("SM1", -13 * SECOND)], claim) == ["SM1"]
    assert left([listed("SM1", timedelta(minutes=3))], claim) == ["SM1"]


def test_a_claim_accounts_for_its_own_words_on_its_channel() -> None:
    claim = Claimed(Channel.SMS, NOON, "Hello.")
    assert left([listed("SM1", SECOND, "Good day."), listed("SM2", 2 * SECOND, "Hello.")], claim) == ["SM1"]
    assert left([listed("SM1", SECOND, "")], claim) == ["SM1"]
    assert left([listed("CA1", SECOND, channel=Channel.VOICE)], claim) == ["CA1"]
    assert left([listed("CA1", SECOND, channel=Channel.VOICE)], Claimed(Channel.VOICE, NOON, None)) == []


def waits(part: str, *, due: timedelta = timedelta(0), step: str = STAFF, **more: object) -> Touch:
    given = {"channel": Channel.SMS, "status": TouchStatus.PLANNED} | more
    return Touch(part, 1, step, part, at=NOON, due_at=NOON + due, **given)  # type: ignore[arg-type]


def perhaps(*touches: Touch, channels: frozenset[Channel] = frozenset({Channel.SMS})) -> list[str]:
    state = LeadState("lead", touches={(t.enrollment, t.step, t.part): t for t in touches})
    changed = [fact for fact in perhaps_sent(state, channels, NOON) if isinstance(fact, f.TouchChanged)]
    assert [fact.status for fact in changed[::2]] == [TouchStatus.CLAIMED] * (len(changed) // 2)
    return [fact.part for fact in changed if fact.status is TouchStatus.UNKNOWN]


def test_what_was_due_and_nobody_had_claimed_is_unknown_earliest_first() -> None:
    later, stop = waits("later", due=-SECOND), waits("confirm", step=STOP, due=-2 * SECOND)
    assert perhaps(later, stop) == ["confirm", "later"]
    assert perhaps(waits("tomorrow", due=timedelta(days=1))) == []
    assert perhaps(waits("claimed", status=TouchStatus.CLAIMED)) == []  # it is looked for
    assert perhaps(waits("cadence", step="bio")) == []  # the pause keeps it


def test_a_call_that_waited_is_unknown_where_the_carrier_has_a_call() -> None:
    dial = waits("dial.1", channel=Channel.VOICE, task_id="task")
    assert perhaps(dial) == []
    assert perhaps(dial, channels=frozenset({Channel.VOICE})) == ["dial.1"]


def test_what_was_sent_is_claimed_and_accepted() -> None:
    changed = [fact for fact in was_sent(waits("words")) if isinstance(fact, f.TouchChanged)]
    assert [fact.status for fact in changed] == [TouchStatus.CLAIMED, TouchStatus.ACCEPTED]
