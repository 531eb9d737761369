"""Column encryption: what a person would not want read is sealed before it reaches Postgres.

AES-256-GCM with the active key of the ring. A sealed value is bound to its table, column and row by the associated
data, so it cannot be moved to another place unnoticed. Its bytes: version (1), length of the key id, key id, nonce
(12), ciphertext with tag. Equality is searched by a keyed blind index, never by the ciphertext.
"""

import hmac
import json
import os
import uuid
from collections.abc import Mapping
from hashlib import sha256
from typing import Any
from urllib.parse import quote

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import LargeBinary, Table, Uuid

from domain.errors import TendError
from wire.keyring import KeyRing

_VERSION = 1
_NONCE = 12
_PURPOSE = "columns"


class VaultError(TendError):
    """A value that cannot be sealed or opened. Its text names table and column, never content."""


class Sealed(LargeBinary):
    """Marks a column whose text only `Vault.seal_row` writes and `Vault.open_row` reads."""


class SealedJson(Sealed):
    """The same for a JSON value."""


class Vault:
    """Seals and opens columns with the keys of a ring. Safe to share between tasks."""

    def __init__(self, keyring: KeyRing) -> None:
        self._keyring = keyring
        self._index_key = keyring.index_key
        self._ciphers: dict[str, AESGCM] = {}

    def seal_row(self, table: Table, values: Mapping[Any, Any], key: tuple[Any, ...] | None = None) -> dict[str, Any]:
        """`values` with those of sealed columns encrypted, ready for an insert or update. None stays None.

        The row's key is the primary key in `values`, or `key` (its values in column order) for an update.
        Raises VaultError if it is neither.
        """
        out = dict(values)
        sealed = [c for c in table.columns if isinstance(c.type, Sealed) and out.get(c.name) is not None]
        if sealed:
            row_key = _row_key(table, values, key)
            for column in sealed:
                plain = out[column.name]
                text = json.dumps(plain, separators=(",", ":")) if isinstance(column.type, SealedJson) else plain
                if not isinstance(text, str):
                    raise VaultError(f"{table.name}.{column.name}: give text to seal, not {type(plain).__name__}")
                out[column.name] = self._seal(f"{table.name}.{column.name}:{row_key}", text.encode())
        return out

    def open_row(self, table: Table, row: Mapping[Any, Any], key: tuple[Any, ...] | None = None) -> dict[str, Any]:
        """The reverse of seal_row for what a query returned; columns that are not in `row` are left out.

        Raises VaultError for a value of another row or column, a changed one, or one whose key the ring lacks.
        """
        out = dict(row)
        sealed = [c for c in table.columns if isinstance(c.type, Sealed) and out.get(c.name) is not None]
        if sealed:
            row_key = _row_key(table, row, key)
            for column in sealed:
                place = f"{table.name}.{column.name}"
                text = self._open(place, row_key, bytes(out[column.name])).decode()
                out[column.name] = json.loads(text) if isinstance(column.type, SealedJson) else text
        return out

    def blind(self, kind: str, normalized: str) -> bytes:
        """The blind index (32 bytes) of a normalized value, for instance kind `phone` and an E.164 number."""
        return hmac.digest(self._index_key, f"{kind}:{normalized}".encode(), sha256)

    def _seal(self, place: str, plain: bytes) -> bytes:
        key_id = self._keyring.active_id
        header = key_id.encode()
        nonce = os.urandom(_NONCE)
        return (
            bytes((_VERSION, len(header))) + header + nonce + self._cipher(key_id).encrypt(nonce, plain, place.encode())
        )

    def _open(self, place: str, row_key: str, sealed: bytes) -> bytes:
        if len(sealed) < 2 or sealed[0] != _VERSION:
            raise VaultError(f"{place}: not a sealed value of this version; was it written without the vault?")
        start = 2 + sealed[1]
        key_id = sealed[2:start].decode("ascii", "replace")
        if key_id not in self._keyring.ids:
            raise VaultError(f"{place}: sealed with a key that the key ring lacks; add the key to TEND_KEYS")
        nonce, ciphertext = sealed[start : start + _NONCE], sealed[start + _NONCE :]
        try:
            return self._cipher(key_id).decrypt(nonce, ciphertext, f"{place}:{row_key}".encode())
        except (InvalidTag, ValueError):  # ValueError: cut so short that not even a nonce is left
            raise VaultError(
                f"{place}: cannot be opened: it was changed, or it belongs to another row, column or key"
            ) from None

    def _cipher(self, key_id: str) -> AESGCM:
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            cipher = self._ciphers[key_id] = AESGCM(self._keyring.derive(_PURPOSE, key_id))
        return cipher


def _row_key(table: Table, values: Mapping[Any, Any], key: tuple[Any, ...] | None) -> str:
    columns = list(table.primary_key.columns)
    parts = key if key is not None else tuple(values.get(column.name) for column in columns)
    if len(parts) != len(columns) or any(part is None for part in parts):
        names = ", ".join(column.name for column in columns)
        raise VaultError(f"{table.name}: sealing needs the row's primary key ({names}); select or pass it")
    # Postgres answers a uuid in its canonical spelling, so it is sealed under that one.
    # A "/" within a part is quoted: two keys never join to the same text.
    return "/".join(
        str(uuid.UUID(str(part))) if isinstance(column.type, Uuid) else quote(str(part), safe="")
        for column, part in zip(columns, parts, strict=True)
    )
