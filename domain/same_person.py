"""Whether two names at one address may be one person. A relative must not be taken for the lead."""

import unicodedata


def compatible(first: str, last: str | None, other_first: str, other_last: str | None) -> bool:
    """Same first name (or its initial) and no contradicting last name. Case and accents do not count.

    A name that begins like the other is another's: Robert and Roberta may share a phone.
    """
    a, b = _known(first), _known(other_first)
    c, d = _known(last or ""), _known(other_last or "")
    return _first_names_agree(a, b) and (not c or not d or c == d)


def fold_name(name: str) -> str:
    """Lower case, no accents, single spaces: what two spellings of one name share.

    Marks that are letters in their own right (the vowels of many scripts) stay.
    """
    decomposed = unicodedata.normalize("NFKD", name.casefold())
    kept = "".join(c for c in decomposed if not unicodedata.combining(c))
    return " ".join("".join(c if c.isalnum() or unicodedata.category(c)[0] == "M" else " " for c in kept).split())


def _known(name: str) -> str:
    """As folded; a name without a single letter as it was typed."""
    return fold_name(name) or name.strip()


def _first_names_agree(a: str, b: str) -> bool:
    if a == b:
        return True
    short, long = sorted((a, b), key=len)
    return len(short) == 1 and long.startswith(short)
