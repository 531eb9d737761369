"""Click-to-call: first the line of the coordinator who dialled rings, and 1 pressed there has the lead dialled.

While the line rings the touch is delayed, and says so; the claim is made when the key is pressed. What goes wrong
before that is no call to the lead: its task stays with who holds it, and can be dialled again.
"""

from datetime import timedelta

from domain import facts as f
from domain.lead_state import Touch
from domain.touches import Disposition, TouchStatus

# Real time from the request for the coordinator's call: 25 s to ring, the whisper, ten to press a key, and a margin.
WAITS = timedelta(seconds=90)

# No longer is the lead on the line: the carrier sees to that, in real time. Its holder has the task as long.
TALKS = timedelta(hours=2)
RINGS = "desk.rings"  # the rule of a touch that waits for the key
RINGING = "the coordinator's own line is called first"
NO_LINE = ("desk.no_line", "nobody knows the line of who dialled")  # rules and reasons of those that wait no more
REFUSED = "desk.refused"
_SILENT = ("desk.no_answer", "the coordinator's line did not answer")
_ENDED = {
    Disposition.ANSWERED: ("desk.no_key", "nobody pressed 1 at the coordinator's line"),
    Disposition.VOICEMAIL: ("desk.no_key", "nobody pressed 1 at the coordinator's line"),
    Disposition.BUSY: ("desk.busy", "the coordinator's line was busy"),
    Disposition.NO_ANSWER: _SILENT,
    Disposition.FAILED: ("desk.failed", "the coordinator's line could not be called"),
}


def rings(touch: Touch) -> bool:
    """Whether the coordinator's line rings for it, or did until a moment ago; when that is over, `until` says."""
    return touch.status is TouchStatus.DELAYED and touch.rule == RINGS


def ended(touch: Touch, how: Disposition | None = None) -> f.TouchChanged:
    """The coordinator's call ended, and no key was pressed; without `how` nothing was heard of it in time."""
    rule, reason = _ENDED[how] if how is not None else _SILENT
    return f.TouchChanged.of(touch, TouchStatus.FAILED, rule=rule, reason=reason)


def kept_from(touch: Touch) -> str | None:
    """The rule by which the gate kept it from being dialled, as the key was pressed or before."""
    over = touch.status in (TouchStatus.SKIPPED, TouchStatus.FAILED) and never_left(touch)
    return touch.rule if over and touch.rule is not None and not touch.rule.startswith("desk.") else None


def never_left(touch: Touch) -> bool:
    """Whether it never came to dialling the lead."""
    return touch.claimed_at is None
