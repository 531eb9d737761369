"""What several of these tests start from."""

import pytest_asyncio

from store.engine import Store
from tests.store.a_copy import Restored, put_back
from wire.keyring import KeyRing


@pytest_asyncio.fixture
async def copy(store: Store, keyring: KeyRing) -> Restored:
    return await put_back(store, keyring)
