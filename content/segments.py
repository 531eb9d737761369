"""How many segments a text costs, and in which encoding carriers send it."""

from dataclasses import dataclass
from typing import Literal

Encoding = Literal["GSM-7", "UCS-2"]

# GSM 03.38 default alphabet; the extension table goes through an escape, so its characters count two.
_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENSION = frozenset("\f^{}\\[~]|€")
# units in a message that fits one segment, and in each segment of a longer one (the rest is the header that joins them)
_LIMITS: dict[Encoding, tuple[int, int]] = {"GSM-7": (160, 153), "UCS-2": (70, 67)}


@dataclass(frozen=True, slots=True)
class Segments:
    """`units`: septets (GSM-7) or 16-bit units (UCS-2), without the padding between segments."""

    encoding: Encoding
    units: int
    count: int


def segments(text: str) -> Segments:
    """The cost of a text. An empty one has no segment."""
    encoding: Encoding
    if all(c in _BASIC or c in _EXTENSION for c in text):
        encoding, sizes = "GSM-7", [2 if c in _EXTENSION else 1 for c in text]
    else:
        encoding, sizes = "UCS-2", [2 if ord(c) > 0xFFFF else 1 for c in text]
    units, (alone, joined) = sum(sizes), _LIMITS[encoding]
    if units <= alone:
        return Segments(encoding, units, 1 if units else 0)
    count, used = 1, 0
    for size in sizes:
        if used + size > joined:  # a pair is never split between two segments
            count, used = count + 1, 0
        used += size
    return Segments(encoding, units, count)
