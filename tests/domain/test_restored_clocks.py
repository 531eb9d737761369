"""A claim of the copy accounts for what it sent, also where its worker was ahead of the carrier."""

from datetime import timedelta

from domain.clock import APART
from domain.restored import Claimed
from domain.touches import Channel
from tests.domain.test_restored import NOON, SECOND, left, listed


def test_a_claim_accounts_for_its_text_by_clocks_that_are_apart() -> None:
    claim = Claimed(Channel.SMS, NOON, "Hello.")
    assert left([listed("SM1", -APART - SECOND)], claim) == []
    assert left([listed("SM1", -APART - 3 * SECOND)], claim) == ["SM1"]
    assert left([listed("SM1", timedelta(minutes=1)), listed("SM2", -APART)], claim) == ["SM1"]
