"""What `tend doctor` says: one line a check."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum


class Verdict(StrEnum):
    OK = "ok"
    WRONG = "wrong"
    REPAIRED = "repaired"


@dataclass(frozen=True, slots=True)
class Line:
    """`found` in one line; `do`: what to do, where something is."""

    check: str
    verdict: Verdict
    found: str
    do: str = ""


def ok(check: str, found: str) -> Line:
    return Line(check, Verdict.OK, found)


def wrong(check: str, found: str, do: str) -> Line:
    return Line(check, Verdict.WRONG, found, do)


def length(age: timedelta) -> str:
    """In the largest unit that still says something."""
    seconds = int(age.total_seconds())
    if seconds < 120:
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 7200 else f"{seconds // 3600} h"
