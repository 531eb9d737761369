"""The parts of one running carrier, as the routes reach them."""

from dataclasses import dataclass

from starlette.requests import Request

from sandbox.book import Book
from sandbox.config import SandboxConfig
from sandbox.faults import Faults
from sandbox.inbound import Inbound
from sandbox.intake import Intake
from sandbox.memory import Memory


@dataclass(frozen=True, slots=True)
class Carrier:
    config: SandboxConfig
    book: Book
    memory: Memory
    faults: Faults
    intake: Intake
    inbound: Inbound


def carrier_of(request: Request) -> Carrier:
    carrier = request.app.state.carrier
    assert isinstance(carrier, Carrier)
    return carrier
