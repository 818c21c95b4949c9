"""A caller that goes away, at each stage of its request: the work ends at every tier within a second, and is recorded.

Sources: BerriAI/litellm#13774 and #30244, where the wait for the first token was not ended.
"""

import json
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from firstpass.errors import Failure
from firstpass.exchange import Refuse
from firstpass.store.sqlite import SqliteStore
from tests.conftest import fronted, serving, starting, wait_until_ready
from tests.doubles import DIFF, STRAYS
from tests.listening import listening
from tests.machine import stretched
from tests.scenes import DROP_SECONDS, Scene, Stage, calling, until


def asked(text: str, **more: Any) -> dict[str, Any]:
    return {"model": "local", "messages": [{"role": "user", "content": text}]} | more


def summary(diff: str = DIFF, **more: Any) -> dict[str, Any]:
    return asked(diff, model="firstpass", firstpass={"contract": "pr-summary@3"}, **more)


def holds(held: str, holding: Any = "silent") -> Stage:
    """An engine that holds what has `held` in it."""
    return Stage(lambda body: Scene(holds=holding if held in json.dumps(body) else ""))


def in_flight(client: httpx.Client) -> float:
    metrics = client.get("/metrics").text
    (value,) = (line.split()[1] for line in metrics.splitlines() if line.startswith("firstpass_in_flight "))
    return float(value)


def assert_ended(client: httpx.Client, stage: Stage, left: float, data_dir: Path, part: str) -> None:
    """The tier heard it in time, the front works on nothing, and the record says who was asked just then."""
    until(lambda: stage.dropped, DROP_SECONDS)
    assert stage.dropped[0][1] - left < stretched(DROP_SECONDS)
    until(lambda: in_flight(client) == 0, DROP_SECONDS)
    failure = last_failure(data_dir)
    assert (failure.status, failure.part) == (499, part)


def last_failure(data_dir: Path) -> Failure:
    store = SqliteStore(data_dir / "firstpass.sqlite")
    until(lambda: store.latest(1))
    (exchange,) = store.latest(1)
    assert isinstance(exchange.ending, Refuse)
    return exchange.ending.failure


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions", "/infer"])
def test_before_the_first_token(tmp_path: Path, path: str, stream: bool) -> None:
    body: dict[str, Any] = asked("hold") if "chat" in path else {"model": "local", "prompt": "hold"}
    if path == "/infer" and stream:
        pytest.skip("/infer never streams")
    stage = holds("hold")
    with serving(stage.app) as url, fronted(url, tmp_path) as client:
        with calling(client, body | ({"stream": True} if stream else {}), path=path):
            until(lambda: any("hold" in json.dumps(seen) for seen in stage.seen))
            left = time.time()
        assert_ended(client, stage, left, tmp_path, "draft")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("characters", [0, 2**20])
def test_on_a_connection_of_ours(tmp_path: Path, characters: int, stream: bool) -> None:
    stage = holds("hold")
    with serving(stage.app) as url, listening(tmp_path, url) as front, httpx.Client(base_url=front) as client:
        wait_until_ready(client)
        with calling(client, asked("hold" + "x" * characters, stream=stream)):
            until(lambda: any("hold" in json.dumps(seen) for seen in stage.seen))
            left = time.time()
        assert_ended(client, stage, left, tmp_path, "draft")


def test_with_a_request_behind_another_on_a_connection_of_ours(tmp_path: Path) -> None:
    stage = holds("hold")
    with serving(stage.app) as url, listening(tmp_path, url) as front, httpx.Client(base_url=front) as client:
        wait_until_ready(client)
        with calling(client, asked("go on", stream=True), asked("hold")):
            until(lambda: any("hold" in json.dumps(seen) for seen in stage.seen))
            left = time.time()
        assert_ended(client, stage, left, tmp_path, "draft")


def test_in_the_middle_of_a_stream(tmp_path: Path) -> None:
    stage = holds("hold", "begun")
    with serving(stage.app) as url, fronted(url, tmp_path) as client:
        with calling(client, asked("hold", stream=True)) as connection:
            received = b""
            while b'"hi"' not in received:
                received += connection.recv(4096)
            left = time.time()
        assert_ended(client, stage, left, tmp_path, "draft")


@pytest.mark.parametrize("stream", [False, True])
def test_while_a_draft_is_written_that_is_held_back(tmp_path: Path, stream: bool) -> None:
    stage = holds("createSession")
    with serving(stage.app) as url, fronted(url, tmp_path) as client:
        with calling(client, summary(stream=stream)):
            until(lambda: len(stage.seen) == 2)
            left = time.time()
        assert_ended(client, stage, left, tmp_path, "draft")


@pytest.mark.parametrize("hosted", [False, True])
def test_during_a_verdict(tmp_path: Path, hosted: bool) -> None:
    draft, judge = Stage(lambda body: Scene({"content": STRAYS})), Stage(lambda body: Scene(holds="silent"))
    with serving(draft.app) as draft_url, serving(judge.app) as judge_url:
        verifier = {"url": f"{judge_url}/v1", "model": "judge", "hosted": hosted}
        with fronted(draft_url, tmp_path, verifier=verifier, policy={"egress": "any"}) as client:
            with calling(client, summary()):
                until(lambda: judge.seen)
                left = time.time()
            assert_ended(client, judge, left, tmp_path, "verifier")


def test_while_a_draft_is_checked(tmp_path: Path) -> None:
    """Checks are code that waits for nothing; the verifier is never asked after them, or hears at once."""
    long = DIFF + "".join(DIFF.replace("auth.py", f"auth{number}.py") for number in range(300))
    draft, judge = Stage(lambda body: Scene({"content": STRAYS})), Stage(lambda body: Scene(holds="silent"))
    with serving(draft.app) as draft_url, serving(judge.app) as judge_url:
        verifier = {"url": f"{judge_url}/v1", "model": "judge", "hosted": False}
        with fronted(draft_url, tmp_path, verifier=verifier) as client:
            with calling(client, summary(long)):
                until(lambda: len(draft.seen) == 2)
            until(lambda: in_flight(client) == 0)
            assert last_failure(tmp_path).status == 499
            until(lambda: len(judge.dropped) == len(judge.seen), DROP_SECONDS)


def test_while_the_engine_becomes_ready(tmp_path: Path) -> None:
    stage = holds("ready?")
    with serving(stage.app) as url, starting(url, tmp_path) as client:
        until(lambda: stage.seen)
        with calling(client, asked("hello")):
            until(lambda: in_flight(client) == 1)
        until(lambda: in_flight(client) == 0, DROP_SECONDS)
        assert last_failure(tmp_path).status == 499
        assert not any(seen["messages"][0]["content"] == "hello" for seen in stage.seen), "the engine never saw it"


def test_the_models_are_named_at_once_while_the_engine_starts_and_requests_wait_for_it(tmp_path: Path) -> None:
    late: list[float] = []
    stage = Stage(lambda body: Scene(holds="" if late else "silent"))
    with serving(stage.app) as url, starting(url, tmp_path, engine={"start_deadline_seconds": 2}) as client:
        until(lambda: stage.seen)
        for path in ("/v1/models", "/v1/models/local", "/healthz"):
            began = time.monotonic()
            assert client.get(path).is_success and time.monotonic() - began < stretched(1)
        assert client.get("/readyz").status_code == 503
        began = time.monotonic()
        refused = client.post("/v1/chat/completions", json=asked("hello"))
        assert refused.status_code == 503 and refused.headers["retry-after"] and time.monotonic() - began > 1
        late.append(time.monotonic())
        assert client.post("/v1/chat/completions", json=asked("hello")).is_success
