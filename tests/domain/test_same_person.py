"""Whether two names at one address may be one person."""

import pytest

from domain.same_person import compatible

Name = tuple[str, str | None]


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (("Maria", "Lopez"), ("maria", "LÓPEZ")),
        (("Maria", "Lopez"), ("Maria", None)),
        (("Maria", "Lopez"), ("M", "Lopez")),
        (("Maria", "Lopez"), ("Maria Lopez", None)),  # a form with one field
        (("Maria", "Lopez"), ("Lopez", "Maria")),  # the last name first
        (("Mary Ann", "Lee"), ("Mary Ann", None)),
        (("Ann", "Lee"), ("Ann Marie", "Lee")),
        (("李", "王"), ("李", None)),
        (("Ann", "Lee"), ("Mrs. Ann", "Lee")),
    ],
)
def test_one_person(a: Name, b: Name) -> None:
    assert compatible(*a, *b)
    assert compatible(*b, *a)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (("Maria", "Lopez"), ("Marta", "Lopez")),
        (("Robert", "Lee"), ("Roberta", "Lee")),
        (("John", "Doe Sr"), ("John", "Doe Jr")),
        (("Ann", "Lee"), ("Ann Smith", None)),
        (("Mary Ann", "Smith"), ("Mary Lou", "Smith")),
        (("Anne-Marie", "Roy"), ("Anne", "Roy")),
        (("John Sr", "Roy"), ("John Jr", "Roy")),
        (("John", "Roy"), ("John Jr", "Roy")),
        (("Ann", "Lee"), ("Ann Marie", "Smith")),
        (("李", None), ("李明", None)),  # a whole name, no initial
        (("1", None), ("12", None)),
    ],
)
def test_two_people(a: Name, b: Name) -> None:
    assert not compatible(*a, *b)
    assert not compatible(*b, *a)
