"""Who acts: every call, command and view is done by an actor, which a key stands for."""

from dataclasses import dataclass, field
from enum import StrEnum

from domain.errors import NoSuchLead


class Role(StrEnum):
    ADMIN = "admin"
    COORDINATOR = "coordinator"
    SCHEDULER = "scheduler"
    MARKETER = "marketer"
    MANAGER = "manager"
    COMPLIANCE = "compliance"
    ENGINEER = "engineer"
    INTAKE = "intake"


@dataclass(frozen=True, slots=True)
class Actor:
    """The bearer of a key. `id` is the key's id (uuid); no facilities means all of them; `phone` is E.164."""

    id: str
    name: str
    role: Role
    facilities: tuple[str, ...] = ()
    phone: str | None = field(default=None, repr=False)


def in_scope(actor: Actor, facility: str | None) -> None:
    """A key of some facilities sees the leads of these only. Raises NoSuchLead."""
    if actor.facilities and facility not in actor.facilities:
        raise NoSuchLead("no lead with this id")
