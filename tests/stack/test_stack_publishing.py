"""What a start says of the sequences that ship."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from config.data_dir import DataDir
from stack import publishing
from stack.up import Options, Stack


async def test_up_warns_of_a_step_that_resends_at_every_start(
    database_url: str,
    directory: DataDir,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shipped = tmp_path / "config"
    shutil.copytree(publishing.CONFIG, shipped, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    recovery = shipped / "sequences" / "recovery.yaml"
    text = recovery.read_text()
    recovery.write_text(text.replace("sms: recovery_link\n", "sms: recovery_link\n    if_unknown: resend\n"))
    monkeypatch.setattr(publishing, "CONFIG", shipped)
    stack = Stack(Options(data_dir=directory.path))
    for first in (True, False):
        await stack._publish(database_url, datetime.now(UTC))
        said = capsys.readouterr().out.splitlines()
        assert ("sequences published" in said[0]) == first
        (warning,) = said[first:]
        assert warning.startswith("warning: sequence recovery, step ")
        assert "if_unknown: resend gives up" in warning
