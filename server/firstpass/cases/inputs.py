"""What a case's `diff_file` and `commit` stand for, read from the repository that the case lies in. Knows no case."""

import re
from pathlib import Path

from firstpass.changes import Deadline, git
from firstpass.errors import BadCases, ChangeTooLarge, NoChange

MOST_BYTES = 4_000_000
"""Of one input: more than any request may have by default."""

GIT_SECONDS = 60.0

_REVISION = re.compile(r"[^\s\x00-\x1f\x7f-][^\s\x00-\x1f\x7f]{0,399}")
_SHOWN = (
    "--no-color", "--no-ext-diff", "--no-textconv", "--find-renames", "--no-relative", "--unified=3",
    "--src-prefix=a/", "--dst-prefix=b/", "--patch",
)  # fmt: skip


def repository_of(path: Path) -> Path:
    """The directory of the repository that the file lies in; where there is none, the file's own directory."""
    folder = path.resolve().parent
    return next((one for one in (folder, *folder.parents) if (one / ".git").exists()), folder)


def diff_of_file(case_file: Path, named: str) -> str:
    """Raises: BadCases for a file that is not of the repository, too large, or no text."""
    root = repository_of(case_file)
    try:
        whole = (case_file.resolve().parent / named).resolve(strict=True)
        if Path(named).is_absolute() or not whole.is_relative_to(root):
            raise BadCases(f"{named!r} leaves the repository {root}")
        if ".git" in whole.relative_to(root).parts:
            raise BadCases(f"{named!r} is git's own, which may have secrets")
        if not whole.is_file():
            raise BadCases(f"{named!r} is no file")
        return text_of(whole, MOST_BYTES)
    except (OSError, RuntimeError, ValueError) as error:
        raise BadCases(f"{named!r} can not be read: {getattr(error, 'strerror', None) or error}") from error


def text_of(path: Path, most_bytes: int) -> str:
    """Raises: BadCases, OSError."""
    with path.open("rb") as file:
        raw = file.read(most_bytes + 1)
    if len(raw) > most_bytes:
        raise BadCases(f"{path.name} has more than {most_bytes} bytes")
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise BadCases(f"{path.name} is no UTF-8 text (byte {error.start}, in line {line})") from error


def diff_of_commit(case_file: Path, named: str) -> str:
    """What git shows of a commit, or between the two of a range. Raises: BadCases with git's own words.

    Bytes that are no UTF-8 are replaced, as everywhere: a diff of a Latin-1 file is still a diff.
    """
    if not _REVISION.fullmatch(named):
        raise BadCases(f"{named!r} is no name of a commit or of a range")
    own = ("diff",) if ".." in named else ("show", "--format=", "--no-show-signature", "--diff-merges=first-parent")
    try:
        diff = git(
            *("-c", "core.quotePath=true", *own, *_SHOWN, "--end-of-options", named, "--"),
            of=case_file.resolve().parent,
            until=Deadline.after(GIT_SECONDS),
            limit_bytes=MOST_BYTES,
        ).decode(errors="replace")
    except ChangeTooLarge as error:
        raise BadCases(f"the diff of {named} has more than {MOST_BYTES} bytes") from error
    except NoChange as error:
        unknown = any(words in str(error) for words in ("unknown revision", "bad "))
        hint = "; a shallow clone has only some commits" if unknown else ""
        raise BadCases(f"git does not show {named}: {error}{hint}") from error
    if not diff.strip():
        raise BadCases(f"{named} changes nothing")
    return diff
