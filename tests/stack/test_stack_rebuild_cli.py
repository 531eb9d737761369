"""`tend rebuild`: flags that do not go together are refused before anything is opened."""

import pytest
from typer.testing import CliRunner

from cli import app


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--without-unread"], "--without-unread"),
        (["--note"], "--note"),
        (["--restored", "--again"], "--again"),
        (["--restored", "--note", "--without-unread"], "--without-unread"),
        (["--restored", "--note", "--all"], "--all"),
    ],
)
def test_flags_that_do_not_go_together(words: list[str], named: str) -> None:
    said = CliRunner().invoke(app, ["rebuild", *words])
    assert said.exit_code == 2
    assert named in said.output
