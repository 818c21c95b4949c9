"""Which files of a directory are code that people wrote and that may be shown: no ignored, generated or secret ones.

What .gitignore files mean git itself says, also of a directory that is no repository.
"""

import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from firstpass.changes import Deadline, git
from firstpass.errors import BadIndex, NoChange, NoGit
from firstpass.evidence.credentials import holds_secret
from firstpass.evidence.facts.kinds import GENERATED_MARK, NOT_OURS
from firstpass.evidence.trees.languages import language_of

MOST_BYTES = 500_000
GIT_SECONDS = 300.0
LISTED_BYTES = 2**28
"""Of all paths together: some millions of files."""

_HEAD_BYTES = 2_000
_LONG_LINE = 500


def sources(root: Path) -> Iterator[str]:
    """Paths of code files below root, with slashes, in order; what git ignores there is left out.

    So is a path that is no UTF-8: no diff could name it. Raises: BadIndex, where git can not be run.
    """
    for raw in sorted(_listed(root).split(b"\0")):
        path = raw.decode("utf-8", "replace")
        if path.encode() == raw and language_of(path) and not NOT_OURS.match_file(path) and is_file(root, path):
            yield path


def is_file(root: Path, path: str) -> bool:
    """Whether it is a file there, and neither it nor a directory before it a link, which may lead out of root."""
    try:
        whole = (root / path).resolve(strict=True)
        return whole == root.resolve() / path and stat.S_ISREG(whole.stat().st_mode)
    except (OSError, RuntimeError):
        return False


def _listed(root: Path) -> bytes:
    """Each file's path and a zero byte."""
    try:
        if _is_work_tree(root):
            return _git(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
        with tempfile.TemporaryDirectory() as empty:
            _git(root, "init", "--quiet", "--bare", empty)
            aside = (f"--git-dir={empty}", f"--work-tree={root}")
            return _git(root, *aside, "ls-files", "-z", "--others", "--exclude-per-directory=.gitignore")
    except NoChange as error:
        raise BadIndex(f"git can not list the files: {error}") from error


def _is_work_tree(root: Path) -> bool:
    try:
        return _git(root, "rev-parse", "--is-inside-work-tree").strip() == b"true"
    except NoGit:
        raise
    except NoChange:
        return False


def _git(root: Path, *arguments: str) -> bytes:
    return git(*arguments, of=root, until=Deadline.after(GIT_SECONDS), limit_bytes=LISTED_BYTES)


def why_not(text: bytes) -> str | None:
    """Why a file's text must not be read; None where it may."""
    if len(text) > MOST_BYTES:
        return f"more than {MOST_BYTES} bytes"
    if GENERATED_MARK.search(text[:_HEAD_BYTES].decode("utf-8", "replace")):
        return "generated"
    if b"\0" in text[:_HEAD_BYTES]:
        return "binary"
    if len(text) > _LONG_LINE * (text.count(b"\n") + 1):
        return "minified"
    if b"PRIVATE KEY-----" in text:
        return "a private key in it"
    return None


def without_secrets(text: bytes) -> bytes:
    """The text with every line emptied that looks as if it held a credential."""
    return b"\n".join(b"" if holds_secret(line.decode("utf-8", "replace")) else line for line in text.split(b"\n"))
