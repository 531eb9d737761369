"""The expression language of `when`: a few questions about a lead's steps, joined by and, or, not.

    not answered(call1)      sent(confirm) and not replied()

A question about a step that is not settled yet has no answer: the step with the condition waits for it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from lark import Lark, Token, Transformer, UnexpectedInput

from domain.errors import InvalidSequence

_GRAMMAR = r"""
?start: or_
?or_: and_ ("or" and_)*
?and_: not_ ("and" not_)*
?not_: "not" not_ -> negated
     | question
     | "(" or_ ")"
question: NAME "(" [NAME] ")"
NAME: /(?!(and|or|not)\b)[a-z][a-z0-9_]*/
%import common.WS
%ignore WS
"""

# question -> does it name a step?
QUESTIONS = {
    "answered": True,  # a person answered the call of this step
    "sent": True,  # the provider took a touch of this step
    "missed": True,  # nobody claimed the call, or what the step waited for did not come
    "replied": False,  # the lead has written at least once
    "booked": False,  # an appointment stands
}


_WRITTEN = ", ".join(f"{name}({'step' if of_step else ''})" for name, of_step in sorted(QUESTIONS.items()))


@dataclass(frozen=True, slots=True)
class Question:
    name: str
    step: str | None


@dataclass(frozen=True, slots=True)
class Not:
    inner: "Condition"


@dataclass(frozen=True, slots=True)
class Join:
    op: Literal["and", "or"]
    parts: tuple["Condition", ...]


Condition = Question | Not | Join


class _Build(Transformer[Token, Condition]):
    def question(self, items: list[Token | None]) -> Condition:
        name, step = items
        return Question(str(name), str(step) if step is not None else None)

    def negated(self, items: list[Condition]) -> Condition:
        return Not(items[0])

    def and_(self, items: list[Condition]) -> Condition:
        return Join("and", tuple(items))

    def or_(self, items: list[Condition]) -> Condition:
        return Join("or", tuple(items))


_PARSER = Lark(_GRAMMAR, parser="lalr", maybe_placeholders=True)


@lru_cache(maxsize=512)
def parse_condition(text: str) -> Condition:
    """Raises InvalidSequence with what was meant."""
    try:
        tree = _PARSER.parse(text)
    except UnexpectedInput as e:
        raise InvalidSequence(
            f"condition {text!r}: cannot read it at column {getattr(e, 'column', 1)}; "
            f"write for instance: not answered(call1) and not replied(). Questions: {_WRITTEN}"
        ) from None
    condition = _Build().transform(tree)
    for question in questions(condition):
        if question.name not in QUESTIONS:
            raise InvalidSequence(f"condition {text!r}: no question {question.name}(); there are {_WRITTEN}")
        if QUESTIONS[question.name] != (question.step is not None):
            wanted = "the key of a step" if QUESTIONS[question.name] else "nothing"
            raise InvalidSequence(f"condition {text!r}: {question.name}() takes {wanted}")
    return condition


def questions(condition: Condition) -> tuple[Question, ...]:
    match condition:
        case Question():
            return (condition,)
        case Not(inner):
            return questions(inner)
        case Join(_, parts):
            return tuple(q for part in parts for q in questions(part))


def evaluate(condition: Condition, ask: Callable[[Question], bool | None]) -> bool | None:
    """True, False, or None while a step that decides it is not settled (three-valued logic)."""
    match condition:
        case Question():
            return ask(condition)
        case Not(inner):
            value = evaluate(inner, ask)
            return None if value is None else not value
        case Join(op, parts):
            values = [evaluate(part, ask) for part in parts]
            decisive = op == "or"
            if decisive in values:
                return decisive
            return None if None in values else not decisive
