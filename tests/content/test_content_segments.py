"""Segments of a text, at every edge of both encodings."""

import pytest

from content.segments import Segments, segments


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", Segments("GSM-7", 0, 0)),
        ("a", Segments("GSM-7", 1, 1)),
        ("a" * 160, Segments("GSM-7", 160, 1)),
        ("a" * 161, Segments("GSM-7", 161, 2)),
        ("a" * 306, Segments("GSM-7", 306, 2)),
        ("a" * 307, Segments("GSM-7", 307, 3)),
        ("é£¥ñ@\r\n", Segments("GSM-7", 7, 1)),
        ("€", Segments("GSM-7", 2, 1)),
        ("[]{}\\^~|€\f", Segments("GSM-7", 20, 1)),
        ("a" * 158 + "€", Segments("GSM-7", 160, 1)),
        ("a" * 159 + "€", Segments("GSM-7", 161, 2)),
        # the pair does not fit the last place of the first segment, so it moves and the text needs one more
        ("a" * 152 + "€" + "a" * 152, Segments("GSM-7", 306, 3)),
        ("a" * 151 + "€" + "a" * 153, Segments("GSM-7", 306, 2)),
        ("`", Segments("UCS-2", 1, 1)),  # not in the alphabet, whatever it looks like
        ("ç", Segments("UCS-2", 1, 1)),  # only the capital is
        ("Ç", Segments("GSM-7", 1, 1)),
        ("don’t", Segments("UCS-2", 5, 1)),
        ("ë" * 70, Segments("UCS-2", 70, 1)),
        ("ë" * 71, Segments("UCS-2", 71, 2)),
        ("ë" * 134, Segments("UCS-2", 134, 2)),
        ("ë" * 135, Segments("UCS-2", 135, 3)),
        ("😀", Segments("UCS-2", 2, 1)),
        ("😀" * 35, Segments("UCS-2", 70, 1)),
        ("ë" * 66 + "😀" + "ë" * 66, Segments("UCS-2", 134, 3)),
        ("€" + "ë", Segments("UCS-2", 2, 1)),  # in UCS-2 nothing is escaped
    ],
)
def test_segments(text: str, expected: Segments) -> None:
    assert segments(text) == expected
