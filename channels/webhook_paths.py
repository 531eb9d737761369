"""Addresses at which providers call us back. They carry the touch's opaque id and nothing of a person."""

from urllib.parse import urlencode


def callback(public_url: str, path: str, touch_id: str) -> str:
    return f"{public_url.rstrip('/')}{path}?{urlencode({'touch': touch_id})}"
