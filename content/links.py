"""Signed links: opaque tokens that name a lead and what the link may do, and nothing of a person."""

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
_PATH = {"booking": "b", "unsubscribe": "u"}


@dataclass(frozen=True)
class Links:
    """Makes and reads tokens. They are signed with a key of their own, derived from the ring."""

    keyring: KeyRing
    public_url: str

    def url(self, purpose: Purpose, lead_id: str) -> str:
        raw = base64.urlsafe_b64encode(uuid.UUID(lead_id).bytes).rstrip(b"=")
        token = self._signer(purpose, self.keyring.active_id).sign(raw).decode()
        return f"{self.public_url.rstrip('/')}/{_PATH[purpose]}/{token}"

    def lead_id(self, purpose: Purpose, token: str) -> str:
        """The lead a token stands for. Raises NotFound for anything that we did not sign for this purpose."""
        for key_id in self.keyring.ids:
            try:
                raw = self._signer(purpose, key_id).unsign(token.encode("ascii"))
                return str(uuid.UUID(bytes=base64.urlsafe_b64decode(raw + b"==")))
            except (BadSignature, UnicodeEncodeError, ValueError, binascii.Error):
                continue
        raise NotFound("this link is not valid; please call us or ask for a new one")

    def _signer(self, purpose: Purpose, key_id: str) -> Signer:
        key = self.keyring.derive("links", key_id)
        return Signer(key, salt=f"tend.{purpose}", key_derivation="hmac", digest_method=hashlib.sha256)
