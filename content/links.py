"""Signed links: opaque tokens that name a lead and what the link may do, and nothing of a person.

One to unsubscribe has the blind index of its mail's address, too: it holds though the lead is lost (restored since).
That stands beside the token, where a release that knows of none does not look.
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
        lead = uuid.UUID(lead_id).bytes
        url = f"{self.public_url.rstrip('/')}/{_PATH[purpose]}/{self._token(purpose, lead)}"
        return f"{url}?to={self._token('address', lead + address)}" if address else url

    def lead_id(self, purpose: Purpose, token: str) -> str:
        """The lead a token stands for. Raises NotFound for anything that we did not sign for this purpose."""
        if (lead := self._signed(purpose, token)) is None or len(lead) != _ID:
            raise NotFound("this link is not valid; please call us or ask for a new one")
        return str(uuid.UUID(bytes=lead))

    def address(self, lead_id: str, to: str | None) -> bytes | None:
        """The blind index of the address that went with the lead's link, if one that we signed did."""
        named = self._signed("address", to) if to else None
        return named[_ID:] if named is not None and named[:_ID] == uuid.UUID(lead_id).bytes else None

    def _token(self, purpose: str, named: bytes) -> str:
        raw = base64.urlsafe_b64encode(named).rstrip(b"=")
        return self._signer(purpose, self.keyring.active_id).sign(raw).decode()

    def _signed(self, purpose: str, token: str) -> bytes | None:
        for key_id in self.keyring.ids:
            try:
                return base64.urlsafe_b64decode(self._signer(purpose, key_id).unsign(token.encode("ascii")) + b"==")
            except (BadSignature, UnicodeEncodeError, ValueError, binascii.Error):
                continue
        return None

    def _signer(self, purpose: str, key_id: str) -> Signer:
        key = self.keyring.derive("links", key_id)
        return Signer(key, salt=f"tend.{purpose}", key_derivation="hmac", digest_method=hashlib.sha256)
