"""The arithmetic of the benchmarks: what failed is the slowest of all."""

import math

from bench.figures import percentiles, rows_of
from bench.load import lead, phone


def test_percentiles_by_nearest_rank() -> None:
    assert percentiles([float(n) for n in range(1, 101)], 50, 95, 99, 100) == [50, 95, 99, 100]
    assert percentiles([3.0], 50, 99) == [3, 3]
    assert percentiles([], 50) == [math.inf]


def test_a_failure_counts_as_never() -> None:
    rows = rows_of("x", [0.1] * 97 + [math.inf] * 3, {50: 300, 95: 1000, 99: 2000})
    assert [row.shown for row in rows] == ["100 ms", "100 ms", "never"]


def test_no_two_leads_share_an_address() -> None:
    leads = [lead(n) for n in range(600)]
    assert len({one["phone"] for one in leads}) == len({one["email"] for one in leads}) == 600
    assert phone(101) == "+13125550101"
