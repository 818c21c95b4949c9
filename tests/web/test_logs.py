"""The server's log as JSON: a line an exchange with what was done, and no word of a prompt, an answer or a key."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from firstpass.cli.logs import JsonFormatter
from tests.conftest import Front, serving, wait_until_ready
from tests.doubles import DIFF, STRAYS, openai_app, says
from tests.keyed import bearer, new_key

CHAT = {"model": "local", "messages": [{"role": "user", "content": "canary-prompt"}]}
SUMMARY = {
    "model": "firstpass",
    "messages": [{"role": "user", "content": DIFF}],
    "firstpass": {"contract": "pr-summary@3"},
}


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """All that is logged from INFO on, as the server writes it."""
    said: list[str] = []

    class Heard(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(self.format(record))

    handler, root = Heard(), logging.getLogger()
    handler.setFormatter(JsonFormatter())
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield said
    root.removeHandler(handler)
    root.setLevel(before)


def exchanges(lines: list[str]) -> list[dict[str, Any]]:
    return [line for line in map(json.loads, lines) if line["logger"] == "firstpass.exchanges"]


def test_an_exchange_is_one_line_that_says_what_was_done(front: Front, tmp_path: Path, lines: list[str]) -> None:
    with front(says(STRAYS), server={"log_format": "json"}) as client:
        key, record = new_key(tmp_path / "data")
        answer = client.post("/v1/chat/completions", json=SUMMARY, headers=bearer(key))
    (line,) = exchanges(lines)
    assert line["exchange"] == answer.headers["x-request-id"] and line["contract"] == "pr-summary@3"
    assert (line["route"], line["status"], line["model"]) == ("unverified", 200, "firstpass")
    assert (line["key"], line["key_name"], line["level"]) == (record.id, "ci", "info")
    assert line["tokens"] == {"draft": {"prompt": 11, "completion": 13}} and line["steps"][0] == "draft draft"
    assert line["seconds"] > 0 and line["findings"] and line["departed_bytes"] == 0


def test_what_fails_is_a_line_with_its_code(front: Front, lines: list[str]) -> None:
    def broken(body: dict[str, Any]) -> str:
        if body["messages"][0]["content"] == "canary-prompt":
            raise ValueError("planned")
        return "warm"

    with front(broken, server={"log_format": "json"}) as client:
        client.post("/v1/chat/completions", json=CHAT)
    (line,) = exchanges(lines)
    assert (line["route"], line["status"], line["code"], line["part"]) == ("refused", 502, "tier_failed", "draft")


def test_no_word_of_a_caller_a_model_or_a_key_is_in_it(front: Front, tmp_path: Path, lines: list[str]) -> None:
    with front(says("canary-answer"), server={"log_format": "json"}) as client:
        key, _ = new_key(tmp_path / "data")
        more = {"user": "canary-user", "metadata": {"a": "canary-metadata"}, "stop": ["canary-stop"]}
        for body in (CHAT | more, CHAT | {"stream": True}, CHAT | {"model": "canary-model"}, CHAT | {"canary": 1}):
            client.post("/v1/chat/completions", json=body, headers=bearer(key) | {"user-agent": "canary-agent"})
        client.post("/v1/responses", json={"model": "local", "input": "canary", "instructions": "canary"})
    assert len(exchanges(lines)) == 4
    ours = "\n".join(line for line in lines if json.loads(line)["logger"].startswith("firstpass"))
    assert "canary" not in ours and key.split("-")[2] not in ours


def test_as_text_there_is_no_line_an_exchange(front: Front, lines: list[str]) -> None:
    with front(says("hi")) as client:
        client.post("/v1/chat/completions", json=CHAT)
    assert exchanges(lines) == []


def test_an_error_s_own_words_are_not_in_its_line() -> None:
    words = "".join(["can", "ary"])
    try:
        raise ValueError(words)
    except ValueError:
        record = logging.LogRecord("a", logging.ERROR, "", 1, "it failed", (), sys.exc_info())
    line = json.loads(JsonFormatter().format(record))
    assert line["message"].startswith("it failed") and "builtins.ValueError" in line["message"]
    assert words not in line["message"] and line["level"] == "error"


@pytest.mark.parametrize("lines", [200, 20_000], ids=["some wait", "the queue is full"])
def test_the_end_does_not_wait_for_a_reader_that_stalls(lines: int) -> None:
    code = (
        "import logging; from firstpass.cli.logs import show_log; show_log();"
        f"[logging.info('x' * 999) for _ in range({lines})]"
    )
    child = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE)
    try:
        assert child.wait(60) == 0
    finally:
        child.kill()
        said = child.communicate()[1]
    assert b"Traceback" not in said and 0 < said.count(b"x" * 999) < lines


def test_the_command_writes_json_to_stderr_and_nobody_who_reads_it_slowly_holds_up_a_request(tmp_path: Path) -> None:
    """The pipe is full after 64 KiB: the server answers on, and loses lines rather than requests."""
    with serving(openai_app(says("hi"))) as engine:
        environment = os.environ | {
            "FIRSTPASS_SERVER__DATA_DIR": str(tmp_path),
            "FIRSTPASS_SERVER__PORT": "0",
            "FIRSTPASS_SERVER__LOG_FORMAT": "json",
            "FIRSTPASS_ENGINE__KIND": "external",
            "FIRSTPASS_ENGINE__URL": f"{engine}/v1",
        }
        command = [sys.executable, "-m", "firstpass", "serve"]
        child = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
        assert child.stderr is not None
        url = next(line for line in map(json.loads, child.stderr) if "running on" in line["message"])
        with httpx.Client(base_url=url["message"].split()[3], timeout=60, trust_env=False) as client:
            wait_until_ready(client)
            statuses = {client.post("/v1/chat/completions", json=CHAT).status_code for _ in range(240)}
        child.terminate()
        lines = child.communicate(timeout=120)[1].splitlines()
    assert statuses == {200} and len(exchanges(lines)) == 240
