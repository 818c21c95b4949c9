"""Real git repositories with nobody's settings, an editor that keeps what it was shown, and a remote beside them."""

import atexit
import os
import subprocess
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from shutil import copytree, rmtree
from tempfile import mkdtemp

from tests import warm

EDITOR = '#!/bin/sh\ncp "$1" "$SHOWN"\n'


@dataclass
class Repository:
    """folder: where git runs. home: of a user without settings. variables: of the environment, beside those."""

    folder: Path
    home: Path
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "FIRSTPASS_"))}
        names = {f"GIT_{who}_{what}": f"{who}@example" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        own = {"HOME": str(self.home), "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": str(self.home / ".gitconfig")}
        editor = {"GIT_EDITOR": str(self.home / "editor"), "SHOWN": str(self.home / "shown"), "COLUMNS": "300"}
        return kept | names | own | editor | self.variables

    def run(self, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment | variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=120,
            check=False,
        )

    def tries(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return self.run("git", *arguments, **variables)

    def git(self, *arguments: str, **variables: str) -> str:
        """What git says, and it has to succeed."""
        done = self.tries(*arguments, **variables)
        assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def firstpass(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """In a process of its own, though a quick one: the hooks and the job start theirs from nothing."""
        done = warm.firstpass(arguments, self.folder, self.environment | variables)
        return subprocess.CompletedProcess(("firstpass", *arguments), *done)

    def write(self, name: str, text: str | bytes) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def adds(self, name: str, text: str | bytes) -> None:
        self.write(name, text)
        self.git("add", "--", name)

    def commit(self, *arguments: str, **variables: str) -> str:
        """What the editor was shown."""
        self.shown.unlink(missing_ok=True)
        self.git("commit", *arguments, **variables)
        return self.shown.read_bytes().decode(errors="replace") if self.shown.exists() else ""

    @property
    def shown(self) -> Path:
        return self.home / "shown"

    @property
    def newest(self) -> str:
        return self.tries("log", "-1", "--format=%B").stdout.strip()

    @property
    def hooks(self) -> Path:
        return self.folder / ".git" / "hooks"

    def hook(self, name: str, text: str) -> Path:
        path = self.hooks / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
        return path


def made(root: Path, **variables: str) -> Repository:
    """A new repository with one commit, which no hook saw."""
    return copied(_made(), root, **variables)


def copied(of: Repository, root: Path, **variables: str) -> Repository:
    """The same again, below another folder."""
    copytree(of.folder.parent, root, symlinks=True, dirs_exist_ok=True)
    return Repository(root / of.folder.name, root / of.home.name, variables)


@cache
def _made() -> Repository:
    root = Path(mkdtemp())
    atexit.register(rmtree, root)
    home, folder = root / "home", root / "my shop"
    home.mkdir()
    folder.mkdir()
    (home / "editor").write_text(EDITOR)
    (home / "editor").chmod(0o755)
    repository = Repository(folder, home)
    repository.git("init", "-q", "-b", "main")
    repository.adds("auth.py", "def login(user):\n    check(user)\n    return user\n")
    repository.git("commit", "-qm", "Begin")
    return repository
