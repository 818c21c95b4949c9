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
from dataclasses import dataclass, replace
from pathlib import Path

from firstpass.errors import StoreFailed
from firstpass.store.scopes import NO_LIMITS, Scopes

PREFIX = "fp"
PEPPER_BYTES = 32


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """What the store knows of a key. `digest` is HMAC-SHA-256 of the whole key, in hex.

    owner: the id of the first key of a line of rotated ones; exchanges, rules, gates and limits are known by it.
    not_before_unix, expires_unix: the times between which it is live, None for no end.
    """

    id: str
    name: str
    digest: str
    created_unix: float
    revoked_unix: float | None = None
    owner: str = ""
    not_before_unix: float | None = None
    expires_unix: float | None = None
    scopes: Scopes = NO_LIMITS

    def live(self, now_unix: float) -> bool:
        begun = self.not_before_unix is None or self.not_before_unix <= now_unix
        ended = self.expires_unix is not None and self.expires_unix <= now_unix
        return begun and not ended and self.revoked_unix is None


NOBODY = KeyRecord("", "", "0" * 64, 0.0, revoked_unix=0.0)
"""What a key of an unknown id is compared with, so that it takes as long as any other wrong one."""


def mint(
    name: str,
    pepper: bytes,
    now_unix: float,
    scopes: Scopes = NO_LIMITS,
    *,
    not_before_unix: float | None = None,
    expires_unix: float | None = None,
) -> tuple[str, KeyRecord]:
    """A new key, to be shown once, and its record."""
    key_id = secrets.token_hex(4)
    stem = f"{PREFIX}-{key_id}-{secrets.token_hex(32)}"
    key = f"{stem}-{_crc(stem)}"
    made = digest(key, pepper)
    return key, KeyRecord(key_id, name, made, now_unix, None, key_id, not_before_unix, expires_unix, scopes)


def mint_after(old: KeyRecord, pepper: bytes, now_unix: float) -> tuple[str, KeyRecord]:
    """A key that takes the place of another: of the same owner, with the same scopes, and to live as long from now."""
    key, record = mint(old.name, pepper, now_unix, old.scopes)
    expires = None if old.expires_unix is None else now_unix + old.expires_unix - old.created_unix
    return key, replace(record, owner=old.owner, expires_unix=expires)


def is_ours(key: str) -> bool:
    """Whether it is meant for a key of a Firstpass, well-formed or not."""
    return key.startswith(f"{PREFIX}-")


def key_id(key: str) -> str | None:
    """The id inside a well-formed key, None for anything else."""
    stem, _, crc = key.rpartition("-")
    parts = stem.split("-")
    if len(parts) != 3 or parts[0] != PREFIX or not hmac.compare_digest(_crc(stem).encode(), crc.encode()):
        return None
    return parts[1]


def matches(key: str, record: KeyRecord, pepper: bytes, now_unix: float) -> bool:
    """Whether `key` is the live key of this record; takes the same time for every wrong key."""
    same, live = hmac.compare_digest(digest(key, pepper), record.digest), record.live(now_unix)
    return same and live


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
