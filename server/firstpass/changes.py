"""git, run within a time and a size, and what changed, as it says it. It knows no model and no server.

In a hook GIT_DIR and GIT_INDEX_FILE say what is being committed, so git has them; of a repository that is named they
would make another one, so there it has not.
"""

import os
import re
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from threading import Event, Timer
from time import monotonic
from typing import IO

from firstpass.errors import ChangeTooLarge, NoChange, NoGit

DIFF_BYTES = 2 * 2**20
"""Of a diff that is asked about; half of what a server takes by default, since a body has it as JSON."""

WORDS_BYTES = 2**20
"""Of anything else that git says."""

ELSEWHERE = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR", "GIT_NAMESPACE")
"""What leads git to another repository than the one that it is told; a hook has that set."""

SECRETS = ("GITHUB_TOKEN", "GITLAB_TOKEN", "CI_JOB_TOKEN", "FIRSTPASS_API_KEY")

QUIET = {"LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"}

FORM = (
    *("-c", "core.fsmonitor=false", "-c", "diff.suppressBlankEmpty=false", "-c", "core.quotePath=true"),
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


def git(*arguments: str, until: Deadline, limit_bytes: int = WORDS_BYTES, of: Path | None = None) -> bytes:
    """What git prints, with nothing on its standard input. Raises: NoChange, with git's words where it has some.

    of: a repository's directory, or one in it; by default it is the one that this process, or its hook, is in.
    """
    late = Event()
    with TemporaryFile() as words, _started(arguments, words, of) as child:
        assert child.stdout is not None
        timer = Timer(max(0.0, until.left), _end, (child, late))
        timer.daemon = True
        timer.start()
        try:
            said = child.stdout.read(limit_bytes + 1)
            if len(said) > limit_bytes:
                _end(child)
            status = child.wait()
        except BaseException:
            _end(child)
            raise
        finally:
            timer.cancel()
        if late.is_set():
            raise NoChange("git took too long")
        if len(said) > limit_bytes:
            raise ChangeTooLarge(f"what changed is too large: over {limit_bytes} bytes")
        if status:
            words.seek(0)
            raise NoChange(_words(words.read(WORDS_BYTES)) or f"git ended with status {status}")
    return said


def _end(child: "subprocess.Popen[bytes]", late: Event | None = None) -> None:
    """With what it started itself, as a fetch of a partial clone: that holds the pipe which is read to its end."""
    if late is not None:
        late.set()
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)


def _started(arguments: tuple[str, ...], words: IO[bytes], of: Path | None) -> "subprocess.Popen[bytes]":
    """In a session of its own, which can be ended whole and asks nobody at a terminal. words: its standard error."""
    where = () if of is None else ("-C", str(of))
    try:
        return subprocess.Popen(
            ["git", *where, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=words,
            env=git_environment(of),
            start_new_session=True,
        )
    except OSError as error:
        raise NoGit(f"git does not start ({error.strerror})") from error


def git_environment(of: Path | None) -> dict[str, str]:
    """Nobody's token: git needs none, and may run what a repository's settings name."""
    left_out = (*SECRETS, *ELSEWHERE) if of is not None else SECRETS
    return {name: value for name, value in os.environ.items() if name not in left_out} | QUIET


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
