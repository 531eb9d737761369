"""What a process writes into its log of an exception: types and places, for its words can hold what a person wrote."""

import logging
import sys
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

ROOT = Path(__file__).resolve().parent.parent
log = logging.getLogger(__name__)


class TypesAndPlaces(logging.Formatter):
    """One line an exception, with its causes: where it was raised, and where our own code led to it."""

    def format(self, record: logging.LogRecord) -> str:
        if record.name == "asyncio" and record.exc_info:  # its further lines show the task with its exception's words
            first = record.getMessage().partition("\n")[0]
            record = logging.makeLogRecord(record.__dict__ | {"msg": first, "args": ()})
        return super().format(record)

    def formatException(self, ei: object) -> str:
        assert isinstance(ei, tuple)
        return "\n".join(f"  {line}" for line in types_and_places(ei[1]))


def types_and_places(error: BaseException | None) -> list[str]:
    """One line for the exception and for each of its causes."""
    return [_line(one, one.__traceback__) for one in _chain(error, set())]


def write_quietly() -> None:
    """Every record of a library or of ours goes to stderr without an exception's words, and so does what ends us."""
    handler = logging.StreamHandler()
    handler.setFormatter(TypesAndPlaces("%(asctime)s [%(levelname)s] %(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("psycopg").setLevel(logging.ERROR)  # at WARNING it writes the database's words
    sys.excepthook = lambda _, error, __: log.critical("ended by", exc_info=error)
    sys.unraisablehook = lambda hook: log.error("an error in vain", exc_info=hook.exc_value or True)
    threading.excepthook = lambda hook: log.error("a thread ended by", exc_info=hook.exc_value or True)


def _chain(error: BaseException | None, seen: set[int]) -> Iterator[BaseException]:
    """The error, those that it is a group of, and what it came of, unless that was told away (`from None`)."""
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        for one in error.exceptions if isinstance(error, BaseExceptionGroup) else ():
            yield from _chain(one, seen)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _line(error: BaseException, trace: TracebackType | None) -> str:
    frames = traceback.extract_tb(trace)
    ours = [f for f in frames[:-1] if Path(f.filename).is_relative_to(ROOT) and ".venv" not in f.filename]
    places = [f"{_short(f.filename)}:{f.lineno} in {f.name}" for f in [*ours, *frames[-1:]]]
    kind = f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")
    return f"{kind}: {' > '.join(places) or 'nowhere'}"


def _short(filename: str) -> str:
    path = Path(filename)
    if "site-packages" in path.parts:
        return "/".join(path.parts[path.parts.index("site-packages") + 1 :])
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else path.name
