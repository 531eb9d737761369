"""What Temporal keeps for us is sealed with AES-256-GCM: inputs, results, signals, failures, summaries.

Ids, names of types and search attributes stay in clear, so they say nothing of a person.
"""

import dataclasses
import os
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from google.protobuf.message import DecodeError
from temporalio.api.common.v1 import Payload
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.converter import (
    DataConverter,
    DefaultFailureConverterWithEncodedAttributes,
    PayloadCodec,
)

from wire.keyring import KeyRing, UnknownKey

PURPOSE = "temporal-codec"
ENCODING = b"binary/encrypted"
NONCE_BYTES = 12


class UnreadablePayload(ValueError):
    """A payload that was changed, cut, or sealed with a key that is not on the ring."""


class AesCodec(PayloadCodec):
    """Seals with the active key, whose id goes along in clear and is bound to the ciphertext; opens with any."""

    def __init__(self, keyring: KeyRing) -> None:
        self._active = keyring.active_id.encode()
        self._ciphers = {key_id.encode(): AESGCM(keyring.derive(PURPOSE, key_id)) for key_id in keyring.ids}

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [self._seal(payload) for payload in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Payloads in other encodings pass unchanged. Raises UnreadablePayload."""
        return [self._open(payload) for payload in payloads]

    def _seal(self, payload: Payload) -> Payload:
        nonce = os.urandom(NONCE_BYTES)
        sealed = self._ciphers[self._active].encrypt(nonce, payload.SerializeToString(), self._active)
        return Payload(metadata={"encoding": ENCODING, "key-id": self._active}, data=nonce + sealed)

    def _open(self, payload: Payload) -> Payload:
        if payload.metadata.get("encoding") != ENCODING:
            return payload
        key_id = payload.metadata.get("key-id", b"")
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            raise UnreadablePayload(str(UnknownKey(key_id[:32].decode("ascii", "replace"))))
        try:
            clear = cipher.decrypt(payload.data[:NONCE_BYTES], payload.data[NONCE_BYTES:], key_id)
            return Payload.FromString(clear)
        except (InvalidTag, ValueError, DecodeError):
            raise UnreadablePayload("a payload does not open with its key: it was changed, or the key was") from None


def data_converter(keyring: KeyRing) -> DataConverter:
    """Pydantic models in, ciphertext out; messages and stack traces of failures too."""
    return dataclasses.replace(
        pydantic_data_converter,
        payload_codec=AesCodec(keyring),
        failure_converter_class=DefaultFailureConverterWithEncodedAttributes,
    )
