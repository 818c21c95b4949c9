"""Signed checkpoints of the log, in a form that others' tools read. It knows no database.

Sources: C2SP signed-note and tlog-checkpoint; the text form of a verifier key is that of golang.org/x/mod/sumdb/note.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from firstpass.errors import BadCheckpoint
from firstpass.store.merkle import HASH_BYTES

ED25519 = b"\x01"
"""The signature type."""

SIGNATURE_BYTES = 4 + 64
"""The key's hash and an Ed25519 signature, which is no longer than others."""

DASH = "\N{EM DASH} "
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """That the log of this origin had `size` entries with that root."""

    origin: str
    size: int
    root: bytes


@dataclass(frozen=True, slots=True)
class Verifier:
    """Who may sign. Written `name+hash+key`, the hash in hex and the key in base64."""

    name: str
    public: bytes

    @classmethod
    def read(cls, text: str) -> "Verifier":
        """Raises: BadCheckpoint."""
        name, _, rest = text.strip().partition("+")
        given, _, key = rest.partition("+")
        data = _unbased(key)
        if not name or data[:1] != ED25519 or len(data) != 1 + HASH_BYTES:
            raise BadCheckpoint("the public key is not of the form name+hash+key, or not for Ed25519")
        found = cls(name, data[1:])
        if given != found.id.hex():
            raise BadCheckpoint("the public key is damaged: its hash is that of another one")
        return found

    @property
    def id(self) -> bytes:
        return hashlib.sha256(self.name.encode() + b"\n" + ED25519 + self.public).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{_based(ED25519 + self.public)}"


class Signer:
    """Who signs for one log. Its name, which is the log's origin, comes from its key: no two logs have the same.

    seed: 32 bytes, which are to stay secret.
    """

    def __init__(self, seed: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        public = self._key.public_key().public_bytes_raw()
        self.verifier = Verifier(f"firstpass/{hashlib.sha256(public).hexdigest()[:16]}", public)

    def sign(self, size: int, root: bytes) -> str:
        """A checkpoint as a signed note."""
        name = self.verifier.name
        text = f"{name}\n{size}\n{_based(root)}\n"
        return f"{text}\n{DASH}{name} {_based(self.verifier.id + self._key.sign(text.encode()))}\n"


def opened(note: str, verifier: Verifier) -> str:
    """The text of a note, once one of its signatures is known to be the verifier's. Raises: BadCheckpoint."""
    text, _, signatures = note.rpartition("\n\n")
    text += "\n"
    for line in signatures.split("\n"):
        name, _, signature = line.removeprefix(DASH).partition(" ")
        data = _unbased(signature)
        if line.startswith(DASH) and name == verifier.name and data[:4] == verifier.id:
            try:
                Ed25519PublicKey.from_public_bytes(verifier.public).verify(data[4:], text.encode())
            except InvalidSignature as error:
                raise BadCheckpoint(f"the signature of {verifier.name} does not fit: the note was changed") from error
            return text
    raise BadCheckpoint(f"it is not signed by {verifier.name}")


def checkpoint(note: str, verifier: Verifier) -> Checkpoint:
    """Raises: BadCheckpoint for one that the verifier did not sign, or that is none."""
    origin, size, root, *_ = [*opened(note, verifier).split("\n"), "", ""]
    if origin != verifier.name or not _SIZE.fullmatch(size) or len(_unbased(root)) != HASH_BYTES:
        raise BadCheckpoint("what is signed is no checkpoint of that log")
    return Checkpoint(origin, int(size), _unbased(root))


def notes(text: str) -> Iterator[str]:
    """The checkpoints of a text, one after the other; between two there may be empty lines.

    In a checkpoint is one empty line, before the signatures: so one that was cut off does not take the next with it.
    """
    lines: list[str] = []
    for line in text.split("\n"):
        ended = bool(lines) and (lines[-1] == "\n" or lines[-1].startswith(DASH))
        if ended and not line.startswith(DASH):
            yield "".join(lines)
            lines = []
        if line or lines:
            lines.append(f"{line}\n")
    if lines:
        yield "".join(lines)


def is_whole(note: str) -> bool:
    """Whether a signature ends it, of us or others, rather than that it was cut off while it was written."""
    *_, last = note.rstrip("\n").split("\n")
    return last.startswith(DASH) and len(_unbased(last.rpartition(" ")[2])) >= SIGNATURE_BYTES


def _based(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _unbased(text: str) -> bytes:
    """Empty for what is no base64, or not as it is written."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""
    return data if _based(data) == text else b""
