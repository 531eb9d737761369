"""Where the SDKs may be pointed instead of the provider's own host: this machine or a private network, nowhere else."""

import ipaddress
import socket
from urllib.parse import urlsplit


def sandbox_base(url: str) -> str:
    """The base URL without a trailing slash.

    Raises ValueError unless it is http(s) to a loopback or private address. A name counts by what it resolves to; a
    name without a dot (as in a compose file) may be unknown yet, since no public host has such a name.
    """
    parts = urlsplit(url)
    host = parts.hostname
    if parts.scheme not in {"http", "https"} or not host or parts.query or parts.fragment or parts.username:
        raise ValueError("a provider's base URL must look like http://127.0.0.1:8100")
    if not all(_is_private(address) for address in _addresses(host)):
        raise ValueError(
            f"a provider's base URL may only point to a loopback or private address, {host} does not: "
            "unset it to talk to the provider itself"
        )
    return url.rstrip("/")


def _addresses(host: str) -> list[str]:
    try:
        return [str(ipaddress.ip_address(host))]
    except ValueError:
        pass
    try:
        return [str(info[4][0]) for info in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]
    except OSError:
        if "." in host:
            raise ValueError(f"a provider's base URL names the host {host}, which cannot be found") from None
        return []


def _is_private(address: str) -> bool:
    ip = ipaddress.ip_address(address.partition("%")[0])
    ip = getattr(ip, "ipv4_mapped", None) or ip
    return ip.is_loopback or ip.is_private
