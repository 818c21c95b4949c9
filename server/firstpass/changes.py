"""What changed, as git says it: a diff of the index or of commits, within bounds. It knows no model and no server.

git's own environment is left as it is: in a hook, GIT_DIR and GIT_INDEX_FILE say what is being committed.
"""

import os
import re
import subprocess
from dataclasses import dataclass
from tempfile import TemporaryFile
from threading import Event, Timer
from time import monotonic
from typing import IO

from firstpass.errors import ChangeTooLarge, NoChange

DIFF_BYTES = 2 * 2**20
"""Of a diff that is asked about; half of what a server takes by default, since a body has it as JSON."""

WORDS_BYTES = 2**20
"""Of anything else that git says."""

QUIET = {"LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"}

FORM = (
    *("-c", "core.fsmonitor=false", "-c", "diff.suppressBlankEmpty=false"),
    *("diff", "--no-color", "--no-ext-diff", "--no-textconv", "--unified=3", "--inter-hunk-context=0"),
    *("--find-renames", "--src-prefix=a/", "--dst-prefix=b/", "--no-relative", "--submodule=short"),
)
"""A diff as it is without anybody's settings, and without a program that a repository names."""

HUNK = re.compile(rb"^@@ ", re.MULTILINE)
COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


@dataclass(frozen=True, slots=True)
class Deadline:
    """at: seconds of the monotonic clock."""

    at: float

    @classmethod
    def after(cls, seconds: float) -> "Deadline":
        return cls(monotonic() + seconds)

    @property
    def left(self) -> float:
        return self.at - monotonic()


def git(*arguments: str, until: Deadline, limit_bytes: int = WORDS_BYTES) -> bytes:
    """What git prints, with nothing on its standard input. Raises: NoChange, with git's words where it has some."""
    late = Event()
    with TemporaryFile() as words, _started(arguments, words) as child:
        assert child.stdout is not None
        timer = Timer(max(0.0, until.left), _end, (child, late))
        timer.daemon = True
        timer.start()
        said = child.stdout.read(limit_bytes + 1)
        if len(said) > limit_bytes:
            child.kill()
        status = child.wait()
        timer.cancel()
        if late.is_set():
            raise NoChange("git took too long")
        if len(said) > limit_bytes:
            raise ChangeTooLarge(f"what changed is too large: over {limit_bytes} bytes")
        if status:
            words.seek(0)
            raise NoChange(_words(words.read(WORDS_BYTES)) or f"git ended with status {status}")
    return said


def _end(child: "subprocess.Popen[bytes]", late: Event) -> None:
    late.set()
    child.kill()


def _started(arguments: tuple[str, ...], words: IO[bytes]) -> "subprocess.Popen[bytes]":
    """words: where its standard error goes."""
    try:
        return subprocess.Popen(
            ["git", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=words,
            env=os.environ | QUIET,
        )
    except OSError as error:
        raise NoChange(f"git does not start ({error.strerror})") from error


def _words(said: bytes) -> str:
    """The first line that git says."""
    lines = said.decode(errors="replace").strip().splitlines()
    return f"git: {lines[0].removeprefix('fatal: ')}"[:300] if lines else ""


def staged(until: Deadline) -> bytes:
    """What the commit that is being made would change, in a repository without a commit too. Raises: NoChange."""
    return git(*FORM, "--cached", until=until, limit_bytes=DIFF_BYTES)


def between(before: str, after: str, until: Deadline) -> bytes:
    """From one tree or commit to another. before, after: ids. Raises: NoChange."""
    return git(*FORM, before, after, "--", until=until, limit_bytes=DIFF_BYTES)


def commit(name: str, until: Deadline) -> str:
    """The id of the commit that a name means here. Raises: NoChange."""
    found = git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}", until=until)
    return found.decode().strip()


def fork_point(one: str, other: str, until: Deadline) -> str:
    """The id of the newest commit that both come from. Raises: NoChange where there is none."""
    return git("merge-base", one, other, until=until).decode().split()[0]


def nothing(until: Deadline) -> str:
    """The id of the tree without a file, in whichever hash the repository has."""
    return git("hash-object", "-t", "tree", "--stdin", until=until).decode().strip()


def has_text(diff: bytes) -> bool:
    """Whether a line of text changed: of files that are not text, of modes and of moves nothing can be said."""
    return HUNK.search(diff) is not None
