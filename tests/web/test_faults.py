"""Hundreds of requests in all dialects while the connections behind the front break in every way, by some seeds.

FAULTY: how many requests a seed, 160 by default.
"""

import asyncio
import json
import os
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from firstpass import app
from firstpass.exchange import Answer, Exchange, Refuse
from firstpass.mock.faults import Plan, read_plan
from firstpass.mock.script import Script
from firstpass.mock.server import MockServer
from firstpass.settings import Settings
from firstpass.store import Damaged
from firstpass.store.sqlite import SqliteStore
from tests.conftest import serving, wait_until_ready
from tests.doubles import DIFF
from tests.faults import FAULTS, Proxy, in_a_thread
from tests.scenes import until

NUMBER = int(os.environ.get("FAULTY", "160"))
AT_ONCE = 12
REPLY_SECONDS = 1.0
"""How long a model may be silent here."""

STARTING = 2
"""Connections of a front that begins: one asks for the models, one for a first answer."""

PATIENCE_SECONDS = 60.0
"""A request that is not over by then hangs: it is many times what the slowest of them may take."""

CHATS = ("/v1/chat/completions", "/v1/completions")
ENDS = {"message_stop": "answer", "response.completed": "answer", "response.failed": "error", "error": "error"}
"""By the type of its last event, what a stream was; one of the OpenAI API says so by `[DONE]`."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a caller saw of one request. end: `answer`, `error`, or in words what is neither."""

    path: str
    end: str
    exchange: str | None
    status: int


@dataclass
class Behind:
    """The models and the proxies before them."""

    models: list[MockServer] = field(default_factory=list)
    proxies: list[Proxy] = field(default_factory=list)

    @contextmanager
    def model(self, seed: int, plan: Plan, first_whole: int = 0) -> Iterator[str]:
        model = MockServer(Script(tokens=30), plan, drip_seconds=0)
        with in_a_thread(model) as port:
            proxy = Proxy(port, seed, first_whole)
            self.models.append(model)
            self.proxies.append(proxy)
            with in_a_thread(proxy) as through:
                yield f"http://127.0.0.1:{through}/v1"


def asked(rng: random.Random) -> tuple[str, dict[str, Any]]:
    path = rng.choice([*CHATS, "/v1/messages", "/v1/responses", "/infer", "/v1/embeddings"])
    said = "a few words that are said again " * rng.randint(1, 4)
    model = rng.choice(["local", "firstpass", "strong"])
    body: dict[str, Any] = {"model": model, "stream": rng.random() < 0.6}
    turns = {"messages": [{"role": "user", "content": said}]}
    match path:
        case "/v1/responses":
            return path, body | {"input": said}
        case "/v1/messages":
            return path, body | turns | {"max_tokens": 40}
        case "/v1/completions":
            return path, body | {"model": "local", "prompt": said}
        case "/infer":
            return path, {"model": "local", "prompt": said}
        case "/v1/embeddings":
            return path, {"model": "local", "input": [said]}
    if model == "firstpass":
        summary = {"messages": [{"role": "user", "content": DIFF}], "firstpass": {"contract": "pr-summary@3"}}
        return path, body | summary
    return path, body | turns


def end_of(path: str, response: httpx.Response) -> str:
    if not response.is_success:
        return "error" if _is_error(path, response.json(), response.status_code) else f"no error: {response.text[:200]}"
    if not response.headers["content-type"].startswith("text/event-stream"):
        return "answer" if isinstance(response.json(), dict) else "no answer"
    events = [json.loads(line[6:]) for line in response.text.splitlines() if line.startswith("data: {")]
    if path not in CHATS:
        return ENDS.get(events[-1]["type"], f"ends with {events[-1]['type']}")
    if response.text.endswith("data: [DONE]\n\n"):
        return "answer"
    return "error" if "error" in events[-1] else f"breaks off: {response.text[-200:]}"


def _is_error(path: str, said: dict[str, Any], status: int) -> bool:
    """In the dialect's own envelope."""
    claude = path == "/v1/messages"
    return bool(said["error"]["message"]) and status >= 400 and (said.get("type") == "error") == claude


async def drive(url: str, seed: int) -> list[Seen]:
    places = asyncio.Semaphore(AT_ONCE)
    limits = httpx.Limits(max_connections=AT_ONCE)

    async def one(number: int) -> Seen:
        path, body = asked(random.Random(f"{seed}:{number}"))
        async with places:
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    response = await client.post(path, json=body)
            except TimeoutError:
                return Seen(path, "hung", None, 0)
            return Seen(path, end_of(path, response), response.headers.get("x-request-id"), response.status_code)

    async with httpx.AsyncClient(base_url=url, timeout=2 * PATIENCE_SECONDS, limits=limits, trust_env=False) as client:
        return await asyncio.gather(*(one(number) for number in range(NUMBER)))


class Watched:
    """The front, with what its event loop has to do."""

    def __init__(self, settings: Settings) -> None:
        self._app = app.build(settings)
        self._loop: asyncio.AbstractEventLoop | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._loop = asyncio.get_running_loop()
        await self._app(scope, receive, send)

    def tasks(self) -> Counter[str]:
        """By the name of what they run; those of the connections to callers are theirs."""
        assert self._loop is not None
        names = (getattr(task.get_coro(), "__qualname__", "?") for task in asyncio.all_tasks(self._loop))
        return Counter(name for name in names if not name.startswith("RequestResponseCycle"))


@pytest.mark.parametrize(("seed", "faults"), [(1, ""), (2, ""), (3, "429:0.05,503:0.05,garbage:0.05,truncated:0.05")])
def test_every_request_ends_and_the_record_says_what_its_caller_saw(tmp_path: Path, seed: int, faults: str) -> None:
    behind = Behind()
    plan = read_plan(seed, faults)
    with behind.model(seed, plan, STARTING) as engine, behind.model(seed + 100, plan) as verifier:
        front = Watched(settings(engine, verifier, tmp_path))
        with serving(front) as url, httpx.Client(base_url=url, timeout=30) as client:
            wait_until_ready(client)
            before = front.tasks()
            seen = asyncio.run(drive(url, seed))
            until(lambda: in_flight(client) == 0)
            until(lambda: not front.tasks() - before)
            until(lambda: sum(model.working for model in behind.models) == 0)
            assert ended(client) == len(seen)
        until(lambda: sum(proxy.open for proxy in behind.proxies) == 0)
    assert Counter(one.end for one in seen).keys() == {"answer", "error"}, Counter(one.end for one in seen)
    happened = sum((proxy.happened for proxy in behind.proxies), Counter())
    assert happened.keys() >= set(FAULTS), "the search has to find each"
    assert_recorded(tmp_path / "firstpass.sqlite", seen)


def settings(engine: str, verifier: str, data_dir: Path) -> Settings:
    asked = {"url": verifier, "model": "mock", "dialect": "anthropic", "hosted": False}
    waits = {"reply_seconds": REPLY_SECONDS, "whole_seconds": 2 * REPLY_SECONDS}
    return Settings.model_validate(
        {
            "server": {"data_dir": data_dir},
            "engine": {
                "kind": "external",
                "url": engine,
                "reply_seconds": REPLY_SECONDS,
                "start_deadline_seconds": 5 * REPLY_SECONDS,
            },
            "verifier": asked | waits,
        }
    )


def in_flight(client: httpx.Client) -> float:
    lines = client.get("/metrics").text.splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("firstpass_in_flight "))


def ended(client: httpx.Client) -> float:
    """The exchanges that /metrics has counted."""
    lines = client.get("/metrics").text.splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith("firstpass_requests_total{"))


def assert_recorded(path: Path, seen: list[Seen]) -> None:
    store = SqliteStore(path)
    kept: dict[str, Exchange | Damaged] = {
        one.id if isinstance(one, Damaged) else one.ask.id: one for one in store.latest(10_000)
    }
    store.close()
    assert len(kept) == len(seen) == len({one.exchange for one in seen})
    for one in seen:
        exchange = kept[one.exchange or ""]
        assert isinstance(exchange, Exchange) and isinstance(exchange.ending, Answer | Refuse)
        assert isinstance(exchange.ending, Answer) == (one.end == "answer"), (one, exchange.ending)
        if isinstance(exchange.ending, Refuse) and one.status != 200:
            assert exchange.ending.failure.status == one.status
