"""What engines take beside the OpenAI API's own fields, and efforts that a model does not know."""

from pathlib import Path
from typing import Any

import pytest

from tests.dialects import ask, both, read
from tests.replayed import STREAM, Replayed, before

OWN: dict[str, Any] = {
    "top_k": 20,
    "min_p": 0.05,
    "repetition_penalty": 1.1,
    "stop": [f"s{number}" for number in range(12)],
    "chat_template_kwargs": {"enable_thinking": False, "thinking_budget": 64, "custom": "x", "more": None, "p": 0.5},
}


def test_an_engine_s_own_fields_reach_it(tmp_path: Path) -> None:
    engine = Replayed(whole={"count": 1, "model": "m", "choices": [{"message": {"content": "hi"}, "text": "hi"}]})
    with before(engine, tmp_path) as client:
        assert ask(client, "chat", stream=False, **OWN).status_code == 200
        plain = {name: OWN[name] for name in ("top_k", "min_p", "repetition_penalty", "stop")}
        client.post("/v1/completions", json={"model": "local", "prompt": "a"} | plain)
    assert {name: engine.seen[0][name] for name in OWN} == OWN
    assert {name: engine.seen[1][name] for name in plain} == plain


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"min_p": 1.5}, "min_p"),
        ({"repetition_penalty": 0}, "repetition_penalty"),
        ({"top_k": 2.5}, "top_k"),
        ({"stop": ["a"] * 33}, "stop"),
        ({"chat_template_kwargs": {"chat_template": "{{ 1 }}"}}, "chat_template_kwargs: chat_template is"),
        ({"chat_template_kwargs": {"max_length": 10**9}}, "chat_template_kwargs: max_length is"),
        ({"chat_template_kwargs": {"deep": {"a": 1}}}, "chat_template_kwargs: deep should"),
        ({"chat_template_kwargs": {"long": "x" * 1_001}}, "chat_template_kwargs: long should"),
        ({"chat_template_kwargs": {f"n{'x' * at}": 1 for at in range(17)}}, "chat_template_kwargs"),
    ],
)
def test_what_none_takes_is_named(tmp_path: Path, fields: dict[str, Any], param: str) -> None:
    engine = Replayed()
    with before(engine, tmp_path) as client:
        error = ask(client, "chat", stream=False, **fields).json()["error"]
    assert error["param"] == param.split(":")[0] and error["message"].startswith(param) and not engine.seen, error


GPT_OSS = "reasoning_effort={effort!r} is not supported by Harmony. Supported values are: high, medium, low."
EFFORTS = [
    (GPT_OSS, ("low", "medium", "high")),
    ("Harmony does not support reasoning_effort={effort!r}", ("low", "medium", "high")),
    ("Unsupported value: 'reasoning_effort' does not support {effort!r}. Supported values are: 'medium'.", ("medium",)),
    (
        "body.reasoning_effort: Input should be 'minimal', 'low', 'medium' or 'high'",
        ("minimal", "low", "medium", "high"),
    ),
    ("Invalid reasoning effort {effort!r}: must be one of none, high", ("none", "high")),
    (
        "Unsupported value: {effort!r} is not supported. Supported values are: 'low', 'medium', 'high'.",
        ("low", "medium", "high"),
    ),
    ("reasoning_effort: Input should be 'low', 'medium' or 'high' [input_value={effort!r}]", ("low", "medium", "high")),
    ("reasoning_effort must be one of low, medium, high, got {effort}", ("low", "medium", "high")),
    (
        "This model does not support effort level {effort!r}. Supported levels: high, low, medium",
        ("low", "medium", "high"),
    ),
]
NEAREST = {
    ("low", "medium", "high"): {"none": "low", "minimal": "low", "xhigh": "high", "max": "high"},
    ("minimal", "low", "medium", "high"): {"none": "minimal", "xhigh": "high", "max": "high"},
    ("none", "high"): {"minimal": "none", "xhigh": "high"},
    ("medium",): {"low": "medium", "max": "medium"},
}


@both
@pytest.mark.parametrize(("words", "known"), EFFORTS)
def test_an_effort_that_a_model_does_not_know_becomes_the_nearest(
    tmp_path: Path, stream: bool, words: str, known: tuple[str, ...]
) -> None:
    def error(body: dict[str, Any]) -> tuple[int, Any] | None:
        effort = body.get("reasoning_effort")
        if effort is None or effort in known:
            return None
        return 400, {"error": {"message": words.format(effort=effort), "param": "reasoning_effort"}}

    engine = Replayed(STREAM, error=error)
    with before(engine, tmp_path) as client:
        for asked, taken in NEAREST[known].items():
            response = ask(client, "chat", stream=stream, reasoning_effort=asked)
            assert read(response, "chat", stream=stream)["text"] == "hi"
            assert response.headers["x-firstpass-reasoning-effort"] == taken
            told = ask(client, "responses", stream=stream, reasoning={"effort": asked})
            assert told.headers["x-firstpass-reasoning-effort"] == taken
        response = ask(client, "chat", stream=stream, reasoning_effort=known[0])
        assert response.status_code == 200 and "x-firstpass-reasoning-effort" not in response.headers


@pytest.mark.parametrize(
    ("effort", "words"),
    [
        ("enormous", GPT_OSS),
        ("high", "Unrecognized request argument supplied: reasoning_effort"),
        ("high", "temperature must be at most 2"),
    ],
)
def test_any_other_refusal_stands(tmp_path: Path, effort: str, words: str) -> None:
    engine = Replayed(error=lambda _: (400, {"error": {"message": words.format(effort=effort)}}))
    with before(engine, tmp_path) as client:
        response = ask(client, "chat", stream=False, reasoning_effort=effort)
    assert response.status_code == 400 and len(engine.seen) == 1
