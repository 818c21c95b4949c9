"""The log beside a running server: it is signed while it grows, callers get proofs of their receipts, old records go.

It knows no HTTP, and no database beside the store's own methods.
"""

import asyncio
import json
import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from firstpass.errors import BadCheckpoint, FirstpassError, NotFound, StoreFailed
from firstpass.store import Proof, Store
from firstpass.store.notes import Checkpoint, Signer, checkpoint, is_whole, notes

log = logging.getLogger(__name__)

TURN_SECONDS = 10.0
CHECKPOINT_SECONDS = 600.0
CHECKPOINT_ENTRIES = 1000
PAUSE_SECONDS = 0.01
DAY_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True)
class Keeping:
    """checkpoints: the file that they are appended to. keep_bytes, keep_days: how large the record, without its
    log, and how old an exchange may be; None for no bound."""

    checkpoints: Path | None
    keep_bytes: int
    keep_days: float | None


class Audit:
    """Raises: StoreFailed where the log is not the one of the last checkpoint in the file."""

    def __init__(self, store: Store, signer: Signer, keeping: Keeping) -> None:
        self._store, self._signer, self._keeping = store, signer, keeping
        self._signed = self._last()
        self._signed_at = time.monotonic()
        self.sign()

    async def checkpoint(self) -> str:
        """A signed note about the log as it is now."""
        return await asyncio.to_thread(self._checkpoint)

    def _checkpoint(self) -> str:
        size = self._store.size()
        return self._signer.sign(size, self._store.root(size))

    async def receipt(self, number: int, key: str | None) -> tuple[Proof, str]:
        """The proof for what has left for a caller, and the checkpoint that it leads to. Raises: NotFound, StoreFailed.

        Another key's is told from none by nothing.
        """
        proof = await asyncio.to_thread(self._store.prove, number)
        said = json.loads(proof.line) if proof else {}
        if proof is None or said["event"] != "departure" or said.get("key") != key:
            raise NotFound(f"no receipt {number} in the log", part="store", param="number")
        return proof, self._signer.sign(proof.size, proof.root)

    async def consistency(self, old: int) -> tuple[tuple[bytes, ...], str]:
        """The proof that the log begins with that of `old` entries, and the checkpoint of what it is now.

        Raises: NotFound, StoreFailed.
        """
        found = await asyncio.to_thread(self._store.consistency, old)
        if found is None:
            raise NotFound(f"the log never had {old} entries", part="store", param="size")
        size, hashes = found
        return hashes, self._signer.sign(size, await asyncio.to_thread(self._store.root, size))

    async def keep(self) -> None:
        """Until it is cancelled. What goes wrong is tried again at the next turn."""
        while True:
            await asyncio.sleep(TURN_SECONDS)
            await _tried("the log was not signed", self._sign_if_due)
            await _tried("old exchanges were not purged", self._purge)

    def _purge(self) -> None:
        """A few at a time, and others get to the store between."""
        days = self._keeping.keep_days
        before = time.time() - days * DAY_SECONDS if days is not None else 0.0
        while gone := self._store.purge(self._keeping.keep_bytes, before):
            log.info("%d of the oldest exchanges were purged", gone)
            time.sleep(PAUSE_SECONDS)

    def _sign_if_due(self) -> None:
        if self._keeping.checkpoints is None:
            return
        grown = self._store.size() - (self._signed.size if self._signed else 0)
        if grown >= CHECKPOINT_ENTRIES or time.monotonic() - self._signed_at >= CHECKPOINT_SECONDS:
            self.sign()

    def sign(self) -> None:
        """Append a checkpoint to the file, if there is one and the log has grown. Raises: StoreFailed."""
        path = self._keeping.checkpoints
        if path is None:
            return
        self._hold()
        note = self._checkpoint()
        made = checkpoint(note, self._signer.verifier)
        if made != self._signed:
            append(path, f"{note}\n")
        self._signed, self._signed_at = made, time.monotonic()

    def _hold(self) -> None:
        """A checkpoint that does not go on from the last one is never signed."""
        last = self._signed
        if last is not None and (self._store.size() < last.size or self._store.root(last.size) != last.root):
            raise StoreFailed(
                f"the log is not the one of its checkpoint of {last.size} entries in {self._keeping.checkpoints}: it"
                " was altered, or an older copy put back. `firstpass audit verify --checkpoint` says more; to go on"
                " with what there is, move that file away",
                part="store",
            )

    def _last(self) -> Checkpoint | None:
        path = self._keeping.checkpoints
        try:
            found = whole_notes(path) if path is not None and path.exists() else []
            return checkpoint(found[-1], self._signer.verifier) if found else None
        except (BadCheckpoint, OSError, ValueError) as error:
            raise StoreFailed(f"server.checkpoints: {path} does not hold: {error}", part="store") from error


async def _tried(what: str, work: Callable[[], None]) -> None:
    """What goes wrong is logged, whatever it is: the next turn comes all the same."""
    try:
        await asyncio.to_thread(work)
    except FirstpassError as error:
        log.error("%s: %s", what, error)
    except Exception:
        log.exception("%s", what)


def whole_notes(path: Path) -> list[str]:
    """Without those that were cut off when the disk was full or the power went, which a warning names."""
    found = list(notes(path.read_text(errors="replace")))
    for place, note in enumerate(found, 1):
        if not is_whole(note):
            log.warning("%s: note %d of %d has no whole signature and is left out", path, place, len(found))
    return [note for note in found if is_whole(note)]


def append(path: Path, note: str) -> None:
    """Durable when it returns, and not there at all where it raises. Raises: StoreFailed.

    After one that was cut off by a crash, it stands for itself.
    """
    try:
        with path.open("ab+", buffering=0) as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - 2, 0))
            apart = b"" if file.read() in (b"", b"\n\n") else b"\n\n"
            _write(file, apart + note.encode(), size)
    except OSError as error:
        raise StoreFailed(f"server.checkpoints: {error}", part="store") from error


def _write(file: FileIO, data: bytes, size: int) -> None:
    try:
        while data:
            data = data[file.write(data) :]
        os.fsync(file.fileno())
    except OSError:
        file.truncate(size)
        raise
