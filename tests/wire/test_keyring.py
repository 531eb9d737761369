import base64

import pytest

from wire.keyring import KeyRing, UnknownKey

A, B = (base64.b64encode(bytes([n]) * 32).decode() for n in (1, 2))


def test_the_first_key_is_active_and_all_are_there() -> None:
    ring = KeyRing.parse(f" new:{A}, old:{B},")
    assert (ring.active_id, ring.ids) == ("new", ("new", "old"))


def test_a_fresh_ring_is_a_ring_and_never_the_same() -> None:
    first, second = KeyRing.make(), KeyRing.make()
    assert KeyRing.parse(first).derive("x") != KeyRing.parse(second).derive("x")
    assert KeyRing.parse(f"{first},{second}").ids == (*KeyRing.parse(first).ids, *KeyRing.parse(second).ids)


def test_each_purpose_and_each_key_gives_its_own() -> None:
    ring = KeyRing.parse(f"new:{A},old:{B}")
    derived = [ring.derive(purpose, key_id) for purpose in ("columns", "links") for key_id in ring.ids]
    assert len({*derived, ring.index_key, bytes([1]) * 32, bytes([2]) * 32}) == 7
    assert all(len(key) == 32 for key in derived)
    assert ring.derive("columns") == ring.derive("columns", "new")


def test_what_is_derived_never_changes() -> None:
    """Everything sealed hangs on these bytes."""
    ring = KeyRing.parse(f"k:{A}")
    assert ring.derive("columns").hex() == "79f151a5d30c96057224ff3f2e423a7bbf375ba82356f00f68b615a24d847fed"
    assert ring.index_key.hex() == "eed0421478bc402eba850382e3c805bc37a938d8152ca7d209deb6220387c125"


def test_the_index_key_outlives_a_newer_key() -> None:
    assert KeyRing.parse(f"old:{B}").index_key == KeyRing.parse(f"new:{A},old:{B}").index_key


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "empty"),
        (" , ", "empty"),
        (A, "id:base64key"),
        (f":{A}", "id:base64key"),
        (f"a b:{A}", "id:base64key"),
        ("k:secret-but-not-base64!", "not base64"),
        ("k:ü", "not base64"),
        (f"k:{A[:20]}", "15 bytes instead of 32"),
        (f"k:{A},k:{B}", "twice"),
    ],
)
def test_a_wrong_ring_is_said_without_its_keys(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says) as caught:
        KeyRing.parse(text)
    assert A not in str(caught.value)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_nothing_prints_a_key() -> None:
    ring = KeyRing.parse(f"k:{A}")
    assert A not in repr(ring)
    assert "\\x01" not in repr(ring)


def test_an_unknown_key_is_named() -> None:
    with pytest.raises(UnknownKey, match="no key 'gone'"):
        KeyRing.parse(f"k:{A}").derive("columns", "gone")
