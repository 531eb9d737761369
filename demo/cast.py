"""Who asks in the demo: made-up people, each with the persona that answers at their number."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

COORDINATOR = "coordinator"
VISITOR_PHONE = "+12125550142"  # of the lead that who watches the demo may send; nobody answers there but they
VISITOR_PERSONA = "silent"


@dataclass(frozen=True, slots=True)
class Guest:
    """One lead of the demo. `acts` says what the persona does."""

    first_name: str
    last_name: str
    persona: str
    acts: str
    phone: str
    postal_code: str = "10001"

    @property
    def name(self) -> str:
        return f"{self.first_name} {self.last_name}"

    @property
    def email(self) -> str:
        return f"{self.first_name.lower()}@example.com"

    def inquiry(self, now: datetime) -> dict[str, Any]:
        """What their web form posts. `now` is product time."""
        text = "You may text, call and e-mail me about my request."
        return {
            "first_name": self.first_name,
            "last_name": self.last_name,
            "phone": self.phone,
            "email": self.email,
            "service_line": "consultation",
            "concern": "Would like a first consultation",
            "postal_code": self.postal_code,
            "preferred_facility": "main",
            "channels": ["sms", "voice", "email"],
            "source": {"channel": "web_form", "form": "contact"},
            "consents": [
                {"channel": channel, "purpose": "care", "text": text, "at": now.isoformat(timespec="milliseconds")}
                for channel in ("sms", "voice", "email")
            ],
        }


GUESTS = (
    Guest("Ada", "Example", "eager", "replies at once", "+12125550111"),
    Guest("Ben", "Example", "slow", "replies after hours", "+12125550112"),
    Guest("Cleo", "Example", "silent", "never answers", "+12125550113"),
    Guest("Dara", "Example", "books", "books and comes", "+12125550114"),
    Guest("Eli", "Example", "opts_out", "writes STOP", "+12125550115"),
    Guest("Finn", "Example", "wrong_number", "wrong number", "+12125550116"),
    Guest("Gwen", "Example", "no_show", "books, stays away", "+12125550117"),
    Guest("Hugo", "Example", "answers", "picks up the phone", "+12125550118"),
    # in California it is still before eight when the demo begins: the text has to wait, the e-mail goes at once
    Guest("Iris", "Example", "voicemail", "voicemail, California", "+12135550119", "90001"),
)

PERSONAS = (*(guest.persona for guest in GUESTS), COORDINATOR)
