"""`when`: a small checked language, with answers yes, no and not yet."""

from itertools import product

import pytest

from domain.condition import Join, Not, Question, evaluate, parse_condition, questions
from domain.errors import InvalidSequence

A, B = Question("answered", "a"), Question("sent", "b")


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("answered(a)", A),
        ("not answered(a)", Not(A)),
        ("not not answered(a)", Not(Not(A))),
        (" answered ( a ) ", A),
        ("not(answered(a))", Not(A)),
        ("answered(a) and sent(b)", Join("and", (A, B))),
        ("answered(a) or not sent(b)", Join("or", (A, Not(B)))),
        ("answered(a) and sent(b) or booked()", Join("or", (Join("and", (A, B)), Question("booked", None)))),
        ("answered(a) and (sent(b) or booked())", Join("and", (A, Join("or", (B, Question("booked", None)))))),
        ("replied()", Question("replied", None)),
        ("sent(order)", Question("sent", "order")),  # a key that begins with a word of the language
        ("sent(notice) and missed(android)", Join("and", (Question("sent", "notice"), Question("missed", "android")))),
    ],
)
def test_it_reads(text: str, means: object) -> None:
    assert parse_condition(text) == means


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "cannot read it"),
        ("answered", "cannot read it"),
        ("answered(a) sent(b)", "cannot read it"),
        ("answered(a) and", "cannot read it"),
        ("answered(a", "cannot read it"),
        ("(answered(a)", "cannot read it"),
        ("answered(and)", "cannot read it"),
        ("Answered(a)", "cannot read it"),
        ("answered(a) && sent(b)", "cannot read it"),
        ("__import__('os')", "cannot read it"),
        ("open(a)", "no question open"),
        ("notanswered(a)", "no question notanswered"),
        ("answered()", "takes the key of a step"),
        ("replied(a)", "takes nothing"),
        ("1 or 1", "cannot read it"),
    ],
)
def test_what_it_cannot_read_says_what_was_meant(text: str, says: str) -> None:
    with pytest.raises(InvalidSequence, match=says):
        parse_condition(text)


def test_the_error_shows_an_example_and_the_questions() -> None:
    with pytest.raises(InvalidSequence, match=r"not answered\(call1\).*answered\(step\), booked\(\), missed\(step\)"):
        parse_condition("what?")


def test_the_questions_it_asks() -> None:
    assert questions(parse_condition("not answered(a) and (sent(b) or answered(a))")) == (A, B, A)


VALUES = (True, False, None)


@pytest.mark.parametrize(("a", "b"), list(product(VALUES, VALUES)))
def test_not_yet_decides_nothing_unless_the_rest_decides(a: bool | None, b: bool | None) -> None:
    def value(text: str) -> bool | None:
        return evaluate(parse_condition(text), lambda q: a if q == A else b)

    both = False if False in (a, b) else None if None in (a, b) else True
    either = True if True in (a, b) else None if None in (a, b) else False
    assert value("answered(a) and sent(b)") is both
    assert value("answered(a) or sent(b)") is either
    assert value("not answered(a)") is (None if a is None else not a)
    # what holds of any two answers: De Morgan
    assert value("not (answered(a) and sent(b))") is value("not answered(a) or not sent(b)")
    assert value("not (answered(a) or sent(b))") is value("not answered(a) and not sent(b)")
