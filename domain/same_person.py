"""Whether two names at one address may be one person. A relative must not be taken for the lead."""

import unicodedata


def compatible(first: str, last: str | None, other_first: str, other_last: str | None) -> bool:
    """Same first name (or its initial) and no contradicting last name. Case and accents do not count.

    A name that begins like the other is another's: Robert and Roberta may share a phone.
    """
    a, b = fold_name(first), fold_name(other_first)
    c, d = fold_name(last or ""), fold_name(other_last or "")
    return _first_names_agree(a, b) and (not c or not d or c == d)


def fold_name(name: str) -> str:
    """Lower case, no accents, single spaces: what two spellings of one name share."""
    decomposed = unicodedata.normalize("NFKD", name.casefold())
    kept = "".join(c for c in decomposed if not unicodedata.combining(c))
    return " ".join("".join(c if c.isalnum() else " " for c in kept).split())


def _first_names_agree(a: str, b: str) -> bool:
    if a == b:
        return True
    short, long = sorted((a, b), key=len)
    return len(short) == 1 and long.startswith(short)
