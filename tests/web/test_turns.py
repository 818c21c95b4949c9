"""Places at a whole front: who waits, who is told to come back, and who is next, in each dialect."""

import asyncio
import json
import re
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from firstpass.store.sqlite import SqliteStore
from tests.conftest import fronted, serving
from tests.doubles import DIFF, STRAYS
from tests.keyed import bearer, new_key
from tests.scenes import Scene, Stage, calling, until, whole

Asked = dict[str, Any]


class Holding:
    """An engine that answers as often as it is let go. seen: what it was asked, in this order."""

    def __init__(self, says: str = "hi") -> None:
        self._says = says
        self.seen: list[str] = []
        self.let_go = threading.Semaphore(0)
        chat = Route("/v1/chat/completions", self._chat, methods=["POST"])
        self.app = Starlette(routes=[chat, Route("/v1/models", self._models)])

    async def _models(self, request: Request) -> JSONResponse:
        return JSONResponse({"object": "list", "data": [{"id": "m", "object": "model"}]})

    async def _chat(self, request: Request) -> JSONResponse:
        body: Asked = await request.json()
        said = body["messages"][-1]["content"]
        if said != "ready?":
            self.seen.append(said)
            await asyncio.to_thread(self.let_go.acquire)
        return JSONResponse(whole(Scene({"content": self._says}), body))


def chat(said: str, **more: Any) -> Asked:
    return {"model": "local", "messages": [{"role": "user", "content": said}]} | more


class Callers:
    """Many at once, each on a thread of its own."""

    def __init__(self, front: httpx.Client, threads: ThreadPoolExecutor) -> None:
        self._front = front
        self._threads = threads

    def ask(self, said: str, key: str | None = None, **headers: str) -> "Future[httpx.Response]":
        headers |= bearer(key) if key else {}
        return self._threads.submit(self._front.post, "/v1/chat/completions", json=chat(said), headers=headers)


@contextmanager
def crowd(engine: Holding, data_dir: Path, **server: Any) -> Iterator[tuple[httpx.Client, Callers]]:
    with (
        serving(engine.app) as url,
        fronted(url, data_dir, server=server) as front,
        ThreadPoolExecutor(32) as threads,
    ):
        try:
            yield front, Callers(front, threads)
        finally:
            engine.let_go.release(100)


def waits(front: httpx.Client, number: int) -> None:
    """Until so many requests are worked on or wait."""
    until(lambda: f"firstpass_in_flight {number:.1f}" in front.get("/metrics").text)


def test_one_request_of_a_key_comes_before_the_many_that_wait_of_another(tmp_path: Path) -> None:
    engine = Holding()
    with crowd(engine, tmp_path, in_flight_limit=2, waiting_seconds=20) as (front, callers):
        hog, one = (new_key(tmp_path)[0] for _ in range(2))
        many = [callers.ask(f"hog {number}", hog) for number in range(12)]
        waits(front, 12)
        late = callers.ask("late", one)
        waits(front, 13)
        engine.let_go.release(1)
        until(lambda: len(engine.seen) == 3)
        assert engine.seen[2] == "late"
        engine.let_go.release(20)
        assert {answer.result().status_code for answer in [*many, late]} == {200}


def test_what_finds_no_place_is_told_whose_doing_it_is_and_is_no_exchange(tmp_path: Path) -> None:
    engine = Holding()
    with crowd(engine, tmp_path, in_flight_limit=1, waiting_limit=2, waiting_seconds=20) as (front, callers):
        hog, one, other = (new_key(tmp_path)[0] for _ in range(3))
        first = callers.ask("first", hog)
        until(lambda: engine.seen)
        waiting = [callers.ask("waits", key) for key in (hog, one)]
        waits(front, 3)
        busy, full = callers.ask("more", hog).result(), callers.ask("more", other).result()
        assert (busy.status_code, busy.json()["error"]["code"]) == (429, "too_many_requests")
        assert (full.status_code, full.json()["error"]["code"]) == (503, "server_overloaded")
        assert all(int(refused.headers["retry-after"]) > 0 for refused in (busy, full))
        messages = front.post("/v1/messages", json=chat("more", max_tokens=9), headers=bearer(other))
        assert (messages.status_code, messages.json()["error"]["type"]) == (503, "overloaded_error")
        engine.let_go.release(10)
        assert {answer.result().status_code for answer in [first, *waiting]} == {200}
    store = SqliteStore(tmp_path / "firstpass.sqlite")
    assert len(store.latest(10)) == 3


@pytest.mark.parametrize("header", ["x-stainless-read-timeout", "x-stainless-timeout"])
def test_nobody_waits_longer_than_its_client_does(tmp_path: Path, header: str) -> None:
    engine = Holding()
    with crowd(engine, tmp_path, in_flight_limit=1, waiting_seconds=3600) as (_, callers):
        callers.ask("first")
        until(lambda: engine.seen)
        assert callers.ask("more", **{header: "0.2"}).result(20).status_code == 429
        assert engine.seen == ["first"]


def test_one_that_leaves_while_it_waits_asks_nobody(tmp_path: Path) -> None:
    engine = Holding()
    with crowd(engine, tmp_path, in_flight_limit=1, waiting_seconds=3600) as (front, callers):
        callers.ask("first")
        until(lambda: engine.seen)
        with calling(front, chat("gone")):
            waits(front, 2)
        waits(front, 1)
        engine.let_go.release(1)
        waits(front, 0)
        assert engine.seen == ["first"]


def test_a_refused_request_uses_none_of_its_key_s_tokens(tmp_path: Path) -> None:
    engine = Holding()
    with crowd(engine, tmp_path, in_flight_limit=1, waiting_limit=0) as (_, callers):
        callers.ask("first")
        until(lambda: engine.seen)
        key, _ = new_key(tmp_path, tokens=10)
        said = [callers.ask("x" * 32, key).result().status_code for _ in range(4)]
        assert said == [503] * 4, "the fifth would be told of its rate if each had used the 8 tokens"


def test_a_request_at_the_verifier_has_left_its_place_at_the_draft_model(tmp_path: Path) -> None:
    judge, draft = Holding(), Stage(lambda body: Scene({"content": STRAYS}))
    summary = {
        "model": "firstpass",
        "messages": [{"role": "user", "content": DIFF}],
        "firstpass": {"contract": "pr-summary@3"},
    }
    with serving(judge.app) as judge_url, serving(draft.app) as url, ThreadPoolExecutor(4) as threads:
        verifier = {"url": f"{judge_url}/v1", "model": "judge", "hosted": False, "in_flight_limit": 1}
        server = {"in_flight_limit": 1, "waiting_seconds": 20}
        with fronted(url, tmp_path, verifier=verifier, server=server) as front:
            summaries = [threads.submit(front.post, "/v1/chat/completions", json=summary) for _ in range(2)]
            until(lambda: judge.seen)
            until(lambda: sum("createSession" in str(body) for body in draft.seen) == 2)
            assert front.post("/v1/chat/completions", json=chat("quick")).status_code == 200
            assert len(judge.seen) == 1, "the other waits for its turn there"
            judge.let_go.release(10)
            assert {answer.result().status_code for answer in summaries} == {200}


def test_who_finds_no_place_is_told_so_before_the_body_and_can_go_on(tmp_path: Path) -> None:
    """In its own dialect, and the connection is as good as before."""
    engine, body = Holding(), json.dumps(chat("x" * 900, max_tokens=9)).encode()
    with crowd(engine, tmp_path, in_flight_limit=1, waiting_limit=0) as (front, callers):
        first = callers.ask("first")
        until(lambda: engine.seen)
        with socket.create_connection((front.base_url.host, front.base_url.port or 0), timeout=20) as connection:
            for path, said in (("/v1/messages", b"rate_limit_error"), ("/v1/responses", b"too_many_requests")):
                head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
                connection.sendall(f"{head}content-length: {len(body)}\r\n\r\n".encode())
                told = answered(connection)
                assert told.startswith(b"HTTP/1.1 429 ") and said in told and b"\r\nretry-after: " in told
                connection.sendall(body)
            connection.sendall(b"GET /v1/models HTTP/1.1\r\nhost: localhost\r\n\r\n")
            assert answered(connection).startswith(b"HTTP/1.1 200 ")
        assert front.post("/v1/explain", json=chat("takes no place")).status_code == 200
        engine.let_go.release(1)
        assert first.result().status_code == 200


def answered(connection: socket.socket) -> bytes:
    """The next answer, head and body."""
    told = b""
    while (end := told.find(b"\r\n\r\n")) < 0:
        told += connection.recv(65_536)
    length = int(re.search(rb"content-length: (\d+)", told)[1])  # type: ignore[index]
    while len(told) < end + 4 + length:
        told += connection.recv(65_536)
    return told
