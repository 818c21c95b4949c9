"""Hook files: put where git looks for them, and taken away again. What was there before is kept and called.

It knows no server. git says where its hooks are, so core.hooksPath and the worktrees of one repository hold.
"""

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from shutil import which

from firstpass.changes import Deadline, git
from firstpass.errors import BadHook, NoChange
from firstpass.hooks.script import KEPT, NAMES, Name, is_as_written, is_ours, written

GIT_SECONDS = 20.0
HOOK_BYTES = 2**20

ASKS_ITS_NAME = re.compile(rb"basename|##\*/|PROGRAM_NAME|argv\[0\]|\bARGV0\b|__FILE__")
"""A script that goes by the name that it was called by, as those of overcommit do: under another one it is another."""


@dataclass(frozen=True, slots=True)
class Hook:
    """One hook's place. says: what is there, in words."""

    name: Name
    path: Path
    installed: bool
    says: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where git looks for hooks. shared: core.hooksPath says so, and others may use the folder too."""

    folder: Path
    shared: bool


def place() -> Place:
    """Of the repository that this process is in. Raises: BadHook."""
    until = Deadline.after(GIT_SECONDS)
    try:
        folder = git("rev-parse", "--git-path", "hooks", until=until)
    except NoChange as error:
        raise BadHook(str(error)) from error
    try:
        path = git("config", "--get", "core.hooksPath", until=until).strip()
    except NoChange:
        path = None
    named = Path(os.fsdecode(folder.rstrip(b"\n"))).absolute()
    if path == b"" or (_is_there(named) and not named.is_dir()):
        where = str(named) if path else ""
        raise BadHook(f"core.hooksPath sends git to {where!r}, which is no folder: hooks are switched off here")
    return Place(named, shared=path is not None)


def look(where: Place) -> list[Hook]:
    """What is at each hook's place. Raises: BadHook."""
    return [_look(where.folder, name) for name in NAMES]


def _look(folder: Path, name: Name) -> Hook:
    path = folder / name
    text = _text(path)
    if text is None:
        return Hook(name, path, False, "no hook")
    if not is_ours(text):
        return Hook(name, path, False, "a hook of somebody else")
    kept = ", after the one that was there before" if _is_there(_kept(path)) else ""
    return Hook(name, path, True, f"installed{kept}" if is_as_written(text) else f"installed{kept}, changed by hand")


def install(where: Place, names: tuple[Name, ...], shared: bool) -> list[Hook]:
    """Idempotent. shared: into a folder that others may use, too. Raises: BadHook, before anything is changed."""
    _refuse_husky(where.folder, names)
    if where.shared and not shared:
        raise BadHook(
            f"core.hooksPath sends git to {where.folder}, which other repositories or people may use as well: with"
            " --shared the hooks are put there all the same"
        )
    for name in names:
        _refuse(where.folder / name)
    where.folder.mkdir(parents=True, exist_ok=True)
    return [_install(where.folder, name) for name in names]


def _refuse_husky(folder: Path, names: tuple[Name, ...]) -> None:
    """husky writes its folder anew at each installation, and its scripts go by their own names."""
    if folder.name == "_" and ((folder / "h").exists() or (folder / "husky.sh").exists()):
        lines = "; ".join(f'{folder.parent.name}/{name}: firstpass hook run {name} "$@" || true' for name in names)
        raise BadHook(f"husky looks after the hooks in {folder}: add a line to each of its own files instead ({lines})")


def _refuse(path: Path) -> None:
    """What can be neither kept nor written over."""
    text, kept = _text(path), _kept(path)
    if text is None:
        if _is_there(kept):
            raise BadHook(f"{kept} is there, but no {path.name}: put it back or delete it, then install again")
    elif is_ours(text):
        if not is_as_written(text):
            raise BadHook(f"{path} was changed by hand since it was installed: delete it, then install again")
    elif _is_there(kept):
        raise BadHook(f"{path} is somebody else's, and {kept} is in the way of keeping it: delete the one that is old")
    elif ASKS_ITS_NAME.search(text.encode(errors="surrogateescape")):
        raise BadHook(
            f"{path} may go by its own name, so it can't be called by another one: add to it the line"
            f' `firstpass hook run {path.name} "$@" || true` instead'
        )


def _install(folder: Path, name: Name) -> Hook:
    path = folder / name
    new = folder / f"{name}.firstpass-new-{os.getpid()}"
    text = _text(path)
    try:
        new.write_text(written(name, program()), encoding="utf-8", errors="surrogateescape", newline="\n")
        new.chmod(0o755)
        if text is not None and not is_ours(text):
            path.rename(_kept(path))
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)
    return _look(folder, name)


def uninstall(where: Place, names: tuple[Name, ...]) -> list[tuple[Name, str]]:
    """Each hook's name and what became of it. Raises: BadHook, before anything is changed."""
    texts = {name: _text(where.folder / name) for name in names}
    for name, text in texts.items():
        if text is not None and is_ours(text) and not is_as_written(text):
            raise BadHook(f"{where.folder / name} was changed by hand since it was installed: take it away by hand")
    return [(name, _uninstall(where.folder / name, text)) for name, text in texts.items()]


def _uninstall(path: Path, text: str | None) -> str:
    if text is None:
        return "was not there"
    if not is_ours(text):
        elsewhere = path.with_name(f"{path.name}.legacy")
        beside = f" ({elsewhere} may be ours: pre-commit moves hooks there)" if _is_there(elsewhere) else ""
        return f"is somebody else's, and stays{beside}"
    kept = _kept(path)
    if _is_there(kept):
        kept.replace(path)
        return "is gone; the one that was there before is back"
    path.unlink()
    return "is gone"


def program() -> str:
    """The path of the `firstpass` that runs now, so that a git without this PATH finds it too."""
    beside = Path(sys.executable).with_name("firstpass")
    found = str(beside) if os.access(beside, os.X_OK) else which("firstpass")
    return str(Path(found).absolute()) if found else "firstpass"


def _kept(path: Path) -> Path:
    return path.with_name(path.name + KEPT)


def _is_there(path: Path) -> bool:
    """A link to nowhere is there too."""
    return path.is_symlink() or path.exists()


def _text(path: Path) -> str | None:
    """None where nothing is. Raises: BadHook where it is no file."""
    if not _is_there(path):
        return None
    if not path.is_symlink() and not path.is_file():
        raise BadHook(f"{path} is no file")
    if not path.exists():
        return ""
    if path.stat().st_size > HOOK_BYTES:
        return ""
    return path.read_bytes().decode(errors="surrogateescape")
