"""What a provider has told us, once."""

from store.round_trip import Statement

_EVENT = (
    "INSERT INTO inbound_events (provider, event_id, kind) VALUES (%(provider)s, %(event_id)s, %(kind)s)"
    " ON CONFLICT DO NOTHING RETURNING event_id"
)


def heard_once(provider: str, event_id: str, kind: str) -> Statement:
    """Answers a row the first time only."""
    return _EVENT, {"provider": provider, "event_id": event_id, "kind": kind}
