"""The soak remembers how far it has come, whatever ends it, and writes what it found."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.faults import soak, soak_figures
from tests.faults.checker import Share, Verdict
from tests.faults.record import Round, Struck
from tests.faults.run import Judged
from tests.faults.seen import Seen, Violation

NOW = datetime(2026, 11, 2, tzinfo=UTC)
VERDICT = Verdict(
    leads=3,
    accepted=5,
    sent=7,
    off=Share(6, 1, 1),
    on=Share(4, 2, 0),
    violations=(Violation("duplicate", "lead", "link"), Violation("lost", "lead", "a note")),
)


class Rounds:
    """Stands for the stack: each round kills two workers, freezes Postgres, and misses an API that is away."""

    def __init__(self, interrupted: int | None = None) -> None:
        self.played: list[tuple[str, int, bool]] = []
        self._interrupted = interrupted

    async def __call__(self, path: Path, seed: int, *_: Any, faults: Any, **__: Any) -> Judged:
        self.played.append((path.name, seed, bool(faults)))
        if len(self.played) == self._interrupted:
            raise asyncio.CancelledError
        struck = [
            Struck("worker-1", "kill", NOW, NOW, 1),
            Struck("worker-2", "kill", NOW, NOW, 2),
            Struck("postgres", "freeze", NOW, NOW, 3),
            Struck("api", "kill", NOW, NOW, None),
        ]
        return Judged(VERDICT, Round(seed, 0, 3, faults, "", [], struck), Seen([], {}, {}, {}, ""))


@pytest.fixture
def figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    keep = soak_figures.keep
    monkeypatch.setattr(soak_figures, "keep", lambda state: keep(state, tmp_path))
    return tmp_path / "faults.md"


async def _run(path: Path, rounds: Rounds, kills: int, monkeypatch: pytest.MonkeyPatch) -> soak.State:
    monkeypatch.setattr(soak, "run_round", rounds)
    one = soak.Soak(path, 100, kills)
    await one.run()
    return one.state


async def test_it_goes_on_where_it_was(tmp_path: Path, figures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = Rounds(), Rounds()
    await _run(tmp_path / "soak", first, 4, monkeypatch)
    state = await _run(tmp_path / "soak", second, 10, monkeypatch)
    assert first.played == [("data-001", 100, False), ("data-001", 101, True)]
    assert second.played == [("data-001", 102, False), ("data-002", 103, True), ("data-002", 104, False)]
    assert (state.kills, state.freezes) == ({"worker": 10}, {"postgres": 5})


async def test_an_interrupted_round_is_played_anew_elsewhere(
    tmp_path: Path, figures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(asyncio.CancelledError):
        await _run(tmp_path / "soak", Rounds(interrupted=2), 4, monkeypatch)
    again = Rounds()
    state = await _run(tmp_path / "soak", again, 4, monkeypatch)
    assert again.played == [("data-002", 101, True)]
    assert (state.rounds, state.killed) == (2, 4)


def _lines(file: Path) -> list[str]:
    return file.read_text().splitlines()


async def test_figures_are_those_of_each_directorys_last_verdict(
    tmp_path: Path, figures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _run(tmp_path / "soak", Rounds(), 8, monkeypatch)
    lines = _lines(figures)
    for row in (
        "| worker | 8 | 0 |",
        "| Postgres | 0 | 4 |",
        "| all | 8 | 4 |",
        "| leads | 6 |  |",
        "| duplicates | 2 | 0 |",
        "| unaccounted | 2 | 0 |",
        "| claimed or arrived after a stop | 0 | 0 |",
        "| unknown, carrier well | 2 (16.67%) | 0 |",
        "| unknown, carrier ill | 4 (50.00%) |  |",
        "- 2 lost: accepted with a 2xx, and not there",
    ):
        assert row in lines
    assert any("seed 100, 4 rounds" in line for line in lines)
    assert f"- code: {soak.commit()} (4 rounds)" in lines


async def test_a_directory_is_judged_again(tmp_path: Path, figures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await _run(tmp_path / "soak", Rounds(), 8, monkeypatch)
    asked: list[str] = []

    def judge_again(path: Path) -> Verdict:
        asked.append(path.name)
        return replace(VERDICT, violations=())

    monkeypatch.setattr(soak, "judge_again", judge_again)
    soak.Soak(tmp_path / "soak", None, 8).judge_again(2)
    assert asked == ["data-002"]
    assert "| unaccounted | 1 | 0 |" in _lines(figures)
    assert "- judged again by a later checker: data directory 2" in _lines(figures)
    assert soak.Soak(tmp_path / "soak", None, 8).state.directories[1].unaccounted == 0
