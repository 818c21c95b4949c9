"""Signed checkpoints: the form is that of C2SP, and nothing that was changed opens."""

import base64

import pytest

from firstpass.errors import BadCheckpoint
from firstpass.store.notes import Checkpoint, Signer, Verifier, checkpoint, is_whole, notes, opened

SIGNER = Signer(bytes(range(32)))
ROOT = bytes(range(32, 64))
NOTE = SIGNER.sign(12, ROOT)

PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
SAYS = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
SIGNED = "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"


def test_a_checkpoint_reads_as_it_was_signed() -> None:
    name = SIGNER.verifier.name
    text, _, signature = NOTE.partition("\n\n")
    assert text.split("\n") == [name, "12", base64.b64encode(ROOT).decode()]
    assert signature.startswith(f"— {name} ") and signature.endswith("\n")
    assert checkpoint(NOTE, SIGNER.verifier) == Checkpoint(name, 12, ROOT)


def test_a_note_that_others_signed_opens_with_their_key() -> None:
    """The one in the documentation of golang.org/x/mod/sumdb/note."""
    assert opened(f"{SAYS}\n{SIGNED}", Verifier.read(PETER)) == SAYS
    with pytest.raises(BadCheckpoint, match="no checkpoint"):
        checkpoint(f"{SAYS}\n{SIGNED}", Verifier.read(PETER))


def test_a_signature_of_another_beside_ours_is_no_hindrance() -> None:
    assert checkpoint(NOTE + SIGNED, SIGNER.verifier).size == 12
    assert checkpoint(NOTE.replace("— first", f"{SIGNED}— first"), SIGNER.verifier).size == 12


def test_no_bit_of_a_checkpoint_can_change() -> None:
    for bit in range(len(NOTE.encode()) * 8 - 8):
        data = bytearray(NOTE.encode())
        data[bit // 8] ^= 1 << bit % 8
        with pytest.raises(BadCheckpoint):
            checkpoint(data.decode(errors="replace"), SIGNER.verifier)


def test_a_public_key_is_read_back_and_a_damaged_one_is_refused() -> None:
    text = str(SIGNER.verifier)
    assert Verifier.read(f"{text}\n") == SIGNER.verifier
    for wrong in ("", "a+b", text[:-4], text.replace("firstpass", "secondpass"), text.replace("+A", "+B", 1)):
        with pytest.raises(BadCheckpoint, match="public key"):
            Verifier.read(wrong)


def test_another_key_is_another_log() -> None:
    other = Signer(bytes(32))
    assert other.verifier.name != SIGNER.verifier.name
    with pytest.raises(BadCheckpoint, match="not signed by"):
        checkpoint(NOTE, other.verifier)


def test_notes_that_were_appended_one_after_the_other_come_apart() -> None:
    later = SIGNER.sign(13, ROOT)
    for between in ("", "\n", "\n\n"):
        assert [checkpoint(note, SIGNER.verifier).size for note in notes(NOTE + between + later)] == [12, 13]
    for cut in range(1, len(NOTE.encode()) - 1):
        torn = NOTE.encode()[:cut].decode(errors="replace")
        found = [note for note in notes(f"{NOTE}\n{torn}\n\n{later}\n") if is_whole(note)]
        assert [checkpoint(note, SIGNER.verifier).size for note in found] == [12, 13], cut
    assert list(notes("")) == list(notes("\n\n")) == []
    assert [note for note in notes(f"{NOTE}\nnot a note") if note.startswith("not")] == ["not a note\n"]
