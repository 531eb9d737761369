from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sandbox.world import Carrier, Receiver, config_for, receiving, running


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDKs obey proxy variables: all that is asked here is on this machine."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as one:
        yield one


@pytest.fixture
def carrier(tmp_path: Path, receiver: Receiver) -> Iterator[Carrier]:
    with running(config_for(tmp_path / "carrier", receiver)) as one:
        yield one
