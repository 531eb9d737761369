"""A fact as the database keeps it: its kind, its version, and its data as JSON."""

from dataclasses import dataclass, field
from typing import get_args

from pydantic import ConfigDict, TypeAdapter
from pydantic_core import from_json

from domain.errors import NewerFact
from domain.fact_versions import VERSIONS
from domain.facts import Fact

_ADAPTER: TypeAdapter[Fact] = TypeAdapter(Fact, config=ConfigDict(hide_input_in_errors=True))
KINDS: frozenset[str] = frozenset(kind.model_fields["kind"].default for kind in get_args(get_args(Fact)[0]))


@dataclass(frozen=True, slots=True)
class StoredFact:
    """`release`: the first that reads it; None: every one."""

    kind: str
    version: int
    release: str | None
    data: str = field(repr=False)

    @classmethod
    def of(cls, fact: Fact) -> "StoredFact":
        data = fact.model_dump_json(exclude_none=True, exclude_defaults=False)
        return cls(fact.kind, VERSIONS.present(fact.kind), VERSIONS.release(fact.kind), data)

    def read(self) -> Fact:
        """Upgraded where an earlier release wrote it. Raises NewerFact, and ValidationError where it is broken."""
        if self.kind not in KINDS:
            raise NewerFact(self.kind, self.version, self.release)
        if self.version == VERSIONS.present(self.kind):
            return _ADAPTER.validate_json(self.data)
        data = VERSIONS.upgraded(self.kind, self.version, from_json(self.data), self.release)
        return _ADAPTER.validate_python(data)
