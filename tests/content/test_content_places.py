"""Zones a lead can be in."""

import pytest
import zipcodes

from content import places
from content.places import candidate_zones
from domain.contact_window import ALL_ZONES
from domain.errors import InvalidInput

NEW_YORK = ("America/New_York",)


@pytest.mark.parametrize(
    ("postal_code", "stated", "expected"),
    [
        ("10001", None, NEW_YORK),
        ("10001-1234", None, NEW_YORK),
        ("100011234", None, NEW_YORK),
        (" 10001 ", None, NEW_YORK),
        ("42101", None, ("America/Chicago",)),  # western Kentucky, which an area code would put in New York
        ("32501", None, ("America/Chicago",)),  # western Florida
        ("85001", None, ("America/Phoenix",)),
        ("99546", None, ("America/Adak",)),
        ("96813", None, ("Pacific/Honolulu",)),
        ("00901", None, ("America/Puerto_Rico",)),
        ("10001", "America/Los_Angeles", NEW_YORK),  # the place counts before what was said
        (None, "America/Los_Angeles", ("America/Los_Angeles",)),
        ("", " America/Los_Angeles ", ("America/Los_Angeles",)),
        ("K1A 0B6", "America/Toronto", ("America/Toronto",)),
        ("00000", "America/Denver", ("America/Denver",)),  # no such code
        ("09012", "Europe/Berlin", ("Europe/Berlin",)),  # a military code has no zone of its own
        (None, None, ALL_ZONES),
        ("", "", ALL_ZONES),
        ("00000", None, ALL_ZONES),
        ("09012", None, ALL_ZONES),
        ("1000", None, ALL_ZONES),
        ("10001-12", None, ALL_ZONES),
        ("١٢٣٤٥", None, ALL_ZONES),
        ("99634", None, ALL_ZONES),  # the table names a town where a zone should be
    ],
)
def test_zones(postal_code: str | None, stated: str | None, expected: tuple[str, ...]) -> None:
    assert candidate_zones(postal_code, stated) == expected


@pytest.mark.parametrize(
    "stated", ["Mars/Base", "America", "../../etc/passwd", "/etc/localtime", "x" * 5000, "a\0b", "EST5EDT4EVER", "Zoë"]
)
@pytest.mark.parametrize("postal_code", [None, "10001"])
def test_a_zone_that_does_not_exist_names_its_field(stated: str, postal_code: str | None) -> None:
    with pytest.raises(InvalidInput, match=r"^timezone: not a time zone; write it as in America/New_York$") as e:
        candidate_zones(postal_code, stated)
    assert e.value.field == "timezone"


def test_leads_of_one_place_share_the_look_up(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    real = zipcodes.matching

    def counted(code: str) -> list[dict[str, str]]:
        asked.append(code)
        found: list[dict[str, str]] = real(code)  # type: ignore[no-untyped-call]
        return found

    places._zones_of_zip.cache_clear()
    monkeypatch.setattr(zipcodes, "matching", counted)
    places.warm_up()
    for _ in range(3):
        assert candidate_zones("60601", None) == ("America/Chicago",)
        assert candidate_zones("60601-0001", None) == ("America/Chicago",)
    assert asked == ["10001", "60601"]
