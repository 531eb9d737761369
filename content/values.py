"""What templates may say: the values of one lead at one moment."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from content.facilities import Facilities
from content.links import Links
from domain.foretell import upcoming
from domain.lead_state import LeadState
from domain.sequence import Sequence
from domain.touches import Channel

OFFER_LASTS = timedelta(days=7)


@dataclass(frozen=True)
class Voice:
    """How the organization speaks of itself, where its links lead, and its facilities."""

    organization: str
    postal_address: str
    links: Links = field(repr=False)
    facilities: Facilities = field(repr=False)

    def values(
        self, state: LeadState, sequence: Sequence | None, first_name: str, now: datetime, mailed_to: bytes = b""
    ) -> dict[str, str]:
        """All variables of templates, as text. `now` is product time (UTC); `mailed_to` a mail's address, its index."""
        appointment = state.anchor() or state.booked()
        facility = self.facilities.get(appointment.facility if appointment else state.facility)
        zone = ZoneInfo(state.zones[0] if len(state.zones) == 1 else facility.zone)
        starts = appointment.starts_at if appointment else None
        local = starts.astimezone(ZoneInfo(facility.zone)) if starts else None
        return {
            "first_name": first_name,
            "organization": self.organization,
            "facility_name": facility.name,
            "facility_address": facility.address,
            "facility_phone": facility.phone,
            "callback_at": _callback_at(state, sequence, now, zone),
            "booking_link": self.links.url("booking", state.lead_id),
            "appointment_day": local.strftime("%A, %B %-d") if local else "",
            "appointment_time": local.strftime("%-I:%M %p %Z") if local else "",
            "offer_until": (now + OFFER_LASTS).astimezone(zone).strftime("%A, %B %-d"),
            "unsubscribe_link": self.links.url("unsubscribe", state.lead_id, mailed_to),
            "postal_address": self.postal_address,
        }


def _callback_at(state: LeadState, sequence: Sequence | None, now: datetime, zone: ZoneInfo) -> str:
    """When the sequence's next call comes; soon if it has none, and nothing where nobody can call."""
    if not state.reachable(Channel.VOICE):
        return ""
    if sequence is None or not sequence.has_calls:
        return "soon"
    calls = (u.at for u in upcoming(state, sequence, now) if u.kind == "call")
    at = next((at for at in calls if at is not None), None)
    return _when(at, now, zone) if at is not None else "soon"


def _when(at: datetime, now: datetime, zone: ZoneInfo) -> str:
    local, today = at.astimezone(zone), now.astimezone(zone).date()
    days = (local.date() - today).days
    day = {0: "today", 1: "tomorrow"}.get(days, local.strftime("on %A, %B %-d"))
    return f"{day} at {local.strftime('%-I:%M %p %Z')}"
