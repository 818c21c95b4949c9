"""The commands against a whole front over real HTTP and a real store."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Front
from tests.doubles import DIFF, NAMES, STRAYS, says


def firstpass(*arguments: str, stdin: bytes = b"", **variables: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "firstpass", *arguments]
    environment = os.environ | {"COLUMNS": "200"} | variables
    return subprocess.run(command, input=stdin, capture_output=True, env=environment, timeout=600, check=False)


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    return {"FIRSTPASS_SERVER__DATA_DIR": str(tmp_path / "data")}


def test_a_diff_is_asked_and_found_in_the_history(front: Front, home: dict[str, str]) -> None:
    with front(says(STRAYS)) as client:
        url = str(client.base_url)
        asked = firstpass("ask", "--contract", "pr-summary@3", "--url", url, stdin=DIFF.encode())
        raw = firstpass("ask", "--contract", "pr-summary@3", "--url", url, "--json", stdin=DIFF.encode())
    printed = asked.stdout.decode()
    assert asked.returncode == 0 and "Launch the rocket" in printed and "route unverified" in printed
    assert "Summary names launchRocket, which does not occur in the diff" in printed
    exchange = json.loads(raw.stdout)["firstpass"]["exchange"]
    listed = json.loads(firstpass("history", "--json", **home).stdout)
    assert listed[0]["ask"]["id"] == exchange and len(listed) == 2
    shown = firstpass("history", exchange, **home).stdout.decode()
    assert "step 0: draft, draft" in shown and "step 1: code, mend" in shown and "nothing left the machine" in shown
    assert exchange in firstpass("history", **home).stdout.decode()


def test_an_error_of_the_server_is_a_line_and_a_status(front: Front) -> None:
    with front(says(NAMES)) as client:
        url = str(client.base_url)
        wrong = firstpass("ask", "--model", "strong", "--url", url, "hello")
        machine = firstpass("ask", "--model", "strong", "--url", url, "--json", "hello")
    assert wrong.returncode == 1 and b"unknown model" in wrong.stderr and wrong.stdout == b""
    assert machine.returncode == 1 and json.loads(machine.stdout)["error"]["code"] == "model_not_found"


def test_no_server_is_a_clear_error() -> None:
    done = firstpass("ask", "--url", "http://127.0.0.1:9", "hello")
    assert done.returncode == 1 and b"firstpass serve" in done.stderr and b"Traceback" not in done.stderr


def test_beyond_loopback_the_server_does_not_start_without_a_key(home: dict[str, str]) -> None:
    done = firstpass("serve", "--host", "0.0.0.0", "--port", "0", **home)
    assert done.returncode == 1 and b"keys create" in done.stderr


@pytest.mark.parametrize(
    ("variable", "value", "named"),
    [("FIRSTPASS_SERVER__PROT", "1", b"server.prot"), ("FIRSTPASS_ENGINE__MODEL", "/nowhere", b"engine.model")],
)
def test_bad_settings_are_a_line_not_a_traceback(home: dict[str, str], variable: str, value: str, named: bytes) -> None:
    done = firstpass("serve", **home, **{variable: value})
    assert done.returncode == 1 and named in done.stderr and b"Traceback" not in done.stderr


def test_an_unknown_exchange_is_an_error(home: dict[str, str]) -> None:
    done = firstpass("history", "ex_none", **home)
    assert done.returncode == 1 and b"ex_none" in done.stderr
