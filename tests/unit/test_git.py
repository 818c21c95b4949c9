"""git within bounds: a time, a size, and an environment that fits the repository it is asked about."""

import subprocess
import time
from pathlib import Path

import pytest

from firstpass.changes import Deadline, git
from firstpass.errors import ChangeTooLarge, NoChange, NoGit

SECRET = "tok_5f2e8c41d09ab37e6655"


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A git that is a script, as some people have before the real one."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    path = tmp_path / "git"
    path.write_text("#!/bin/sh\nexit 1\n")
    path.chmod(0o755)
    return path


def test_what_git_started_ends_with_it_when_the_time_is_up(program: Path) -> None:
    """A fetch of a partial clone held the pipe, and a hook its commit, long after git itself was ended."""
    program.write_text("#!/bin/sh\nsleep 20\nexit 0\n")
    started = time.monotonic()
    with pytest.raises(NoChange, match="took too long"):
        git("status", until=Deadline.after(0.5))
    assert time.monotonic() - started < 5


def test_a_git_that_says_too_much_ends_with_all_that_it_started(program: Path) -> None:
    program.write_text("#!/bin/sh\nyes | cat\nsleep 20\n")
    started = time.monotonic()
    with pytest.raises(ChangeTooLarge):
        git("status", until=Deadline.after(20), limit_bytes=1000)
    assert time.monotonic() - started < 5


def test_git_sees_no_token(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program.write_text("#!/bin/sh\nenv\n")
    for name in ("GITHUB_TOKEN", "GITLAB_TOKEN", "CI_JOB_TOKEN", "FIRSTPASS_API_KEY"):
        monkeypatch.setenv(name, SECRET)
    assert SECRET.encode() not in git("status", until=Deadline.after(20))


def test_a_hooks_environment_holds_for_its_own_repository_and_for_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two"):
        subprocess.run(["git", "init", "-q", str(tmp_path / name)], check=True)
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "one" / ".git"))
    asked = ("rev-parse", "--absolute-git-dir")
    until = Deadline.after(20)
    assert git(*asked, until=until).decode().strip() == str(tmp_path / "one" / ".git")
    assert git(*asked, of=tmp_path / "two", until=until).decode().strip() == str(tmp_path / "two" / ".git")


def test_without_git_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoGit, match="git does not start"):
        git("status", until=Deadline.after(20))
