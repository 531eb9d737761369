"""Words that end all contact. Source: Twilio's defaults and 47 CFR 64.1200(a)(10), which adds "opt out".

A message is a stop if it is one of them, with nothing else but words that say the same more kindly or at more length.
What is said in other words is for a person to read.
"""

import unicodedata

from domain.same_person import fold_name

OPT_OUT = frozenset({"stop", "stopall", "unsubscribe", "cancel", "end", "quit", "revoke", "optout"})
_OF_MANY_THINGS = frozenset({"cancel", "end", "quit"})  # a call or an appointment can be meant, if more is said
_KINDLY = frozenset({"please", "pls", "now", "all", "thanks"})
_ABOUT_US = _KINDLY | {
    *("it", "this", "that", "everything", "me", "my", "number", "off", "from", "your", "the", "list", "these", "any"),
    *("more", "us", "you", "to", "and", "thank", "text", "texts", "texting", "message", "messages", "messaging"),
    *("sms", "call", "calls", "calling", "contact", "contacting", "send", "sending", "writing", "bothering"),
    *("immediately", "future", "again", "anymore"),
}
_LONGEST = 8  # words
_SIGNATURE = ("sent from", "get outlook")  # of a phone


def is_opt_out(body: str) -> bool:
    """Whether a text is one of the words, whatever its case, punctuation and politeness."""
    words = _one_word(_words(body))
    ends = {word for word in words if word in OPT_OUT}
    more = _KINDLY if ends <= _OF_MANY_THINGS else _ABOUT_US
    return bool(ends) and len(words) <= _LONGEST and all(word in ends or word in more for word in words)


def _words(body: str) -> list[str]:
    """The words without accents, invisible characters and a phone's signature; S.T.O.P is one word."""
    seen = "".join(c for c in body if unicodedata.category(c) != "Cf")
    lines = [line for line in seen.splitlines() if not line.strip().lower().startswith(_SIGNATURE)]
    words = fold_name(" ".join(lines)).split()
    return ["".join(words)] if len(words) > 2 and all(len(word) == 1 for word in words) else words


def _one_word(words: list[str]) -> list[str]:
    """`opt out`, `remove me` and the like as the one word that they mean."""
    text = f" {' '.join(words)} "
    for said in (" opt me out ", " opt out ", " remove me ", " remove my number ", " take me off "):
        text = text.replace(said, " optout ")
    return text.split()
