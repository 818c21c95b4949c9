"""Early escalation with a whole front: an engine that writes slowly, and what it got to before it was cut off."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request
from starlette.responses import StreamingResponse

from firstpass import app
from firstpass.evidence import read_diff
from firstpass.settings import Settings
from tests.conftest import serving, wait_until_ready
from tests.doubles import DIFF, NAMES, STRAYS, openai_app, says
from tests.web.test_calibrate import explained

LINE_SECONDS = 0.15
BODY: dict[str, Any] = {
    "model": "firstpass",
    "messages": [{"role": "user", "content": DIFF}],
    "firstpass": {"contract": "pr-summary@3"},
}


def slow_engine(text: str) -> FastAPI:
    """Streams a line each LINE_SECONDS; `state.written` are those that it got to before its caller left."""
    application = FastAPI()
    application.state.written = []

    async def lines() -> AsyncIterator[str]:
        for count, line in enumerate(text.splitlines(keepends=True), 1):
            await asyncio.sleep(LINE_SECONDS)
            application.state.written.append(line)
            entry = {"token": line, "logprob": -0.1, "top_logprobs": []}
            choice = {"index": 0, "delta": {"content": line}, "logprobs": {"content": [entry]}, "finish_reason": None}
            usage = {"prompt_tokens": 11, "completion_tokens": count}
            yield f"data: {json.dumps({'model': 'slow', 'choices': [choice], 'usage': usage})}\n\n"
        end = {"index": 0, "delta": {}, "finish_reason": "stop"}
        yield f"data: {json.dumps({'model': 'slow', 'choices': [end], 'usage': usage})}\n\ndata: [DONE]\n\n"

    @application.post("/v1/chat/completions", response_model=None)
    async def chat(request: Request) -> StreamingResponse | dict[str, Any]:
        if (await request.json()).get("stream"):
            return StreamingResponse(lines(), media_type="text/event-stream")
        choice = {"index": 0, "message": {"role": "assistant", "content": "I live."}, "finish_reason": "stop"}
        choice["logprobs"] = {"content": [{"token": "I live.", "logprob": -0.1}]}
        return {"model": "slow", "choices": [choice], "usage": {"prompt_tokens": 1, "completion_tokens": 1}}

    @application.get("/v1/models")
    async def models() -> dict[str, Any]:
        return {"object": "list", "data": [{"id": "slow", "object": "model"}]}

    return application


def answered(tmp_path: Any, engine: FastAPI, **asked: Any) -> tuple[Any, str]:
    """(the answer or the stream's text, the metrics) of a front that escalates early."""
    with serving(engine) as slow, serving(openai_app(says(NAMES))) as strong:
        settings = Settings.model_validate(
            {
                "engine": {"kind": "external", "url": f"{slow}/v1"},
                "server": {"data_dir": tmp_path / "data"},
                "verifier": {"url": f"{strong}/v1", "model": "stronger", "hosted": False},
                "policy": {"early_escalation": True},
            }
        )
        with serving(app.build(settings)) as url, httpx.Client(base_url=url, timeout=30) as client:
            wait_until_ready(client)
            response = client.post("/v1/chat/completions", json=BODY | asked)
            assert response.status_code == 200, response.text
            return (response.text if asked.get("stream") else response.json()), client.get("/metrics").text


def test_the_draft_s_connection_is_closed_and_the_verifier_s_answer_takes_its_place(tmp_path: Any) -> None:
    engine = slow_engine(STRAYS)
    answer, metrics = answered(tmp_path, engine)
    how = answer["firstpass"]
    assert answer["choices"][0]["message"]["content"] == NAMES and how["route"] == "strong"
    cut, strong = how["steps"]
    assert (cut["finish_reason"], cut["usage"]["prompt_tokens"], cut["usage"]["completion_tokens"]) == (
        "escalated",
        11,
        2,
    )
    assert (strong["tier"], strong["purpose"]) == ("verifier", "answer")
    assert len(engine.state.written) < len(STRAYS.splitlines()), "the engine wrote on for nobody"
    assert 'firstpass_tokens_total{kind="completion",tier="draft"} 2.0' in metrics
    told = explained(how["exchange"], tmp_path)
    assert "drafted (2 tokens): it was cut off, since nothing here could put this right: Summary names" in told
    assert "so the strong model's answer is the answer" in told


def test_what_is_watched_is_checked_in_no_process_of_the_front(tmp_path: Any) -> None:
    read_diff.cache_clear()
    answer, _ = answered(tmp_path, slow_engine(STRAYS))
    assert answer["firstpass"]["route"] == "strong" and read_diff.cache_info().misses == 0


def test_a_draft_that_is_watched_to_its_end_is_answered_whole(tmp_path: Any) -> None:
    answer, _ = answered(tmp_path, slow_engine(NAMES), logprobs=True)
    choice, how = answer["choices"][0], answer["firstpass"]
    assert (how["route"], choice["message"]["content"], choice["finish_reason"]) == ("draft", NAMES, "stop")
    used = [answer["usage"][f"{what}_tokens"] for what in ("prompt", "completion", "total")]
    assert used == [11, 7, 18]
    assert [entry["token"] for entry in choice["logprobs"]["content"]] == NAMES.splitlines(keepends=True)
    assert answer["object"] == "chat.completion" and answer["model"] == "slow"


@pytest.mark.parametrize(("said", "verdict"), [(NAMES, "kept"), (STRAYS, "replaced")])
def test_an_optimistic_stream_ends_with_what_became_of_what_was_sent(tmp_path: Any, said: str, verdict: str) -> None:
    options = {"contract": "pr-summary@3", "optimistic": True}
    stream, _ = answered(tmp_path, slow_engine(said), stream=True, firstpass=options)
    events = [json.loads(line[6:]) for line in stream.splitlines() if line.startswith("data: {")]
    sent = "".join(choice["delta"].get("content", "") for event in events for choice in event["choices"])
    assert said.startswith(sent) and (sent == said) == (verdict == "kept")
    assert events[-1]["firstpass"]["verdict"] == verdict
    assert not any("usage" in event for event in events), "the caller did not ask for it"
    ends = [choice.get("finish_reason") for event in events for choice in event["choices"]]
    assert ends[-1] == "stop" and ends.count("stop") == 1, "also a draft that was cut off ends its choice"
    assert stream.endswith("data: [DONE]\n\n")
