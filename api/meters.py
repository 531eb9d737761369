"""What the API counts. Labels are route templates and words of ours: no id, no query, nothing of a person."""

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

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
        # result: taken, repeated_or_unknown, of_no_interest, bad_signature, too_old, unreadable
        self.webhooks = Counter(
            "tend_webhook_events", "Callbacks of providers", ("provider", "result"), registry=self.registry
        )

    def text(self) -> bytes:
        return generate_latest(self.registry)
