"""Signed links: opaque tokens that name a lead and what the link may do, and nothing of a person.

One to unsubscribe has the blind index of its mail's address, too: it holds though the lead is lost (restored since).
"""

import base64
import binascii
import hashlib
import uuid
from dataclasses import dataclass
from typing import Literal

from itsdangerous import BadSignature, Signer

from domain.errors import NotFound
from wire.keyring import KeyRing

Purpose = Literal["booking", "unsubscribe"]
_ID = 16  # bytes
_PATH = {"booking": "b", "unsubscribe": "u"}


@dataclass(frozen=True)
class Links:
    """Makes and reads tokens. They are signed with a key of their own, derived from the ring."""

    keyring: KeyRing
    public_url: str

    def url(self, purpose: Purpose, lead_id: str, address: bytes = b"") -> str:
        """`address`: its blind index (store/vault.py), if it goes with it."""
        raw = base64.urlsafe_b64encode(uuid.UUID(lead_id).bytes + address).rstrip(b"=")
        token = self._signer(purpose, self.keyring.active_id).sign(raw).decode()
        return f"{self.public_url.rstrip('/')}/{_PATH[purpose]}/{token}"

    def lead_id(self, purpose: Purpose, token: str) -> str:
        """The lead a token stands for. Raises NotFound for anything that we did not sign for this purpose."""
        return self.lead_and_address(purpose, token)[0]

    def lead_and_address(self, purpose: Purpose, token: str) -> tuple[str, bytes | None]:
        """And the blind index of the address that goes with it, if one does. Raises NotFound as `lead_id` does."""
        for key_id in self.keyring.ids:
            try:
                raw = self._signer(purpose, key_id).unsign(token.encode("ascii"))
                named = base64.urlsafe_b64decode(raw + b"==")
                return str(uuid.UUID(bytes=named[:_ID])), named[_ID:] or None
            except (BadSignature, UnicodeEncodeError, ValueError, binascii.Error):
                continue
        raise NotFound("this link is not valid; please call us or ask for a new one")

    def _signer(self, purpose: Purpose, key_id: str) -> Signer:
        key = self.keyring.derive("links", key_id)
        return Signer(key, salt=f"tend.{purpose}", key_derivation="hmac", digest_method=hashlib.sha256)
