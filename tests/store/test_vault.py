"""What is sealed opens only where it was sealed, and says nothing otherwise."""

import uuid
from collections.abc import Callable

import pytest
from sqlalchemy import insert, select

from store.engine import Store
from store.tables import addresses, facts, idempotency, lead_addresses, leads
from store.vault import Vault, VaultError
from wire.keyring import KeyRing

LEAD = "0b6d5a52-8f4e-4f1e-9a5e-3f1c5a6b7c8d"
SECRET = "Ada Example"
ROW = {
    "id": LEAD,
    "first_name": SECRET,
    "last_name": None,
    "details": {"insurance": {"payer": "Example"}},
    "stage": "new",
}


def test_a_row_comes_back_as_it_was(vault: Vault) -> None:
    sealed = vault.seal_row(leads, ROW)
    assert sealed["id"] == LEAD
    assert sealed["stage"] == "new"
    assert sealed["last_name"] is None
    assert SECRET.encode() not in sealed["first_name"]
    assert b"Example" not in sealed["details"]
    assert vault.open_row(leads, sealed) == ROW


def test_the_same_text_never_looks_the_same(vault: Vault) -> None:
    assert vault.seal_row(leads, ROW)["first_name"] != vault.seal_row(leads, ROW)["first_name"]


def test_an_update_names_its_row(vault: Vault) -> None:
    sealed = vault.seal_row(leads, {"concern": "a question"}, key=(LEAD,))
    assert vault.open_row(leads, {"concern": sealed["concern"]}, key=(LEAD.upper(),)) == {"concern": "a question"}


@pytest.mark.parametrize("values", [{"first_name": SECRET}, {"id": None, "first_name": SECRET}])
def test_a_row_without_its_key_is_not_sealed(vault: Vault, values: dict[str, object]) -> None:
    with pytest.raises(VaultError, match=r"leads: sealing needs the row's primary key \(id\)"):
        vault.seal_row(leads, values)


def test_a_row_without_sealed_columns_needs_no_key(vault: Vault) -> None:
    assert vault.seal_row(leads, {"stage": "lost"}) == {"stage": "lost"}
    assert vault.seal_row(lead_addresses, {}) == {}


def test_only_text_is_sealed_as_text(vault: Vault) -> None:
    with pytest.raises(VaultError, match=r"leads.first_name: give text to seal, not int"):
        vault.seal_row(leads, {"id": LEAD, "first_name": 7})


def _flip(at: int) -> Callable[[bytes], bytes]:
    return lambda sealed: sealed[:at] + bytes((sealed[at] ^ 1,)) + sealed[at + 1 :]


@pytest.mark.parametrize(
    "change",
    [
        _flip(0),
        _flip(3),
        _flip(-20),
        _flip(15),
        lambda s: s[:-1] + bytes((s[-1] ^ 1,)),
        lambda s: s[:14],
        lambda s: b"",
    ],
)
def test_a_changed_value_is_refused_without_a_word_of_it(vault: Vault, change: Callable[[bytes], bytes]) -> None:
    sealed = vault.seal_row(leads, ROW)
    with pytest.raises(VaultError, match=r"leads\.first_name") as refusal:
        vault.open_row(leads, {"id": LEAD, "first_name": change(sealed["first_name"])})
    assert SECRET not in str(refusal.value)
    assert refusal.value.__cause__ is None


def test_a_value_is_of_its_row_and_column(vault: Vault) -> None:
    sealed = vault.seal_row(leads, {"id": LEAD, "first_name": SECRET})["first_name"]
    for moved in ({"id": str(uuid.uuid4()), "first_name": sealed}, {"id": LEAD, "last_name": sealed}):
        with pytest.raises(VaultError, match="belongs to another row, column or key"):
            vault.open_row(leads, moved)


def test_parts_of_a_key_do_not_run_together(vault: Vault) -> None:
    sealed = vault.seal_row(idempotency, {"actor_id": "a/b", "key": "c", "answer": [1]})
    with pytest.raises(VaultError):
        vault.open_row(idempotency, {**sealed, "actor_id": "a", "key": "b/c"})


def test_a_new_key_seals_and_the_old_still_opens() -> None:
    old, new = KeyRing.make(), KeyRing.make()
    before = Vault(KeyRing.parse(old))
    after = Vault(KeyRing.parse(f"{new},{old}"))
    value = {"lead_id": LEAD, "no": 1, "data": "{}"}
    sealed = before.seal_row(facts, value)
    assert after.open_row(facts, sealed) == value
    assert before.blind("phone", "+12125550100") == after.blind("phone", "+12125550100")
    with pytest.raises(VaultError, match="the key ring lacks; add the key to TEND_KEYS"):
        before.open_row(facts, after.seal_row(facts, value))


def test_a_blind_index_tells_kinds_and_rings_apart(vault: Vault) -> None:
    index = vault.blind("phone", "+12125550100")
    assert len(index) == 32
    assert index == vault.blind("phone", "+12125550100")
    assert index != vault.blind("email", "+12125550100")
    assert index != Vault(KeyRing.parse(KeyRing.make())).blind("phone", "+12125550100")


async def test_sealed_in_postgres(store: Store) -> None:
    row = {
        "id": str(uuid.uuid4()),
        "kind": "phone",
        "value": "+12125550100",
        "blind": store.vault.blind("phone", "+12125550100"),
    }
    async with store.engine.begin() as conn:
        await conn.execute(insert(addresses).values(**store.vault.seal_row(addresses, row)))
        stored = (await conn.execute(select(addresses))).mappings().one()
    assert b"5550100" not in bytes(stored["value"])
    assert store.vault.open_row(addresses, stored) == row | {"lost_at": None}
