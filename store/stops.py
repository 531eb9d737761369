"""Stops live on the address: they hold for every lead that has it, now and later. Here as statements."""

from collections.abc import Callable, Sequence
from datetime import datetime

from domain import facts as f
from domain.consequences import WRONG_NUMBER
from domain.touches import Channel
from store.lead_rows import Address
from store.round_trip import Statement

KIND_OF = {Channel.SMS: "phone", Channel.VOICE: "phone", Channel.EMAIL: "email"}
_STOP = (
    "INSERT INTO stops (address_id, channel, cause, at, code, lead_id)"
    " VALUES (%(address_id)s, %(channel)s, %(cause)s, %(at)s, %(code)s, %(lead_id)s)"
    " ON CONFLICT (address_id, channel) DO UPDATE"
    " SET cause = EXCLUDED.cause, at = EXCLUDED.at, lead_id = EXCLUDED.lead_id"
    " WHERE EXCLUDED.cause = 'opt_out' AND stops.cause <> 'opt_out'"
)
_WRONG = "UPDATE lead_addresses SET wrong = true WHERE lead_id = %(lead)s AND address_id = %(address)s"
AddressOf = Callable[[Channel], Address | None]


def stops_in(records: Sequence[f.Recorded]) -> list[tuple[f.Recorded, f.OptedOut | f.Suppressed]]:
    return [(r, r.fact) for r in records if isinstance(r.fact, f.OptedOut | f.Suppressed)]


def shut(lead_id: str, address_of: AddressOf, records: Sequence[f.Recorded]) -> list[Statement]:
    """The rows of the stops among these facts of the lead."""
    statements: list[Statement] = []
    for record, fact in stops_in(records):
        for channel in fact.channels:
            address = _stopped_by(fact, address_of(channel))
            if address is None:
                continue
            if _is_wrong(fact):  # somebody's, and perhaps of another lead of ours
                statements.append(wrong(lead_id, address.id))
                continue
            cause, code = ("opt_out", None) if isinstance(fact, f.OptedOut) else (fact.cause, fact.code)
            statements.append(stop(address.id, channel, cause, record.at, code=code, lead_id=lead_id))
    return statements


def stop(
    address_id: str, channel: Channel, cause: str, at: datetime, *, code: str | None = None, lead_id: str | None = None
) -> Statement:
    """Its row. `lead_id`: whose fact tells of it."""
    row = {"address_id": address_id, "channel": channel.value, "cause": cause}
    return _STOP, row | {"at": at, "code": code, "lead_id": lead_id}


def reaching(records: Sequence[f.Recorded]) -> list[f.OptedOut | f.Suppressed]:
    """Those that hold for the other leads of their addresses too."""
    return [fact for _, fact in stops_in(records) if not _is_wrong(fact)]


def stopped_at(address_of: AddressOf, facts: Sequence[f.OptedOut | f.Suppressed]) -> set[str]:
    """The ids of the addresses that these stop."""
    return {a.id for fact in facts for channel in fact.channels if (a := _stopped_by(fact, address_of(channel)))}


def wrong(lead_id: str, address_id: str) -> Statement:
    """Keeps that the address is not this lead's."""
    return _WRONG, {"lead": lead_id, "address": address_id}


def _stopped_by(fact: f.OptedOut | f.Suppressed, address: Address | None) -> Address | None:
    """None: one that the lead had given by mistake. What the lead wants is not for its owner to bear.

    What a provider says of an address is true of it whoever's it is.
    """
    return None if address is not None and address.wrong and isinstance(fact, f.OptedOut) else address


def _is_wrong(fact: f.OptedOut | f.Suppressed) -> bool:
    return isinstance(fact, f.Suppressed) and fact.cause == WRONG_NUMBER
