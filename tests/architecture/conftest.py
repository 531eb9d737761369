"""The documents and the code they speak of. Nothing here starts a server."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.hosting.compose_file import ComposeFile, documented_env
from tests.hosting.compose_file import read as read_compose

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


@pytest.fixture(scope="session")
def sandboxed_env(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return documented_env(tmp_path_factory.mktemp("env"))


@pytest.fixture(scope="session")
def production_env(sandboxed_env: dict[str, str], needed_live: dict[str, str]) -> dict[str, str]:
    """As the document says: without the first three lines, with what its table calls needed."""
    first_three = ("COMPOSE_PROFILES", "TEND_ENVIRONMENT", "TEND_CARRIER")
    assert tuple(sandboxed_env)[:3] == first_three
    return {key: value for key, value in sandboxed_env.items() if key not in first_three} | needed_live


@pytest.fixture(scope="session")
def production(production_env: dict[str, str]) -> ComposeFile:
    return read_compose(production_env)


@pytest.fixture(scope="session")
def needed_live() -> dict[str, str]:
    """What docs/hosting.md asks for in production beside passwords and keys, with values that can be."""
    return {
        "TEND_PUBLIC_URL": "https://tend.example.org",
        "TEND_ORGANIZATION": "A Practice",
        "TEND_EMAIL_FROM": "care@practice.example.org",
        "TEND_POSTAL_ADDRESS": "1 Some Street, Sometown, NY 10001",
        "TEND_TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
        "TEND_TWILIO_AUTH_TOKEN": "secret",
        "TEND_TWILIO_FROM": "+12125550100",
        "TEND_SENDGRID_API_KEY": "secret",
        "TEND_SENDGRID_WEBHOOK_KEY": "public",
    }
