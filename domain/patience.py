"""How late is too late, in product time."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Self

from domain.clock import APART


@dataclass(frozen=True, slots=True)
class Patience:
    """`overslept`: a step so much later than planned was carried out in time by nobody: server or workers were away.

    `call`: a call of which nothing is heard for so long is over to who dials anew, and what the carrier had to say of
    it was lost.
    `clocks`: facts so much ahead of now were dated by a clock that has been set back since.
    `confirmation`: a confirmation of an opt-out is presumed fine within 5 minutes: 47 CFR 64.1200(a)(12).
    """

    overslept: timedelta = timedelta(minutes=15)
    call: timedelta = timedelta(minutes=30)
    confirmation: timedelta = timedelta(minutes=5)
    clocks: timedelta = APART

    @classmethod
    def on(cls, product: Callable[[timedelta], timedelta]) -> Self:
        """`product`: the most product time in so much real time. On a fast clock a hiccup of a second is hours."""
        least = cls()
        return cls(
            max(least.overslept, product(timedelta(minutes=1))),
            max(least.call, product(timedelta(minutes=1))),
            max(least.confirmation, product(timedelta(seconds=10))),
            max(least.clocks, product(APART)),
        )


PATIENCE = Patience()
