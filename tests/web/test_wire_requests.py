"""What engines refuse and how, in each dialect, and embeddings: cases of tests/cases, and more like them."""

import base64
import json
import struct
from typing import Any

import pytest

from tests.dialects import ask, both, case, dialects
from tests.replayed import Replayed, sse
from tests.web.conftest import Play

# embedding-base64

VECTOR = [0.1, 0.2, 0.3]
PACKED = base64.b64encode(struct.pack("<3f", *VECTOR)).decode()
NEAR = list(struct.unpack("<3f", struct.pack("<3f", *VECTOR)))


@pytest.mark.parametrize(
    ("given", "asked", "expected"),
    [
        (VECTOR, {"encoding_format": "base64"}, PACKED),
        (PACKED, {"encoding_format": "base64"}, PACKED),
        (VECTOR, {"encoding_format": "float"}, VECTOR),
        (PACKED, {"encoding_format": "float"}, NEAR),
        (PACKED, {}, NEAR),
        (VECTOR, {"dimensions": 3}, VECTOR),
        ([], {"encoding_format": "base64"}, ""),
        ([1, -2], {"encoding_format": "base64"}, base64.b64encode(struct.pack("<2f", 1, -2)).decode()),
    ],
)
def test_embeddings_have_the_form_that_was_asked_for(play: Play, given: Any, asked: Any, expected: Any) -> None:
    assert "base64" in case("embedding-base64")["request"]
    data = [{"object": "embedding", "index": at, "embedding": given} for at in (0, 1)]
    engine = Replayed(whole={"object": "list", "model": "m", "data": data, "usage": {"prompt_tokens": 1, "x": 2}})
    with play(engine) as client:
        body = client.post("/v1/embeddings", json={"model": "local", "input": ["a", "b"]} | asked).json()
    assert [entry["embedding"] for entry in body["data"]] == [expected, expected]
    assert body["usage"]["x"] == 2 and {name: engine.seen[0].get(name) for name in asked} == asked


@pytest.mark.parametrize(
    ("given", "form"),
    [
        *(("AAA=", "float"), ("!", "float"), ("AADAfw==", "float"), ("é", "float")),
        *(
            ([1e300], "base64"),
            (["a"], "base64"),
            ([None], "base64"),
            ([True], "base64"),
            (3, "base64"),
            (None, "float"),
        ),
    ],
)
def test_what_is_no_embedding_is_a_failure(play: Play, given: Any, form: str) -> None:
    engine = Replayed(whole={"object": "list", "model": "m", "data": [{"index": 0, "embedding": given}]})
    with play(engine) as client:
        response = client.post("/v1/embeddings", json={"model": "local", "input": "a", "encoding_format": form})
    assert response.status_code == 502 and "no list of embeddings" in response.json()["error"]["message"]


# context-size and max-tokens-param

LLAMA = {
    "code": 400,
    "type": "exceed_context_size_error",
    "message": "exceeds the available context size (4096 tokens)",
}
NUMBERED = LLAMA | {"message": "the request exceeds the available context size", "n_prompt_tokens": 5000, "n_ctx": 4096}
CONTEXT = "context_length_exceeded"


@both
@dialects
@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (400, {"error": LLAMA}, "prompt is too long: exceeds the available context size (4096 tokens)"),
        (400, {"error": NUMBERED}, "prompt is too long: 5000 tokens > 4096 maximum"),
        (
            500,
            {"error": {"code": 500, "message": "Context size has been exceeded.", "type": "server_error"}},
            "too long",
        ),
        (
            422,
            {"error": "`inputs` must have less than 1024 tokens. Given: 1168", "error_type": "validation"},
            "1168 tokens",
        ),
        (
            400,
            {
                "object": "error",
                "message": "The input (7 tokens) is longer than the model's context length (6 tokens).",
            },
            "7",
        ),
        (400, {"error": "Cannot truncate prompt with n_keep (15028) >= n_ctx (7424)"}, "15028 tokens > 7424 maximum"),
        (413, {"error": {"message": "no", "code": CONTEXT}}, "prompt is too long: no"),
        (400, {"error": json.dumps({"error": NUMBERED})}, "5000 tokens > 4096 maximum"),
        (403, {"message": "Input token count + max_tokens must be less than the context length"}, "prompt is too long"),
    ],
)
def test_a_prompt_that_is_too_long_is_told_so(
    play: Play, stream: bool, dialect: str, status: int, body: Any, words: str
) -> None:
    assert "exceed_context_size_error" in case("context-size")["upstream"][0]
    with play(Replayed(error=lambda _: (status, body))) as client:
        response = ask(client, dialect, stream=stream)
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (400, CONTEXT), response.text
    assert error["param"] == ("input" if dialect == "responses" else "messages")
    assert error["type"] == "invalid_request_error" and (dialect != "messages" or words in error["message"])


@dialects
def test_one_that_is_told_so_inside_a_stream_too(play: Play, dialect: str) -> None:
    words = "Trying to keep the first 9 tokens when context the overflows. The context length of only 8 is not enough"
    stream = b"event: error\n" + sse({"error": {"message": words}})
    with play(Replayed(stream)) as client:
        response = ask(client, dialect, stream=True)
    assert (response.status_code, response.json()["error"]["code"]) == (400, CONTEXT), "nothing had been sent"
    assert dialect != "messages" or "9 tokens > 8 maximum" in response.json()["error"]["message"]


@pytest.mark.parametrize(("path", "field"), [("completions", "prompt"), ("embeddings", "input")])
def test_what_is_too_long_is_called_as_the_caller_called_it(play: Play, path: str, field: str) -> None:
    with play(Replayed(error=lambda _: (400, {"error": LLAMA}))) as client:
        response = client.post(f"/v1/{path}", json={"model": "local", field: "a"})
    assert (response.json()["error"]["code"], response.json()["error"]["param"]) == (CONTEXT, field)


NAMES = [
    *(("chat", "max_tokens", "max_tokens"), ("chat", "max_completion_tokens", "max_completion_tokens")),
    *(("messages", "max_tokens", "max_tokens"), ("responses", "max_output_tokens", "max_output_tokens")),
]
VLLM = "max_tokens=32000 cannot be greater than max_model_len=max_total_tokens=8080."


@both
@pytest.mark.parametrize(("dialect", "field", "param"), NAMES)
@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"message": VLLM, "param": None}, "invalid_value"),
        ({"message": VLLM, "param": "max_tokens"}, "invalid_value"),
        ({"message": "max_completion_tokens is not valid", "param": "max_completion_tokens"}, "invalid_value"),
        ({"message": "max_tokens is too large: 32000. This model supports at most 16384"}, "invalid_value"),
        ({"message": "`max_new_tokens` must be <= 192. Given: 500"}, "invalid_value"),
        (
            {"message": "maximum context length is 40000 tokens: 20000 in the messages, 32000 in the completion"},
            CONTEXT,
        ),
    ],
)
def test_a_limit_that_does_not_fit_is_named_as_the_caller_named_it(
    play: Play, stream: bool, dialect: str, field: str, param: str, said: Any, code: str
) -> None:
    assert "32000" in case("max-tokens-param")["upstream"][0]
    with play(Replayed(error=lambda _: (400, {"error": said}))) as client:
        response = ask(client, dialect, stream=stream, **{field: 32000})
    error = response.json()["error"]
    assert (response.status_code, error["param"], error["code"]) == (400, param, code)


def test_a_chat_too_long_for_any_answer_is_no_fault_of_the_limit(play: Play) -> None:
    words = "maximum context length is 100 tokens: 200 in the messages, 32 in the completion"
    with play(Replayed(error=lambda _: (400, {"error": {"message": words}}))) as client:
        error = ask(client, "chat", stream=False, max_tokens=32).json()["error"]
    assert (error["param"], error["code"]) == ("messages", CONTEXT)
