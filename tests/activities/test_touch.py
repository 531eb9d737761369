"""A touch: claimed, handed over once, settled; and what is done when any of it goes wrong."""

from datetime import timedelta

import pytest
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from activities.touches import MARGIN, REQUEST_LIMIT
from domain.ledger import TouchRef
from domain.next_action import Wait
from domain.ports import Accepted, ChannelError, OutcomeUnknown, Rejected, Remedy, Unavailable, Unread, Unseen
from domain.touches import Channel, TouchStatus
from tests.activities.conftest import Bench
from tests.activities.ports import CLAIM_LIVES, LEAD, STARTED, view
from workflows.options import TOUCH_LIMIT

ERRORS: list[ChannelError] = [
    Unavailable("busy", "20429", retry_after=30.0),
    *(Rejected("refused", "30007", remedy) for remedy in Remedy),
    OutcomeUnknown("the line was cut", "E1"),
]


async def tries_again(bench: Bench) -> ApplicationError:
    with pytest.raises(ApplicationError) as raised:
        await bench.run()
    error = raised.value
    assert not error.non_retryable
    assert error.category is ApplicationErrorCategory.BENIGN
    assert error.type == "Unavailable"
    return error


def nothing_was_sent(bench: Bench) -> bool:
    return not any(channel.sent for channel in bench.channels.values())


# --- the claim --------------------------------------------------------------------------------------------------------


async def test_a_refused_claim_sends_nothing_and_tells_the_new_plan(bench: Bench) -> None:
    bench.refuses(view(Wait(STARTED + timedelta(days=1), "paused")))
    plan = await bench.run()
    assert (plan.action, plan.until, plan.reason) == ("wait", STARTED + timedelta(days=1), "paused")
    assert nothing_was_sent(bench)
    assert bench.ledger.settled == []


async def test_an_accepted_touch_is_settled_and_tells_what_is_next(bench: Bench) -> None:
    bench.claims()
    bench.carrier.answer = accepted = Accepted("SM7", TouchStatus.DELIVERED)
    plan = await bench.run()
    assert (plan.action, plan.until) == ("wait", STARTED + timedelta(hours=1))
    assert bench.carrier.sent == [(bench.message, REQUEST_LIMIT)]
    assert [c for c in Channel if bench.channels[c].sent] == [bench.channel]
    assert bench.ledger.settled == [accepted]
    touch = bench.touch
    ref = TouchRef(LEAD, touch.touch_id, 1, "confirm", "only", bench.channel)
    assert bench.ledger.touches == [ref, ref]


@pytest.mark.parametrize("after", [0.0, 3.0, 6.0, 6.5, 10.0, 13.0, 13.99])
async def test_the_request_ends_inside_the_claim(bench: Bench, after: float) -> None:
    bench.claims(after=after)
    await bench.run()
    [(_, limit)] = bench.carrier.sent
    assert limit == pytest.approx(min(REQUEST_LIMIT, CLAIM_LIVES - MARGIN - after))
    assert limit > 0
    assert after + limit < CLAIM_LIVES


def test_a_touch_in_time_is_settled_before_its_activity_times_out() -> None:
    assert REQUEST_LIMIT + MARGIN < TOUCH_LIMIT.total_seconds() < CLAIM_LIVES


@pytest.mark.parametrize("after", [CLAIM_LIVES - MARGIN, CLAIM_LIVES, 3600.0])
async def test_a_claim_that_ran_out_sends_nothing_and_is_given_back(bench: Bench, after: float) -> None:
    bench.claims(after=after)
    assert (await bench.run()).action == "wait"
    assert nothing_was_sent(bench)
    [settled] = bench.ledger.settled
    assert isinstance(settled, Unavailable)


async def test_the_claim_is_used_before_anything_is_sent(bench: Bench) -> None:
    bench.claims()
    await bench.run()
    expected = ["claim", "begin", "settle"] if bench.channel is not Channel.VOICE else ["claim", "rang"]
    assert [what for what, _ in bench.ledger.asked] == expected


@pytest.mark.parametrize("bench", [Channel.SMS, Channel.EMAIL], indirect=True)
async def test_a_claim_that_is_over_sends_nothing_and_is_told_as_not_sent(bench: Bench) -> None:
    bench.claims()
    bench.ledger.over = True
    assert (await bench.run()).action == "wait"
    assert nothing_was_sent(bench)
    assert [what for what, _ in bench.ledger.asked] == ["claim", "begin", "settle"]
    assert [type(result) for result in bench.ledger.settled] == [Unavailable]


async def test_a_process_that_was_frozen_before_it_began_counts_that_time(bench: Bench) -> None:
    bench.claims()
    await bench.run(wall=STARTED + timedelta(seconds=17))
    assert bench.ledger.asked[0] == ("claim", STARTED + timedelta(seconds=17))


# --- what the channel said --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", ERRORS, ids=lambda e: f"{type(e).__name__}-{getattr(e, 'remedy', '')}")
async def test_what_went_wrong_is_settled_as_it_is_and_the_next_thing_told(bench: Bench, error: ChannelError) -> None:
    """Whether and when it goes again is for the ledger to say: the workflow waits, where a signal can wake it."""
    bench.claims()
    bench.carrier.answer = error
    plan = await bench.run()
    assert (plan.action, plan.until) == ("wait", STARTED + timedelta(hours=1))
    assert [id(settled) for settled in bench.ledger.settled] == [id(error)]
    assert len(bench.carrier.sent) == 1


def test_every_kind_of_channel_error_is_tried_here() -> None:
    assert set(ChannelError.__subclasses__()) == {type(error) for error in ERRORS}


async def test_an_error_nobody_foresaw_leaves_the_claim_to_be_looked_up(bench: Bench) -> None:
    bench.claims()
    bench.carrier.answer = ZeroDivisionError()
    with pytest.raises(ZeroDivisionError):
        await bench.run()
    assert bench.ledger.settled == []


# --- the claim of an earlier try --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("left", "wait"), [(14.0, 14.0), (0.5, 0.5), (0.01, 0.1)])
async def test_a_held_claim_is_waited_for(bench: Bench, left: float, wait: float) -> None:
    bench.holds(left=left)
    bench.carrier.listed = Accepted("SM7")
    assert (await tries_again(bench)).next_retry_delay == timedelta(seconds=wait)
    assert nothing_was_sent(bench)
    assert bench.carrier.looked == []
    assert bench.ledger.settled == []


@pytest.mark.parametrize(("left", "over"), [(0.0, False), (-60.0, False), (10.0, True)])
async def test_a_held_claim_that_is_over_is_looked_up_and_never_sent_again(
    bench: Bench, left: float, over: bool
) -> None:
    claim = bench.holds(left=left, over=over)
    bench.carrier.listed = found = Accepted("SM7", TouchStatus.DELIVERED)
    assert (await bench.run()).action == "wait"
    assert nothing_was_sent(bench)
    assert bench.ledger.asked[-1][0] == "settle"
    [settled] = bench.ledger.settled
    if bench.channel is Channel.EMAIL:  # its provider has no list
        assert isinstance(settled, Unseen)
    else:
        assert settled is found
        assert bench.carrier.looked == [(claim.message, claim.search, REQUEST_LIMIT)]


async def test_what_no_list_knows_is_unseen(bench: Bench) -> None:
    bench.holds(left=0.0)
    assert (await bench.run()).action == "wait"
    assert nothing_was_sent(bench)
    [settled] = bench.ledger.settled
    assert isinstance(settled, Unseen)


LIST_ERRORS: list[ChannelError] = [Unavailable("busy", "E7"), Rejected("refused", "E7"), OutcomeUnknown("cut", "E7")]


@pytest.mark.parametrize("bench", [Channel.SMS, Channel.VOICE], indirect=True)
@pytest.mark.parametrize("error", LIST_ERRORS, ids=lambda e: type(e).__name__)
async def test_a_list_that_does_not_answer_proves_nothing(bench: Bench, error: ChannelError) -> None:
    bench.holds(left=0.0)
    bench.carrier.listed = error
    assert (await bench.run()).action == "wait"
    [settled] = bench.ledger.settled
    assert isinstance(settled, Unread)
    assert settled.code == "E7"
    assert nothing_was_sent(bench)


# --- now --------------------------------------------------------------------------------------------------------------


async def test_now_is_when_the_activity_started_and_what_has_passed_since(bench: Bench) -> None:
    bench.claims(after=2.0)
    bench.carrier.lasts = 3.0
    await bench.run()
    writes = "rang" if bench.channel is Channel.VOICE else "settle"  # the coordinator's line is no touch of the lead
    asked = [one for one in bench.ledger.asked if one[0] != "begin"]
    assert asked == [("claim", STARTED), (writes, STARTED + timedelta(seconds=5))]
    assert bench.watch.now == STARTED + timedelta(seconds=5)
