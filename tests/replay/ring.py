"""The key that sealed the recorded histories. It seals nothing else: made-up leads on a test server."""

import base64

from wire.keyring import KeyRing

RING = KeyRing.parse("recorded:" + base64.b64encode(b"recorded histories, made-up lead").decode())
