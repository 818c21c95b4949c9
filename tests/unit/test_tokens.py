"""Counting by the draft engine's tokenizer, where the engine is not as one would like it."""

import asyncio
import time

import pytest
from fastapi import FastAPI, Response

from firstpass.chat import Message, Sampling
from firstpass.client import NoConnection
from firstpass.engine import Endpoint, Kind, State, Warmed
from firstpass.errors import BadAsk, Busy, FirstpassError, NotFound, TierFailed, TierTimedOut, TierUnavailable
from firstpass.exchange import Ask
from firstpass.tier.local import LocalDoor
from firstpass.tier.template import Template
from firstpass.tier.tokens import Counted, TokenCounter
from tests.conftest import serving

ASK = Ask("ex_1", 0.0, "chat", "local", "local", (Message("user", "hi"),), Sampling(reasoning_effort="high"))


class At:
    """An engine at a URL; without one it starts for ever."""

    name = "double"
    kind: Kind = "external"
    state: State = "ready"
    warmed = Warmed(logprobs=False)

    def __init__(self, url: str | None) -> None:
        self._url = url

    async def ensure_ready(self) -> Endpoint:
        if self._url is None:
            await asyncio.sleep(60)
        return Endpoint(f"{self._url}/v1", None, "double")

    async def close(self) -> None:
        return


async def counted(url: str | None, seconds: float = 10.0) -> Counted:
    door = LocalDoor(At(url), 10.0)
    try:
        return await TokenCounter(door, Template(door), 2, seconds).count(ASK)
    finally:
        await door.aclose()


def tokenizer(answer: Response, slow_seconds: float = 0.0) -> FastAPI:
    app = FastAPI()

    @app.post("/tokenize", response_model=None)
    async def tokenize() -> Response:
        await asyncio.sleep(slow_seconds)
        return answer

    return app


async def test_a_count_does_not_wait_for_an_engine_that_starts() -> None:
    began = time.monotonic()
    with pytest.raises(TierUnavailable, match="not ready") as caught:
        await counted(None)
    assert time.monotonic() - began < 5 and caught.value.failure.retry_after_seconds


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Response(status_code=404), NotFound),
        (Response('{"error": {"message": "roles must alternate"}}', 400), BadAsk),
        (Response("oops", 500), TierFailed),
        (Response('{"count": "many"}'), TierFailed),
    ],
)
async def test_an_answer_that_is_no_count_is_an_error_of_its_kind(
    answer: Response, error: type[FirstpassError]
) -> None:
    with serving(tokenizer(answer)) as url, pytest.raises(error) as caught:
        await counted(url)
    assert caught.value.failure.part == "draft"


async def test_a_count_that_takes_too_long_is_given_up() -> None:
    with serving(tokenizer(Response('{"count": 3}'), 0.5)) as url:
        assert await counted(url) == Counted(3, "double")
        with pytest.raises(TierTimedOut):
            await counted(url, 0.1)


async def test_a_connection_that_breaks_is_the_engine_s_failure() -> None:
    with pytest.raises(TierFailed, match="ConnectionRefusedError") as caught:
        await counted("http://127.0.0.1:9")
    assert isinstance(caught.value.__cause__, NoConnection)


async def test_only_so_many_prompts_are_counted_at_once_and_as_many_wait() -> None:
    """With a limit of 2 requests at once, all of 60 counts went to the engine."""
    app, now, most = FastAPI(), 0, 0

    @app.post("/tokenize")
    async def tokenize() -> dict[str, int]:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.1)
        now -= 1
        return {"count": 3}

    with serving(app) as url:
        door = LocalDoor(At(url), 10.0)
        counter = TokenCounter(door, Template(door), 2)
        try:
            many = await asyncio.gather(*(counter.count(ASK) for _ in range(60)), return_exceptions=True)
            later = await counter.count(ASK)
        finally:
            await door.aclose()
    busy = [each for each in many if isinstance(each, Busy)]
    assert len(busy) == 56 and busy[0].failure.status == 429 and busy[0].failure.retry_after_seconds
    assert many.count(Counted(3, "double")) == 4 and most == 2 and later.tokens == 3
