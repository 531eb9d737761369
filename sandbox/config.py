"""What the carrier is told at its start."""

from dataclasses import dataclass, field
from pathlib import Path

from sandbox.cast import COORDINATOR, PERSONAS


class BadConfig(Exception):
    """The carrier cannot start like this; the text says what to change."""


@dataclass(frozen=True, slots=True)
class SandboxConfig:
    """Settings of one carrier. The three URLs are what one would enter at the providers. Raises BadConfig.

    `sent_after` and `delivered_after` (real seconds) are how long the network takes; ringing lasts at most `rings`
    real seconds whatever a call's Timeout says, so that nobody waits a minute for an imitated silence.
    """

    directory: Path
    account_sid: str
    auth_token: str = field(repr=False)
    sendgrid_api_key: str = field(repr=False)
    inbound_sms_url: str
    inbound_voice_url: str
    email_events_url: str
    personas: tuple[str, ...] = ()
    clock_file: Path | None = None
    api: str | None = None
    staff_key_file: Path | None = None
    carrier_opt_out: bool = False
    pool_number: str = "+15005550006"
    sent_after: float = 0.05
    delivered_after: float = 0.2
    rings: float = 1.0

    def __post_init__(self) -> None:
        if not self.account_sid.startswith("AC"):
            raise BadConfig("the account sid must begin with AC")
        if not self.auth_token or not self.sendgrid_api_key:
            raise BadConfig("the auth token and the SendGrid API key must not be empty")
        for name in self.personas:
            if name not in PERSONAS:
                raise BadConfig(f"no persona is called {name!r}; known are {', '.join(PERSONAS)}")
            if (name == COORDINATOR or PERSONAS[name].needs_api) and not self.has_api:
                raise BadConfig(f"persona {name} talks to the API: give --api and --staff-key-file")

    @property
    def has_api(self) -> bool:
        return self.api is not None and self.staff_key_file is not None

    @property
    def leads(self) -> tuple[str, ...]:
        """The personas handed out to new numbers, in turn."""
        return tuple(name for name in self.personas if name != COORDINATOR)
