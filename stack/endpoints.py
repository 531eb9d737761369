"""`endpoints.json`: where everything answers, written when it does."""

import json
from dataclasses import asdict, dataclass, field

from config.data_dir import DataDir, write_private


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Addresses of a stack that is up; None where a part is not ours. `database_url` holds a password."""

    api: str
    temporal: str
    database_url: str = field(repr=False)
    public_url: str
    temporal_ui: str | None = None
    sandbox: str | None = None

    @property
    def console(self) -> str:
        """The page to begin with."""
        return f"{self.api}/docs"

    def write(self, directory: DataDir, pids: dict[str, int]) -> None:
        """Writes them with the children's process ids, all or nothing, for the owner's eyes alone."""
        document = asdict(self) | {"console": self.console, "pids": pids}
        write_private(directory.endpoints, json.dumps(document, indent=1) + "\n")


def base_url(host: str, port: int) -> str:
    """How a program on this machine reaches a server that listens on `host`."""
    reach = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)  # noqa: S104
    return f"http://[{reach}]:{port}" if ":" in reach else f"http://{reach}:{port}"
