"""A backup of a running server's record by command, and a server on what was restored."""

import errno
import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest
from typer.testing import CliRunner

from firstpass.cli.main import app
from firstpass.errors import FirstpassError
from firstpass.store.sqlite import SqliteStore
from firstpass.store.verify import verify
from tests.conftest import fronted, serving
from tests.doubles import openai_app, says

ASKED = {"model": "local", "messages": [{"role": "user", "content": "hello"}]}


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FIRSTPASS_SERVER__DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture
def engine() -> Iterator[str]:
    with serving(openai_app(says("hi"))) as url:
        yield url


def run(*words: object) -> tuple[int, str]:
    """Status and what was said; an error of ours counts as `main` would tell it."""
    done = CliRunner().invoke(app, [str(word) for word in words])
    if isinstance(done.exception, FirstpassError):
        return 1, str(done.exception)
    return done.exit_code, done.output


def apart(*words: object) -> subprocess.CompletedProcess[str]:
    """In a process of its own: locks on a file tell only other processes that it is open."""
    command = [sys.executable, "-m", "firstpass", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=600)


def ask(client: Any, times: int = 1) -> list[str]:
    return [client.post("/v1/chat/completions", json=ASKED).headers["x-request-id"] for _ in range(times)]


def ids(path: Path) -> set[str]:
    with closing(apsw.Connection(str(path))) as connection:
        return {name for (name,) in connection.execute("SELECT id FROM exchanges")}


def test_a_backup_of_a_running_server_is_restored_once_it_has_stopped(data: Path, engine: str, tmp_path: Path) -> None:
    copy = tmp_path / "copy.sqlite"
    with fronted(engine, data) as client:
        before = ask(client, 3)
        status, said = run("backup", copy)
        assert status == 0 and "3 exchanges" in said and "pepper and log-key are not in it" in said
        after = ask(client)
        refused = apart("restore", copy)
        assert refused.returncode == 1 and "stop the server first" in refused.stderr
        ask(client)
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600 and ids(copy) == set(before)
    status, said = run("restore", copy)
    assert status == 0 and ".before-" in said
    (aside,) = data.glob("*.before-*")
    assert set(before + after) < ids(aside) and verify(aside, []).flaws == []
    with fronted(engine, data) as client:
        now = ask(client)
    assert ids(data / "firstpass.sqlite") == {*before, *now} and verify(data / "firstpass.sqlite", []).flaws == []


def test_a_backup_that_was_altered_replaces_nothing(data: Path, engine: str, tmp_path: Path) -> None:
    copy = tmp_path / "copy.sqlite"
    with fronted(engine, data) as client:
        ask(client)
        assert run("backup", copy)[0] == 0
        kept = ask(client)
    with closing(apsw.Connection(str(copy))) as connection:
        connection.execute("UPDATE exchanges SET seconds = 9")
    status, said = run("restore", copy)
    assert status == 1 and "damaged or was altered" in said
    assert set(kept) < ids(data / "firstpass.sqlite") and not list(data.glob("*.before-*")) + list(data.glob("*.part*"))


def test_a_damaged_record_is_replaced(data: Path, engine: str, tmp_path: Path) -> None:
    copy, store = tmp_path / "copy.sqlite", data / "firstpass.sqlite"
    with fronted(engine, data) as client:
        kept = ask(client)
        assert run("backup", copy)[0] == 0
    store.write_bytes(b"not a database, whatever it was " * 256)
    assert run("restore", copy)[0] == 0 and ids(store) == set(kept)


def test_a_backup_from_before_the_last_checkpoint_is_refused_while_that_is_there(
    data: Path, engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy, notes = tmp_path / "copy.sqlite", tmp_path / "notes"
    monkeypatch.setenv("FIRSTPASS_SERVER__CHECKPOINTS", str(notes))
    with fronted(engine, data, server={"checkpoints": notes}) as client:
        ask(client)
        assert run("backup", copy)[0] == 0
        ask(client)
    status, said = run("restore", copy)
    assert status == 1 and "an older copy put back" in said
    notes.rename(tmp_path / "moved")
    assert run("restore", copy)[0] == 0


def test_a_backup_overwrites_no_file_and_leaves_none_where_it_fails(data: Path, tmp_path: Path) -> None:
    assert run("backup", tmp_path / "copy")[1].strip().endswith("no record yet at " + str(data / "firstpass.sqlite"))
    SqliteStore(data / "firstpass.sqlite").close()
    (tmp_path / "copy").write_text("mine")
    assert "is there already" in run("backup", tmp_path / "copy")[1] and (tmp_path / "copy").read_text() == "mine"
    assert run("backup", tmp_path / "nowhere" / "copy")[0] == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "data"]


def test_a_file_system_without_hard_links_has_backups_too(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, to: Path) -> None:
        if to.exists():
            raise FileExistsError(errno.EEXIST, "is there", to)
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), to)  # As exFAT has it.

    monkeypatch.setattr("os.link", refuse)
    SqliteStore(data / "firstpass.sqlite").close()
    copy = tmp_path / "copy"
    assert run("backup", copy)[0] == 0 and stat.S_IMODE(copy.stat().st_mode) == 0o600
    before = (data / "firstpass.sqlite").read_bytes()
    status, said = run("restore", copy)
    (aside,) = data.glob("*.before-*")
    assert status == 0 and ".before-" in said and aside.read_bytes() == before
    assert verify(data / "firstpass.sqlite", []).flaws == [] and len(list(tmp_path.iterdir())) == 2


def test_keys_of_another_server_are_told_of(data: Path, tmp_path: Path) -> None:
    made = json.loads(run("keys", "create", "ci", "--json")[1])
    assert made and run("backup", tmp_path / "copy")[0] == 0
    for path in data.iterdir():
        path.unlink()
    status, said = run("restore", tmp_path / "copy")
    assert status == 0 and "only with the pepper of the server that made them" in said
