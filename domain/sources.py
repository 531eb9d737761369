"""Where an inquiry can come from."""

from typing import Final, Literal, get_args

SourceChannel = Literal[
    "web_form",
    "phone",
    "missed_call",
    "chat",
    "social",
    "google_ads",
    "meta_ads",
    "referral",
    "event",
    "csv",
    "walk_in",
    "partner",
]

SOURCE_CHANNELS: Final[frozenset[str]] = frozenset(get_args(SourceChannel))
