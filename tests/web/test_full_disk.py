"""A disk that is full or read-only, and a store's file that another process holds: callers are told, and it passes."""

import errno
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import httpx
import pytest
from typer.testing import CliRunner

from firstpass.cli.main import app
from firstpass.errors import StoreFailed
from firstpass.store.sqlite import SqliteStore
from firstpass.store.verify import verify
from tests.conftest import fronted, serving
from tests.doubles import openai_app, says
from tests.processes import serve
from tests.scenes import until

CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"
ASKED = {"model": "local", "messages": [{"role": "user", "content": "hello " * 2000}], "max_tokens": 9}
TRIES = 100


@pytest.fixture
def engine() -> Iterator[str]:
    with serving(openai_app(says("hi"))) as url:
        yield url


def ask(client: httpx.Client, path: str = CHAT, **more: Any) -> httpx.Response:
    return client.post(path, json=ASKED | more)


def answered_until_refused(client: httpx.Client, **more: Any) -> tuple[list[str], httpx.Response]:
    """The exchanges whose answers came, and the first refusal."""
    answered: list[str] = []
    for _ in range(TRIES):
        response = ask(client, **more)
        if not response.is_success:
            return answered, response
        answered.append(response.headers["x-request-id"])
    raise AssertionError("it was never refused")


def assert_told(client: httpx.Client, refused: httpx.Response) -> None:
    """In each dialect, by /readyz too, and then before a model is asked."""
    for response in (refused, ask(client), client.get("/readyz")):
        error = response.json()["error"]
        assert (response.status_code, error["code"], error["part"]) == (503, "store_unavailable", "store")
        assert int(response.headers["retry-after"]) > 0
    anthropic = ask(client, MESSAGES)
    assert anthropic.status_code == 503 and anthropic.json()["type"] == "error"
    assert "store could not" in anthropic.json()["error"]["message"]
    assert client.get("/healthz").is_success


def assert_kept(path: Path, answered: list[str]) -> None:
    assert verify(path, []).flaws == []
    with closing(SqliteStore(path)) as store:
        assert all(store.read(name) for name in answered)


def test_a_full_disk_is_told_and_passes(small_disk: Path, engine: str) -> None:
    with fronted(engine, small_disk / "data") as client:
        answered, refused = answered_until_refused(client)
        assert_told(client, refused)
        refusals = len(answered)
        subprocess.run(["mount", "-o", "remount,size=8m", small_disk], check=True)
        until(lambda: client.get("/readyz").is_success)
        answered.append(ask(client).raise_for_status().headers["x-request-id"])
    assert refusals > 0
    assert_kept(small_disk / "data" / "firstpass.sqlite", answered)


@pytest.mark.skipif(sys.platform != "linux", reason="the limit of another process is set")
def test_a_file_that_may_not_grow_is_told_and_passes(tmp_path: Path, engine: str) -> None:
    """As a quota does it, without a file system of its own."""
    with serve(engine, tmp_path / "data") as (process, client):
        answered = [ask(client).raise_for_status().headers["x-request-id"]]
        hard = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)[1]
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (200_000, hard))
        more, refused = answered_until_refused(client)
        assert_told(client, refused)
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (hard, hard))
        until(lambda: client.get("/readyz").is_success)
        answered += [*more, ask(client).raise_for_status().headers["x-request-id"]]
    assert_kept(tmp_path / "data" / "firstpass.sqlite", answered)


def test_a_file_that_another_process_holds_is_told_and_passes(
    tmp_path: Path, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("firstpass.store.opening.BUSY_MILLISECONDS", 100)
    with fronted(engine, tmp_path) as client, closing(apsw.Connection(str(tmp_path / "firstpass.sqlite"))) as other:
        answered = [ask(client).raise_for_status().headers["x-request-id"]]
        other.execute("BEGIN IMMEDIATE")
        assert_told(client, ask(client))
        other.execute("ROLLBACK")
        until(lambda: client.get("/readyz").is_success)
        answered.append(ask(client).raise_for_status().headers["x-request-id"])
    assert_kept(tmp_path / "firstpass.sqlite", answered)


def test_a_disk_that_is_read_only_at_the_start_is_told_by_every_command(small_disk: Path, tmp_path: Path) -> None:
    """Also where nothing would be written: SQLite's log of a running server is a file that readers share."""
    SqliteStore(small_disk / "firstpass.sqlite").close()
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with pytest.raises(StoreFailed, match=os.strerror(errno.EROFS)):
        SqliteStore(small_disk / "firstpass.sqlite")
    settings = tmp_path / "f.toml"
    settings.write_text(f'[server]\ndata_dir = "{small_disk}"\n')
    for command in (["history"], ["keys", "list"], ["audit", "verify"], ["backup", str(tmp_path / "copy")]):
        told = CliRunner().invoke(app, [*command, "--config", str(settings)])
        assert told.exit_code == 1 and "read-only" in f"{told.output} {told.exception}".lower(), command
