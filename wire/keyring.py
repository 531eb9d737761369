"""The ring of encryption keys: the newest seals, all of them open. Depends on cryptography and nothing of Tend."""

import base64
import binascii
import re
import secrets
from dataclasses import dataclass, field
from typing import Self

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_BYTES = 32
_ID = re.compile(r"[A-Za-z0-9_.-]{1,32}")
_SALT = b"tend/key-ring/1"  # fixed: changing it makes everything sealed before unreadable


class UnknownKey(LookupError):
    """Something was sealed with a key that is not, or no longer, on the ring."""

    def __init__(self, key_id: str) -> None:
        super().__init__(key_id)
        self.key_id = key_id

    def __str__(self) -> str:
        return f"no key {self.key_id!r} on the key ring: put it back at the end of TEND_KEYS"


@dataclass(frozen=True, slots=True)
class KeyRing:
    """Keys by id, newest first. Nothing is sealed with them directly: see `derive`."""

    keys: tuple[tuple[str, bytes], ...] = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """`id:base64key[,id:base64key]`, newest first, 32 bytes each. Raises ValueError, which never holds a key."""
        keys: list[tuple[str, bytes]] = []
        for place, part in enumerate(filter(None, (p.strip() for p in text.split(","))), 1):
            key_id, colon, encoded = part.partition(":")
            if not colon or not _ID.fullmatch(key_id):
                raise ValueError(f"key {place} of the ring: must look like id:base64key, id of letters, digits, _ . -")
            try:
                key = base64.b64decode(encoded, validate=True)
            except (binascii.Error, ValueError):
                raise ValueError(f"key {place} of the ring ({key_id}): not base64") from None
            if len(key) != KEY_BYTES:
                raise ValueError(f"key {place} of the ring ({key_id}): {len(key)} bytes instead of {KEY_BYTES}")
            if key_id in dict(keys):
                raise ValueError(f"key {place} of the ring: the id {key_id} is there twice")
            keys.append((key_id, key))
        if not keys:
            raise ValueError("the key ring is empty: give it as id:base64key, 32 random bytes")
        return cls(tuple(keys))

    @staticmethod
    def make() -> str:
        """The text of a fresh ring with one key. To rotate, put a new one in front of the old text, with a comma."""
        return f"k{secrets.token_hex(4)}:{base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()}"

    @property
    def active_id(self) -> str:
        return self.keys[0][0]

    @property
    def ids(self) -> tuple[str, ...]:
        """Newest first."""
        return tuple(key_id for key_id, _ in self.keys)

    def derive(self, purpose: str, key_id: str | None = None) -> bytes:
        """32 bytes for one purpose alone, from the active key or the one named. Raises UnknownKey."""
        wanted = self.active_id if key_id is None else key_id
        key = dict(self.keys).get(wanted)
        if key is None:
            raise UnknownKey(wanted)
        return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=_SALT, info=purpose.encode()).derive(key)

    @property
    def index_key(self) -> bytes:
        """For blind indexes: from the oldest key, so that they still match after a newer one was added."""
        return self.derive("blind-index", self.ids[-1])
