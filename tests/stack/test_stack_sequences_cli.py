"""`tend sequences lint`: each file with its errors and warnings, and an exit code for scripts."""

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cli import app
from stack.publishing import CONFIG

PLAIN = """\
key: spring
code: s77
title: After the winter
channels: [sms]
exits: {opted_out: stop, disqualified: stop}
steps:
  - {key: hello, after: 1 h, sms: recovery_link}
"""


def lint(*words: str | Path) -> Result:
    return CliRunner().invoke(app, ["sequences", "lint", *map(str, words)])


def written(directory: Path, text: str, name: str = "spring.yaml") -> Path:
    path = directory / name
    path.write_text(text)
    return path


def test_a_file_without_faults(tmp_path: Path) -> None:
    done = lint(written(tmp_path, PLAIN))
    assert (done.exit_code, done.stdout) == (0, "files: 1, errors: 0, warnings: 0\n")


def test_a_step_that_resends_gives_up_the_guarantee(tmp_path: Path) -> None:
    path = written(tmp_path, PLAIN.replace("sms: recovery_link}", "sms: recovery_link, if_unknown: resend}"))
    done = lint(path)
    assert done.exit_code == 0, done.stdout
    assert done.stdout.startswith(
        f"{path}: warning: sequence spring, step hello: if_unknown: resend gives up that nobody is written to twice"
    )


def test_every_file_says_what_is_wrong_with_it(tmp_path: Path) -> None:
    wrong = written(tmp_path, PLAIN.replace("sms: recovery_link", "sms: no_such_text"))
    astray = written(
        tmp_path,
        PLAIN.replace("spring", "astray").replace("opted_out: stop", "opted_out: stop, no_show: nowhere"),
        "astray.yaml",
    )
    done = lint(wrong, astray, tmp_path / "missing.yaml", "--json")
    assert done.exit_code == 1
    said = json.loads(done.stdout)
    assert not said["well"]
    assert {(Path(f["file"]).name, f["level"]) for f in said["findings"]} == {
        ("spring.yaml", "error"),
        ("astray.yaml", "error"),
        ("missing.yaml", "error"),
    }
    texts = {Path(f["file"]).name: f["text"] for f in said["findings"]}
    assert "templates/no_such_text.yaml" in texts["spring.yaml"]
    assert "exits.no_show leads to 'nowhere'" in texts["astray.yaml"]


def test_a_shipped_file_may_be_the_one_that_is_wrong(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shipped = tmp_path / "config"
    shutil.copytree(CONFIG, shipped)
    monkeypatch.setattr("stack.publishing.CONFIG", shipped)
    wrong = shipped / "sequences" / "booked.yaml"
    wrong.write_text(wrong.read_text().replace("steps:", "stpes:", 1))
    done = lint(wrong, written(tmp_path, PLAIN), "--json")
    assert done.exit_code == 1
    assert [Path(f["file"]).name for f in json.loads(done.stdout)["findings"]] == ["booked.yaml"]


def test_two_files_of_one_key_are_one_too_many(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    done = lint(written(tmp_path, PLAIN), written(other, PLAIN))
    assert done.exit_code == 1
    assert "another of these files has the key 'spring' too" in done.stdout


def test_sequences_that_are_given_together_may_lead_to_each_other(tmp_path: Path) -> None:
    first = written(tmp_path, PLAIN.replace("opted_out: stop", "opted_out: stop, no_show: autumn"))
    other = written(tmp_path, PLAIN.replace("spring", "autumn").replace("s77", "s78"), "autumn.yaml")
    assert lint(first).exit_code == 1
    assert lint(first, other).exit_code == 0
