"""Whether two names at one address may be one person. A relative must not be taken for the lead."""

import unicodedata
from collections.abc import Iterator

_GENERATIONS = frozenset({"sr", "jr", "senior", "junior", "ii", "iii", "iv"})
_TITLES = frozenset({"mr", "mrs", "ms", "miss", "mx", "dr"})


def compatible(first: str, last: str | None, other_first: str, other_last: str | None) -> bool:
    """Same first name (or its initial) and no contradicting last name. Case and accents do not count.

    A form with one field for the name puts it whole into the first, and some people give the last name first. A name
    that begins like the other is another's: Robert and Roberta may share a phone.
    """
    if same_name(first, last, other_first, other_last):
        return True
    return any(_agree(a, b) for a in _readings(first, last) for b in _readings(other_first, other_last))


def same_name(first: str, last: str | None, other_first: str, other_last: str | None) -> bool:
    """The same words, in whatever order and fields."""
    words, others = f"{_known(first)} {_known(last or '')}", f"{_known(other_first)} {_known(other_last or '')}"
    return sorted(words.split()) == sorted(others.split())


def _readings(first: str, last: str | None) -> Iterator[tuple[str, str]]:
    """First and last name as given; and where the whole name may stand in one field, its last word as the last name."""
    yield _known(first), _known(last or "")
    words = _known(first).split()
    if not (last or "").strip() and len(words) > 1:
        yield " ".join(words[:-1]), words[-1]


def _agree(a: tuple[str, str], b: tuple[str, str]) -> bool:
    if a[1] and b[1] and a[1] != b[1]:
        return False
    if bool(a[1]) and a[1] == b[1]:  # a middle name that is not always given: Ann Lee and Ann Marie Lee
        short, long = sorted((a[0].split(), b[0].split()), key=len)
        more = long[len(short) :]
        if short and long[: len(short)] == short and not _GENERATIONS & set(more):
            return True
    return _first_names_agree(a[0], b[0])


def fold_name(name: str) -> str:
    """Lower case, no accents, single spaces: what two spellings of one name share.

    Marks that are letters in their own right (the vowels of many scripts) stay.
    """
    decomposed = unicodedata.normalize("NFKD", name.casefold())
    kept = "".join(c for c in decomposed if not unicodedata.combining(c))
    return " ".join("".join(c if c.isalnum() or unicodedata.category(c)[0] == "M" else " " for c in kept).split())


def _known(name: str) -> str:
    """As folded, without a title; a name without a single letter as it was typed. Anne-Marie is one name."""
    words = fold_name(name.replace("-", "")).split()
    return " ".join(words[1:] if len(words) > 1 and words[0] in _TITLES else words) or name.strip()


def _first_names_agree(a: str, b: str) -> bool:
    if a == b:
        return True
    short, long = sorted((a, b), key=len)
    initial = len(short) == 1 and short.upper() != short  # a letter; many scripts have whole names of one character
    return initial and long.startswith(short)
