"""The staff's way to the product: its HTTP API with a staff key, as any program of the practice would use it."""

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

from sandbox.webhooks import Answer, Http, NotReached

log = logging.getLogger("sandbox.desk")

PAUSES = (0.5, 1, 2, 4, 8, 15, 30, 30, 30, 60, 60, 60)  # real seconds: the API may be restarting


class Desk:
    """Speaks to the API at `base`. The key's file is read each time: it may be written after the carrier started."""

    def __init__(self, http: Http, base: str, key_file: Path) -> None:
        self._http = http
        self._base = base.rstrip("/")
        self._key_file = key_file

    async def ask(self, method: str, path: str, body: dict[str, Any] | None = None, key: str = "") -> Answer:
        """One request; `key` makes a repeat of it harmless. Raises NotReached, also while there is no staff key."""
        try:
            secret = self._key_file.read_text().strip()
        except OSError:
            raise NotReached("the staff key file is not there") from None
        headers = {"Authorization": f"Bearer {secret}", "Accept": "application/json"}
        if key:
            headers["Idempotency-Key"] = key
        data = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            data = json.dumps(body).encode()
        return await self._http.ask(method, self._base + path, data=data, headers=headers)

    async def insist(self, method: str, path: str, body: dict[str, Any], key: str) -> Answer | None:
        """Asks again while nobody is there or a 5xx or 429 comes; None if it never worked."""
        answer: Answer | None = None
        for pause in (0.0, *PAUSES):
            await asyncio.sleep(pause)
            try:
                answer = await self.ask(method, path, body, key)
            except NotReached as error:
                log.warning("nobody took it, it is told again: %s", error)
                continue
            if answer.status < 500 and answer.status != 429:
                return answer
            log.warning("it was answered %d, and is told again", answer.status)
        return answer


def as_object(answer: Answer) -> dict[str, Any]:
    """The JSON object of an answer; empty if it holds none."""
    try:
        value = json.loads(answer.body)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
