"""The shape of the code: rooms, sizes, names, and nothing of the machine it was written on."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

LONGEST = 400
# One file a reason: the fold is one match over every kind of fact, and reads best in one place.
WORKFLOW_LONGEST = 200
VAGUE = frozenset({"utils", "util", "common", "helpers", "helper", "manager", "managers", "misc"})
LEFT_OUT = frozenset({"node_modules", "__pycache__", "figures"})
TEXT = frozenset({".py", ".md", ".toml", ".yaml", ".yml", ".html", ".lock", ".cfg", ".ini", ".txt", ".sh", ""})
# Folders of one machine, and addresses of package indexes: neither belongs into what others clone.
MACHINE = re.compile(r"(?<![\w.$}/])/(?:work|root|home|Users)/[\w.-]+")
INDEX = re.compile(
    r"python[h]osted|pypi[.]org/simple|https?://\S+/simple\b|(?<![\w-])--(?:extra-)?index-url[= ]", re.IGNORECASE
)


def _files(root: Path) -> Iterator[Path]:
    for path in sorted(root.iterdir()):
        hidden = path.name.startswith(".") and path.name not in (".ci", ".gitignore")
        if hidden or path.name in LEFT_OUT or path.name.endswith(".egg-info"):
            continue
        if path.is_dir():
            yield from _files(path)
        elif path.suffix in TEXT:
            yield path


def _code(root: Path) -> list[Path]:
    return [path for path in _files(root) if path.suffix == ".py"]


def test_no_file_is_too_long(root: Path) -> None:
    lengths = {str(path.relative_to(root)): len(path.read_text().splitlines()) for path in _code(root)}
    assert {name: n for name, n in lengths.items() if n > LONGEST} == {}
    assert {name: n for name, n in lengths.items() if name.startswith("workflows/") and n > WORKFLOW_LONGEST} == {}


def test_no_module_has_a_name_that_says_nothing(root: Path) -> None:
    assert [path for path in _code(root) if path.stem in VAGUE or path.parent.name in VAGUE] == []


def test_every_module_says_what_it_is_for(root: Path) -> None:
    modules = [path for path in _code(root) if path.relative_to(root).parts[0] != "tests" and path.stat().st_size]
    assert [path for path in modules if ast.get_docstring(ast.parse(path.read_text())) is None] == []


def test_nothing_names_a_machine_or_a_package_index(root: Path) -> None:
    found = []
    for path in _files(root):
        text = path.read_text(encoding="utf-8")
        found += [f"{path.relative_to(root)}: {match[0]}" for match in (*MACHINE.finditer(text), *INDEX.finditer(text))]
    assert found == []


def test_what_is_searched_for_would_be_found() -> None:
    folder, address = "/" + "home/somebody", "https://index.example.com" + "/simple"
    assert MACHINE.search(f"in {folder}")
    assert INDEX.search(f"from {address}")


def test_the_import_contracts_hold(root: Path) -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([linter, "--no-cache"], cwd=root, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
