"""The key pair with which the imitated SendGrid signs its events."""

import base64
import os
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

PRIVATE = "sendgrid_private.pem"
PUBLIC = "sendgrid_public.b64"


def ensure_sendgrid_keys(directory: Path) -> str:
    """Makes the pair in `directory` if it is not there; the public key as SendGrid shows it (base64 DER)."""
    directory.mkdir(parents=True, exist_ok=True)
    private = directory / PRIVATE
    if not private.exists():
        pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        # written aside and linked into place: two that start at once agree on one key, and none reads half a file
        draft = directory / f".{PRIVATE}.{os.getpid()}"
        draft.unlink(missing_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)
        try:
            private.hardlink_to(draft)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    der = (
        private_key(directory)
        .public_key()
        .public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    public = base64.b64encode(der).decode()
    shown = directory / PUBLIC
    if not shown.exists() or shown.read_text().strip() != public:
        shown.write_text(public + "\n")
    return public


def private_key(directory: Path) -> ec.EllipticCurvePrivateKey:
    """The private half. Raises ValueError if the file is no P-256 key."""
    key = serialization.load_pem_private_key((directory / PRIVATE).read_bytes(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError(f"{PRIVATE} is not an elliptic-curve key; remove it and start again")  # noqa: TRY004
    return key
