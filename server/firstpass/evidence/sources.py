"""Which files of a directory are code that people wrote and that may be shown: no ignored, generated or secret ones."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from pathspec import GitIgnoreSpec

from firstpass.evidence.languages import language_of

MOST_BYTES = 500_000
NOT_OURS = (
    ".git/", "node_modules/", "vendor/", "third_party/", "dist/", "build/", "target/", "__pycache__/", ".venv/",
    "venv/", "*.min.js", "*.min.mjs", "*_pb2.py", "*_pb2_grpc.py", "*.pb.go", "*.generated.*", "*_generated.*",
    "*.gen.go",
)  # fmt: skip
"""Left out although no .gitignore says so. Source: github-linguist, vendor.yml and generated.rb, the commonest."""

_GENERATED = re.compile(
    rb"^\W*(?:@generated\b|Code generated .{0,80} DO NOT EDIT|.{0,40}generated.{0,80}do not (?:edit|modify))",
    re.I | re.M,
)
_HEAD_BYTES = 2_000
_LONG_LINE = 500
_SECRET = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----|\bAKIA[0-9A-Z]{16}\b|\bgh[pousr]_\w{30,}|\bxox[abpr]-[\w-]{10,}"
    r"|\bsk-[\w-]{20,}|\bAIza[\w-]{30,}|\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\."
    r"|(?i:passw(?:or)?d|secret|token|api_?key)\w*['\"]?\s*[:=]\s*['\"][^'\"\s]{12,}"
)
"""Key formats as their issuers document them, and what is assigned to a name that says so."""


def sources(root: Path) -> Iterator[str]:
    """Paths of code files below root, with slashes, in order; what a .gitignore of any directory names is left out."""
    yield from _below(root, "", [GitIgnoreSpec.from_lines(NOT_OURS)], [""])


def _below(root: Path, folder: str, specs: list[GitIgnoreSpec], bases: list[str]) -> Iterator[str]:
    ignoring = root / folder / ".gitignore"
    if ignoring.is_file():
        lines = ignoring.read_text(encoding="utf-8", errors="replace").splitlines()
        specs, bases = [*specs, GitIgnoreSpec.from_lines(lines)], [*bases, folder]
    with os.scandir(root / folder) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    for entry in found:
        path = f"{folder}{entry.name}"
        if entry.is_dir(follow_symlinks=False):
            if not _ignored(f"{path}/", specs, bases):
                yield from _below(root, f"{path}/", specs, bases)
        elif entry.is_file(follow_symlinks=False) and language_of(path) and not _ignored(path, specs, bases):
            yield path


def _ignored(path: str, specs: list[GitIgnoreSpec], bases: list[str]) -> bool:
    """By the nearest .gitignore that has a pattern for it: a deeper one decides over those above."""
    for spec, base in zip(reversed(specs), reversed(bases), strict=True):
        result = spec.check_file(path[len(base) :])
        if result.include is not None:
            return result.include
    return False


def why_not(text: bytes) -> str | None:
    """Why a file's text must not be read; None where it may."""
    if len(text) > MOST_BYTES:
        return f"more than {MOST_BYTES} bytes"
    if _GENERATED.search(text[:_HEAD_BYTES]):
        return "generated"
    if b"\0" in text[:_HEAD_BYTES]:
        return "binary"
    if len(text) > _LONG_LINE * (text.count(b"\n") + 1):
        return "minified"
    if b"PRIVATE KEY-----" in text:
        return "a private key in it"
    return None


def holds_secret(line: str) -> bool:
    """Whether a line of code looks as if it held a credential."""
    return _SECRET.search(line) is not None
