"""Ports: is the wanted one free, and stable ones for what may be chosen freely."""

import errno
import json
import random
import socket
from pathlib import Path

from config.data_dir import write_private
from stack.preflight import StartError, UsageError

# Below the range from which systems take ports for outgoing connections, so that a server that is started again
# finds its port free.
_RANGE = (15000, 28000)


def bind_error(host: str, port: int) -> OSError | None:
    """Why a server could not listen there; None if it could."""
    try:
        family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, proto) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)  # two sockets may bind with SO_REUSEADDR, only one may listen
    except OSError as error:
        return error
    except UnicodeError:  # a name that no machine can have
        return OSError(errno.EADDRNOTAVAIL, "no such host")
    return None


def check_free(host: str, port: int) -> None:
    """Raises StartError with what to do if the API could not listen there."""
    if not 0 <= port <= 65535:
        raise UsageError(f"--port {port}: give a number from 1 to 65535, or 0 for any free one")
    error = bind_error(host, port)
    if error is None:
        return
    if error.errno == errno.EADDRINUSE:
        raise StartError(f"port {port} on {host} is taken by another program: stop it, or give another --port")
    if error.errno == errno.EACCES:
        raise StartError(f"port {port} needs more rights than you have: give a --port above 1023")
    raise StartError(f"--host {host}: this machine cannot listen there ({error.strerror or error})")


def free_port(host: str) -> int:
    """Any port that is free there now."""
    with socket.create_server((host, 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def stable_ports(path: Path, names: tuple[str, ...]) -> dict[str, int]:
    """A free loopback port for each name, the same as the last time where that is still free; kept in `path`."""
    try:
        kept = {str(k): int(v) for k, v in json.loads(path.read_text()).items()}
    except (OSError, ValueError, AttributeError):
        kept = {}
    chosen: dict[str, int] = {}
    for name in names:
        port = kept.get(name, 0)
        while not port or port in chosen.values() or bind_error("127.0.0.1", port) is not None:
            port = random.randrange(*_RANGE)  # noqa: S311 - not a secret
        chosen[name] = port
    if chosen != {name: kept.get(name) for name in names}:
        write_private(path, json.dumps(kept | chosen, indent=1))
    return chosen
