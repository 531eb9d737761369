"""`tend sequences`: what authors of sequences ask of their files."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from content.library import Finding

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def group() -> None:
    """Check sequences before they are used."""


@app.command("lint")
def lint_files(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Sequence files.", show_default=False)],
    *,
    templates: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The templates they use. [default: those that ship]", show_default=False),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what is wrong with sequence files, and what their authors should know; the exit code is 1 for an error."""
    from content.library import lint  # noqa: PLC0415 - each verb loads what it needs
    from content.templates import load_templates  # noqa: PLC0415
    from stack.publishing import CONFIG  # noqa: PLC0415

    found = lint(files, load_templates(templates or CONFIG / "templates"), CONFIG / "sequences")
    wrong = sum(f.level == "error" for f in found)
    if as_json:
        print(json.dumps({"well": wrong == 0, "findings": [f._asdict() for f in found]}, indent=1))
    else:
        _show(found, len(files))
    raise typer.Exit(1 if wrong else 0)


def _show(found: "list[Finding]", files: int) -> None:
    for finding in found:
        print(f"{finding.file}: {finding.level}: {finding.text}")
    errors = sum(f.level == "error" for f in found)
    print(f"files: {files}, errors: {errors}, warnings: {len(found) - errors}")
