"""The personas: who the imitated people are and how each behaves. Delays are product seconds."""

from dataclasses import dataclass
from typing import Literal

PickUp = Literal["human", "machine_start", "no-answer", "busy", "failed"]


@dataclass(frozen=True, slots=True)
class Manner:
    """How somebody is on the phone: what picks up, the key pressed when asked, how long until hanging up."""

    pick_up: PickUp = "no-answer"
    digits: str | None = None
    stays: float = 60.0


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to the first text."""

    after: float
    body: str


@dataclass(frozen=True, slots=True)
class Persona:
    """One way to behave. `shows` is None for who never books, else whether the appointment is kept."""

    reply: Reply | None = None
    manner: Manner = Manner()
    shows: bool | None = None

    @property
    def needs_api(self) -> bool:
        return self.shows is not None


COORDINATOR = "coordinator"
BOOKS_AFTER = 600.0  # product seconds from the text with the link to opening it

PERSONAS: dict[str, Persona] = {
    "eager": Persona(Reply(20, "Yes, please tell me more")),
    "slow": Persona(Reply(5 * 3600, "Sorry for the late answer. Please tell me more")),
    "silent": Persona(),
    "books": Persona(shows=True),
    "opts_out": Persona(Reply(30, "STOP")),
    "wrong_number": Persona(Reply(30, "Wrong number")),
    "no_show": Persona(shows=False),
    "answers": Persona(manner=Manner("human", digits="1")),
    "voicemail": Persona(manner=Manner("machine_start", stays=30)),
    # who answers on a coordinator's own line: a person at a desk who takes the call and presses 1
    COORDINATOR: Persona(manner=Manner("human", digits="1", stays=120)),
}

NOBODY = Persona()
