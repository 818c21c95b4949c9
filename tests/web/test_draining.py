"""A real server that is told to end: what it still answers, what it refuses, and what its record says."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from firstpass.exchange import Answer, Refuse
from firstpass.store.sqlite import SqliteStore
from tests.conftest import serving
from tests.doubles import openai_app
from tests.processes import serve
from tests.scenes import Scene, Stage, until

HURRIED = "from firstpass import front; front.DRAIN_SECONDS = 0.5"
ASKED = {"model": "local", "messages": [{"role": "user", "content": "hello"}]}
CHAT = "/v1/chat/completions"
STREAMS = [(CHAT, {}, "server_stopping"), ("/v1/messages", {"max_tokens": 9}, '"type":"error"')]

Asked = dict[str, Any]


class Engine:
    """Answers what it is asked once it may. Questions of the front whether it is there are no such."""

    def __init__(self) -> None:
        self.may, self.asked = threading.Event(), threading.Event()

    def answer(self, body: dict[str, Any]) -> str:
        if "hello" in str(body["messages"]):
            self.asked.set()
            assert self.may.wait(60)
        return "hi"


@contextmanager
def asking(client: httpx.Client, engine: Engine) -> Iterator[list[httpx.Response]]:
    """One request that is under way in the block, and answered after it."""
    answers: list[httpx.Response] = []
    thread = threading.Thread(target=lambda: answers.append(client.post(CHAT, json=ASKED)))
    thread.start()
    try:
        assert engine.asked.wait(60)
        yield answers
    finally:
        engine.may.set()
        thread.join()


def test_what_runs_is_answered_and_what_comes_is_refused(tmp_path: Path) -> None:
    engine = Engine()
    with serving(openai_app(engine.answer)) as url, serve(url, tmp_path) as (process, client):
        with asking(client, engine) as answers:
            process.send_signal(signal.SIGTERM)
            until(lambda: client.get("/readyz").status_code == 503)
            refused = client.post(CHAT, json=ASKED)
            anthropic = client.post("/v1/messages", json=ASKED | {"max_tokens": 9})
            assert client.get("/healthz").is_success
        assert (refused.status_code, refused.headers["connection"], refused.headers["retry-after"]) == (
            503,
            "close",
            "5",
        )
        assert refused.json()["error"]["code"] == "server_stopping"
        assert anthropic.status_code == 503 and anthropic.json()["type"] == "error"
        assert answers[0].is_success
        assert process.wait(60) == -signal.SIGTERM
    (exchange,) = SqliteStore(tmp_path / "firstpass.sqlite").latest(9)
    assert isinstance(exchange.ending, Answer)


def test_what_does_not_end_in_time_is_stopped_and_recorded(tmp_path: Path) -> None:
    engine = Engine()
    with serving(openai_app(engine.answer)) as url, serve(url, tmp_path, HURRIED) as (process, client):
        with asking(client, engine) as answers:
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == -signal.SIGTERM
        assert answers[0].status_code == 503 and answers[0].json()["error"]["code"] == "server_stopping"
    (exchange,) = SqliteStore(tmp_path / "firstpass.sqlite").latest(9)
    assert isinstance(exchange.ending, Refuse) and exchange.ending.failure.code == "server_stopping"


@pytest.mark.parametrize(("path", "more", "last"), STREAMS)
def test_a_stream_that_is_cut_says_why_in_its_last_event(tmp_path: Path, path: str, more: Asked, last: str) -> None:
    stage = Stage(lambda body: Scene(holds="begun" if body.get("stream") else ""))
    with serving(stage.app) as url, serve(url, tmp_path, HURRIED) as (process, client):
        with client.stream("POST", path, json=ASKED | more | {"stream": True}) as answer:
            lines = answer.iter_lines()
            while "hi" not in next(lines):
                pass
            process.send_signal(signal.SIGTERM)
            said = [line for line in lines if line]
        assert process.wait(60) == -signal.SIGTERM
    assert last in said[-1] and "about to stop" in said[-1], said
    (exchange,) = SqliteStore(tmp_path / "firstpass.sqlite").latest(9)
    assert isinstance(exchange.ending, Refuse) and exchange.ending.failure.code == "server_stopping"
