"""What the API counts. Labels are route templates and words of ours: no id, no query, nothing of a person."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from domain.sweep import Tally
from store.clocks import OddClock

_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1, 2.5, 5, 10)


class Meters:
    """One registry for an app, so that two apps in a process do not share counts."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "tend_api_requests", "Requests answered", ("method", "route", "status"), registry=self.registry
        )
        self.seconds = Histogram(
            "tend_api_request_seconds",
            "Real seconds from a request to its answer; intake is POST /v1/leads",
            ("method", "route"),
            buckets=_BUCKETS,
            registry=self.registry,
        )
        # result: see the table of metrics in docs/runbook.md
        self.webhooks = Counter(
            "tend_webhook_events", "Callbacks of providers", ("provider", "result"), registry=self.registry
        )

        # found by workers, kept in the database: every API process shows the same
        self.swept, self.odd = Swept(), Odd()
        self.registry.register(self.swept)
        self.registry.register(self.odd)

    def text(self) -> bytes:
        return generate_latest(self.registry)


class Swept(Collector):
    """What the last sweep found, by kind: set anew before each answer."""

    tallies: Sequence[tuple[Tally, datetime]] = ()

    def collect(self) -> Iterator[Metric]:
        found = GaugeMetricFamily("tend_sweep_found", "Found by the last sweep", labels=("kind",))
        repaired = CounterMetricFamily("tend_sweep_repaired", "Woken by sweeps", labels=("kind",))
        oldest = GaugeMetricFamily("tend_sweep_oldest_seconds", "Real age of the oldest found", labels=("kind",))
        at = GaugeMetricFamily("tend_sweep_last_timestamp_seconds", "When the last sweep ended")
        for tally, _ in self.tallies:
            found.add_metric((tally.kind.value,), tally.found)
            repaired.add_metric((tally.kind.value,), tally.repaired)
            oldest.add_metric((tally.kind.value,), tally.oldest.total_seconds())
        if self.tallies:
            at.add_metric((), max(at for _, at in self.tallies).timestamp())
        yield from (found, repaired, oldest, at)


class Odd(Collector):
    """Machines whose clock was found apart from the database's: set anew before each answer."""

    clocks: Sequence[OddClock] = ()

    def collect(self) -> Iterator[Metric]:
        refused = CounterMetricFamily("tend_clock_apart", "Noticed: clock and database apart", labels=("host",))
        apart = GaugeMetricFamily("tend_clock_apart_seconds", "How far, the last time", labels=("host",))
        at = GaugeMetricFamily("tend_clock_apart_timestamp_seconds", "When that was", labels=("host",))
        for clock in self.clocks:
            refused.add_metric((clock.host,), clock.times)
            apart.add_metric((clock.host,), clock.apart.total_seconds())
            at.add_metric((clock.host,), clock.at.timestamp())
        yield from (refused, apart, at)
