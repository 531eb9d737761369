"""What a process writes into its log of an exception: types and places, for its words can hold what a person wrote."""

import logging
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

ROOT = Path(__file__).resolve().parent.parent


class TypesAndPlaces(logging.Formatter):
    """One line an exception, with its causes: where it was raised, and where our own code led to it."""

    def formatException(self, ei: object) -> str:
        assert isinstance(ei, tuple)
        return "\n".join(_line(error, error.__traceback__) for error in _chain(ei[1]))


def write_quietly() -> None:
    """Every record of a library or of ours goes to stderr without an exception's words."""
    handler = logging.StreamHandler()
    handler.setFormatter(TypesAndPlaces("%(asctime)s [%(levelname)s] %(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("psycopg").setLevel(logging.ERROR)  # at WARNING it writes the database's words


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error and what it came of; a cause that was told away (`from None`) is not asked for."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _line(error: BaseException, trace: TracebackType | None) -> str:
    frames = traceback.extract_tb(trace)
    ours = [f for f in frames[:-1] if Path(f.filename).is_relative_to(ROOT) and ".venv" not in f.filename]
    places = [f"{_short(f.filename)}:{f.lineno} in {f.name}" for f in [*ours, *frames[-1:]]]
    kind = f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")
    return f"  {kind}: {' > '.join(places) or 'nowhere'}"


def _short(filename: str) -> str:
    path = Path(filename)
    if "site-packages" in path.parts:
        return "/".join(path.parts[path.parts.index("site-packages") + 1 :])
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else path.name
