import base64

import pytest
from pydantic import BaseModel
from temporalio.api.common.v1 import Payload
from temporalio.api.failure.v1 import Failure
from temporalio.exceptions import ApplicationError

from wire.codec import AesCodec, UnreadablePayload, data_converter
from wire.keyring import KeyRing

A, B = (base64.b64encode(bytes([n]) * 32).decode() for n in (1, 2))
OLD = KeyRing.parse(f"old:{A}")
BOTH = KeyRing.parse(f"new:{B},old:{A}")
NEW = KeyRing.parse(f"new:{B}")
CLEAR = Payload(metadata={"encoding": b"json/plain"}, data=b'"planted"')


class Note(BaseModel):
    text: str


async def test_what_is_sealed_shows_nothing_and_opens_again() -> None:
    (sealed,) = await AesCodec(BOTH).encode([CLEAR])
    assert dict(sealed.metadata) == {"encoding": b"binary/encrypted", "key-id": b"new"}
    assert b"planted" not in sealed.SerializeToString()
    assert b"json/plain" not in sealed.SerializeToString()
    assert await AesCodec(BOTH).decode([sealed]) == [CLEAR]


async def test_the_same_twice_looks_different() -> None:
    first, second = await AesCodec(OLD).encode([CLEAR, CLEAR])
    assert first.data != second.data


async def test_an_old_key_on_the_ring_still_opens() -> None:
    sealed = await AesCodec(OLD).encode([CLEAR])
    assert await AesCodec(BOTH).decode(sealed) == [CLEAR]
    with pytest.raises(UnreadablePayload, match="no key 'old'"):
        await AesCodec(NEW).decode(sealed)


async def test_what_was_changed_does_not_open() -> None:
    (sealed,) = await AesCodec(BOTH).encode([CLEAR])
    (other,) = await AesCodec(OLD).encode([CLEAR])
    bad = [
        Payload(metadata=sealed.metadata, data=sealed.data[:-1] + bytes([sealed.data[-1] ^ 1])),
        Payload(metadata=sealed.metadata, data=sealed.data[:10]),
        Payload(metadata=sealed.metadata, data=b""),
        Payload(metadata={**sealed.metadata, "key-id": b"old"}, data=sealed.data),
        Payload(metadata={"encoding": b"binary/encrypted"}, data=other.data),
        Payload(metadata={"encoding": b"binary/encrypted", "key-id": b"\xff"}, data=other.data),
    ]
    for payload in bad:
        with pytest.raises(UnreadablePayload):
            await AesCodec(BOTH).decode([payload])


async def test_other_encodings_pass() -> None:
    assert await AesCodec(BOTH).decode([CLEAR]) == [CLEAR]


async def test_the_converter_seals_models_and_failures() -> None:
    converter = data_converter(BOTH)
    sealed = await converter.encode([Note(text="planted")])
    assert b"planted" not in sealed[0].SerializeToString()
    assert await converter.decode(sealed, [Note]) == [Note(text="planted")]

    failure = Failure()
    await converter.encode_failure(ApplicationError("planted", "planted too", type="Refused"), failure)
    assert b"planted" not in failure.SerializeToString()
    opened = await converter.decode_failure(failure)
    assert isinstance(opened, ApplicationError)
    assert (opened.message, opened.details) == ("planted", ("planted too",))
