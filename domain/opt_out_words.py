"""Words that end all contact. Source: Twilio's defaults and 47 CFR 64.1200(a)(10), which adds "opt out"."""

from domain.same_person import fold_name

OPT_OUT = frozenset(
    {"stop", "stopall", "stop all", "unsubscribe", "cancel", "end", "quit", "revoke", "optout", "opt out"}
)


def is_opt_out(body: str) -> bool:
    """Whether a text is one of the words, whatever its case and punctuation."""
    return fold_name(body) in OPT_OUT
