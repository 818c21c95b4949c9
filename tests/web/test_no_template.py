"""A model without a chat template, as vLLM 0.32 serves one: prompts are answered, messages refused in words."""

from pathlib import Path
from typing import Any

import pytest
from openai import BadRequestError, OpenAI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from tests.conftest import fronted, serving

TOLD = (
    "As of transformers v4.44, default chat template is no longer allowed, so you must provide a chat template if the "
    "tokenizer does not define one."
)
"""vLLM's own words."""


async def models(_: Request) -> JSONResponse:
    return JSONResponse({"object": "list", "data": [{"id": "bare", "object": "model", "owned_by": "vllm"}]})


async def chat(_: Request) -> JSONResponse:
    return JSONResponse({"error": {"message": TOLD, "type": "BadRequestError", "param": None, "code": 400}}, 400)


async def complete(request: Request) -> JSONResponse:
    asked = await request.json()
    choice = {
        "index": 0,
        "text": f" after {asked['prompt']}",
        "finish_reason": "stop",
        "logprobs": None,
    }
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    return JSONResponse(
        {"id": "c", "object": "text_completion", "created": 1, "model": "bare", "choices": [choice], "usage": usage}
    )


def test_prompts_are_answered_and_messages_are_a_400_that_says_why(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    routes = [
        Route("/v1/models", models),
        Route("/v1/chat/completions", chat, methods=["POST"]),
        Route("/v1/completions", complete, methods=["POST"]),
    ]
    with (
        serving(Starlette(routes=routes)) as url,
        fronted(url, tmp_path / "data") as client,
        OpenAI(base_url=f"{client.base_url}/v1", api_key="unused", max_retries=0) as sdk,
    ):
        assert sdk.completions.create(model="local", prompt="one").choices[0].text == " after one"
        for model in ("local", "firstpass"):
            with pytest.raises(BadRequestError) as caught:
                sdk.chat.completions.create(model=model, messages=[{"role": "user", "content": "hi"}])
            error: Any = caught.value.body
            assert error["code"] == "no_chat_template" and error["param"] == "messages"
            assert "/v1/completions needs none" in error["message"]
        turns = [{"role": "user", "content": "hi"}]
        said = client.post("/v1/messages", json={"model": "local", "max_tokens": 5, "messages": turns})
        assert said.status_code == 400 and "no chat template" in said.json()["error"]["message"]
    assert '--chat-template", "FILE"' in caplog.text
