"""How often, and when, a touch is tried again that its provider certainly did not take. Pure."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from domain.contact_window import next_open
from domain.lead_state import Touch

# A provider that is away is asked again after 2, 4, 8 ... 300 real seconds, about an hour long; a call that somebody
# waits for at the desk, for a few seconds.
MOST_ATTEMPTS, MOST_DIALS = 20, 3
FIRST_PAUSE, LONGEST_PAUSE = 2.0, 300.0
PROVIDER_QUIET = timedelta(hours=1)  # product time
MOST_QUIET_HOURS = 5  # so often a provider's own quiet hours put a touch off


def pause_before_next_try(touch: Touch, least: float = 0.0) -> timedelta | None:
    """Real time to wait, at least `least` seconds; None if it was tried often enough."""
    if touch.tries >= (MOST_DIALS if touch.task_id else MOST_ATTEMPTS):
        return None
    return timedelta(seconds=max(least, min(FIRST_PAUSE * 2.0 ** (touch.tries - 1), LONGEST_PAUSE)))


def after_quiet_hours(touch: Touch, now: datetime, zones: Iterable[str]) -> datetime | None:
    """When a touch goes again that came in the provider's quiet hours (product time); None: often enough."""
    return next_open(now + PROVIDER_QUIET, zones) if touch.tries < MOST_QUIET_HOURS else None
