"""Addresses of engines that somebody else runs, which are on this machine. It opens none."""

from pathlib import Path
from urllib.parse import urlsplit

from firstpass.errors import BadSettings
from firstpass.loopback import is_loopback


def local_address(url: str) -> tuple[str, Path | None]:
    """The base URL with its `/v1`, and the socket of a `unix:/path`. Raises: BadSettings."""
    parts = urlsplit(url)
    if parts.scheme == "unix" and parts.path:
        return "http://engine/v1", Path(parts.path)
    if parts.scheme not in ("http", "https") or not is_loopback(parts.hostname or ""):
        raise BadSettings(f"engine.url: {url!r} is neither http(s) on loopback nor unix:/path")
    if not (url.isascii() and url.isprintable()) or " " in url:
        raise BadSettings(f"engine.url: {url!r} has characters that no URL has; percent-encode them")
    base = url.rstrip("/")
    return (base if parts.path.strip("/") else f"{base}/v1"), None
