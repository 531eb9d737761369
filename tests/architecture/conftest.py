"""The documents and the code they speak of. Nothing here starts a server."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
Read = Callable[[str], str]


@pytest.fixture(scope="session")
def read() -> Read:
    """The text of a file, named from the top of the repository."""
    return lambda name: (ROOT / name).read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def rows(read: Read) -> Callable[[str], list[list[str]]]:
    """The rows of all tables of a document, as cells."""

    def of(name: str) -> list[list[str]]:
        lines = [line for line in read(name).splitlines() if line.startswith("|")]
        return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]

    return of


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT
