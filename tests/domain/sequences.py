"""The sequences of the domain tests, as the files hold them, and a book that keeps them."""

from dataclasses import dataclass, replace
from typing import Any

from domain.sequence import Sequence, parse_sequence

CONSULTATION: dict[str, Any] = {
    "key": "consultation",
    "code": "s07",
    "title": "Consultation request",
    "channels": ["sms", "voice", "email"],
    "exits": {
        "booked": "booked",
        "arrived": "booked",
        "completed": "stop",
        "cancelled": "recovery",
        "no_show": "recovery",
        "opted_out": "stop",
        "disqualified": "stop",
        "replied": {"rest": "until_answered", "resume_after": "2 days"},
    },
    "steps": [
        {"key": "confirm", "after": "0 s", "sms": "confirm_callback", "at_once": {"email": "confirm_night"}},
        {"key": "call1", "after": "2 min", "call": {"script": "first_call", "claim_within": "10 min"}},
        {"key": "bio", "after": "1 h", "email": "provider_bio", "when": "not answered(call1)"},
        {"key": "call2", "after": "4 h", "call": {"script": "second_call"}},
        {"key": "link", "after": "24 h", "sms": "scheduling_link"},
        {"key": "edu", "after": "3 d", "email": "education"},
        {"key": "end", "after": "7 d", "all": [{"call": {"script": "final"}}, {"email": "offer_limited"}]},
    ],
}

BOOKED: dict[str, Any] = {
    "key": "booked",
    "code": "s02",
    "title": "Booked",
    "exits": {
        "rescheduled": "booked",
        "cancelled": "recovery",
        "no_show": "recovery",
        "completed": "stop",
        "disqualified": "stop",
        "replied": {"rest": "until_answered", "resume_after": "0 s"},
    },
    "steps": [
        {"key": "confirm", "after": "0 s", "all": [{"sms": "booked_confirm"}, {"email": "booked_confirm"}]},
        {"key": "remind_24h", "before": "24 h", "of": "appointment", "sms": "remind_day"},
        {"key": "remind_2h", "before": "2 h", "of": "appointment", "sms": "remind_hours"},
        {"key": "outcome", "after": "0 s", "of": "appointment", "wait": {"for": "outcome", "up_to": "3 days"}},
        {
            "key": "ask_outcome",
            "after": "0 s",
            "of": "outcome",
            "when": "missed(outcome)",
            "task": {"kind": "review", "script": "ask_outcome"},
        },
    ],
}

RECOVERY: dict[str, Any] = {
    "key": "recovery",
    "code": "s03",
    "title": "Recovery",
    "exits": {
        "booked": "booked",
        "arrived": "booked",
        "completed": "stop",
        "opted_out": "stop",
        "disqualified": "stop",
        "replied": {"rest": "until_answered", "resume_after": "2 days"},
    },
    "steps": [
        {"key": "sorry", "after": "30 min", "sms": "recovery_sms"},
        {"key": "call", "after": "1 d", "call": {"script": "recovery_call"}},
        {"key": "again", "after": "3 d", "email": "recovery_email"},
    ],
}


@dataclass(frozen=True)
class FixedBook:
    """Sequence versions in memory; implements domain.reactions.Book."""

    sequences: tuple[Sequence, ...]

    def latest(self, key: str) -> Sequence:
        return max((s for s in self.sequences if s.key == key), key=lambda s: s.version)

    def get(self, key: str, version: int) -> Sequence:
        return next(s for s in self.sequences if (s.key, s.version) == (key, version))

    def with_(self, *raw: dict[str, Any]) -> "FixedBook":
        """The same book with further versions: of each key the newest."""
        out = self.sequences
        for one in raw:
            parsed = parse_sequence(one)
            version = 1 + sum(s.key == parsed.key for s in out)
            out = (*out, replace(parsed, version=version))
        return FixedBook(out)


BOOK = FixedBook(()).with_(CONSULTATION, BOOKED, RECOVERY)


def sequence(*steps: dict[str, Any], key: str = "custom", **exits: Any) -> dict[str, Any]:
    """A small sequence of its own; the key consultation makes it the one that a story starts with."""
    return {"key": key, "code": "s99", "title": "A test's own", "steps": list(steps), "exits": exits}
