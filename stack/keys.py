"""Keys that a data directory is given once: the encryption ring, the admin's API key, the personas' API key."""

from config.data_dir import DataDir, write_private
from config.settings import Settings
from stack.carrier import ADMIN_PHONE, STAFF_PHONE
from stack.preflight import StartError
from store.keys import has_keys, make_key
from wire.keyring import KeyRing


def ensure_ring(settings: Settings, directory: DataDir, *, database_is_new: bool) -> str:
    """The text of the key ring: from `settings`, else made in the directory for a new database. Raises StartError."""
    if settings.keys is not None:
        ring = settings.keys.get_secret_value()
    elif database_is_new:
        ring = KeyRing.make()
        write_private(directory.keys, ring + "\n")
    else:
        raise StartError(
            f"the encryption keys {directory.keys} are missing, and without them their database cannot be read: "
            "put the file back, or set TEND_KEYS"
        )
    try:
        KeyRing.parse(ring)
    except ValueError as error:
        raise StartError(f"TEND_KEYS, or {directory.keys} where that is unset: {error}") from None
    return ring


async def ensure_api_keys(
    directory: DataDir, database_url: str, ring: str, *, personas: bool, sandbox: bool = False
) -> None:
    """Makes `admin.key` and, for personas, `sandbox/staff.key`, each if its file is not there.

    In a database without any key those of the directory are another's: they are made anew. With the `sandbox` the admin
    has a line there too, to dial from.
    """
    new = not await has_keys(database_url)
    if new or not directory.admin_key.exists():
        secret = await make_key(database_url, ring, name="admin", role="admin", phone=ADMIN_PHONE if sandbox else None)
        write_private(directory.admin_key, secret + "\n")
    if personas and (new or not directory.staff_key.exists()):
        secret = await make_key(database_url, ring, name="persona", role="coordinator", phone=STAFF_PHONE)
        write_private(directory.staff_key, secret + "\n")
