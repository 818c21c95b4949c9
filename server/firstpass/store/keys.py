"""API keys: how they are made and recognised. Only an HMAC of a key is ever stored; it knows no database and no HTTP.

A key reads `fp-<id>-<secret>-<crc>`: 8 hex digits to look it up by, 256 random bits, and a CRC-32 of what stands before
it, so that a mistyped key is told apart from a revoked one and secret scanners can be sure.
"""

import contextlib
import hashlib
import hmac
import os
import secrets
import zlib
from dataclasses import dataclass
from pathlib import Path

from firstpass.errors import StoreFailed

PREFIX = "fp"
PEPPER_BYTES = 32


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """What the store knows of a key. `digest` is HMAC-SHA-256 of the whole key, in hex."""

    id: str
    name: str
    digest: str
    created_unix: float
    revoked_unix: float | None = None


def mint(name: str, pepper: bytes, now_unix: float) -> tuple[str, KeyRecord]:
    """A new key, to be shown once, and its record."""
    key_id = secrets.token_hex(4)
    stem = f"{PREFIX}-{key_id}-{secrets.token_hex(32)}"
    key = f"{stem}-{_crc(stem)}"
    return key, KeyRecord(key_id, name, digest(key, pepper), now_unix)


def key_id(key: str) -> str | None:
    """The id inside a well-formed key, None for anything else."""
    stem, _, crc = key.rpartition("-")
    parts = stem.split("-")
    if len(parts) != 3 or parts[0] != PREFIX or not hmac.compare_digest(_crc(stem).encode(), crc.encode()):
        return None
    return parts[1]


def matches(key: str, record: KeyRecord, pepper: bytes) -> bool:
    """Whether `key` is the live key of this record; takes the same time for every wrong key."""
    return hmac.compare_digest(digest(key, pepper), record.digest) and record.revoked_unix is None


def digest(key: str, pepper: bytes) -> str:
    return hmac.new(pepper, key.encode(), hashlib.sha256).hexdigest()


def load_pepper(path: Path) -> bytes:
    """The server's own secret, made on first use with mode 0600. A copied database alone verifies no key.

    Raises: StoreFailed for a damaged one.
    """
    if not path.exists():
        _make_pepper(path)
    pepper = path.read_bytes()
    if len(pepper) != PEPPER_BYTES:
        raise StoreFailed(f"{path} is damaged: it has {len(pepper)} bytes, not {PEPPER_BYTES}", part="store")
    return pepper


def _make_pepper(path: Path) -> None:
    """Written whole under another name and then linked: whoever comes first wins, and nobody reads half of one."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(secrets.token_bytes(PEPPER_BYTES))
        file.flush()
        os.fsync(file.fileno())
    with contextlib.suppress(FileExistsError):
        os.link(draft, path)
    draft.unlink()


def _crc(text: str) -> str:
    return f"{zlib.crc32(text.encode()):08x}"
