"""A thought that was cut off before a word of the answer: how it is told in each dialect, and how it comes back.

Source: NousResearch/hermes-agent pull request 3449 and others of its kind: programs that take `content: null` for text.
"""

from typing import Any

import httpx
import pytest

from tests.dialects import DONE, USER, ask, both, dialects, events
from tests.replayed import Replayed, delta, message, sse
from tests.web.conftest import Play

THOUGHT = "First the sea, then"
USAGE = {"input_tokens": 3, "output_tokens": 2}


def _cut_off() -> Replayed:
    """As vLLM writes it."""
    said = (delta(role="assistant", content=""), delta(reasoning="First the sea,"), delta(reasoning=" then"))
    stream = sse(*said, delta(finish_reason="length"), DONE)
    return Replayed(stream, message("length", content=None, reasoning=THOUGHT))


def _claude_s() -> Replayed:
    """As Anthropic does: the seal of an unfinished thought has not come."""
    base = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "usage": USAGE}
    block = {"type": "thinking", "thinking": THOUGHT, "signature": ""}
    whole = base | {"content": [block], "stop_reason": "max_tokens", "stop_sequence": None}
    piece = {"type": "thinking_delta", "thinking": THOUGHT}
    stream = sse(
        {"type": "message_start", "message": base | {"content": [], "stop_reason": None}},
        {"type": "content_block_start", "index": 0, "content_block": block | {"thinking": ""}},
        {"type": "content_block_delta", "index": 0, "delta": piece},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "max_tokens"}, "usage": USAGE},
        {"type": "message_stop"},
    )
    return Replayed(stream, whole)


ENGINES = {"local": _cut_off, "strong": _claude_s}


def _turn(response: httpx.Response, dialect: str, stream: bool) -> tuple[str | None, list[dict[str, Any]]]:
    """Why it ended, and the answer as a client of the dialect sends it back."""
    assert response.status_code == 200, response.text
    told = events(response) if stream else [response.json()]
    if dialect == "responses":
        body = told[-1]["response"] if stream else told[0]
        assert (body["status"], body["output"][-1]["status"]) == ("incomplete", "incomplete")
        return body["incomplete_details"]["reason"], body["output"]
    if dialect == "messages":
        deltas = [event["delta"] for event in told if event.get("type") == "content_block_delta"]
        said, seal = ("".join(piece.get(name, "") for piece in deltas) for name in ("thinking", "signature"))
        reason = next(event["delta"] for event in told if event["type"] == "message_delta") if stream else told[0]
        content = [{"type": "thinking", "thinking": said, "signature": seal}] if stream else told[0]["content"]
        return reason["stop_reason"], [{"role": "assistant", "content": content}]
    choices = [choice for event in told for choice in event["choices"]]
    parts = [choice["delta" if stream else "message"] for choice in choices]
    joined = {name: "".join(part.get(name) or "" for part in parts) for name in ("content", "reasoning")}
    return choices[-1]["finish_reason"], [{"role": "assistant"} | (joined if stream else parts[0])]


WHY = {"chat": "length", "messages": "max_tokens", "responses": "max_output_tokens"}


@both
@dialects
@pytest.mark.parametrize("model", ENGINES)
def test_a_thought_that_was_cut_off_is_told_and_comes_back(play: Play, model: str, dialect: str, stream: bool) -> None:
    engine, later = ENGINES[model](), Replayed()
    with play(engine) as client:
        why, turn = _turn(ask(client, dialect, stream=stream, model=model), dialect, stream)
    assert why == WHY[dialect] and len(turn) == 1
    field = "input" if dialect == "responses" else "messages"
    with play(later) as client:
        again = ask(client, dialect, stream=False, **{field: [*USER, *turn, *USER]})
    assert again.status_code == 200, again.text
    assert [(one["role"], one["content"]) for one in later.seen[-1]["messages"]] == [
        ("user", "hello"),
        ("assistant", ""),
        ("user", "hello"),
    ]
    assert THOUGHT in str(turn)


@both
def test_a_thought_that_nobody_signed_is_signed_here_and_goes_to_no_model_that_asks_for_its_seal(
    play: Play, stream: bool
) -> None:
    """Pydantic AI told an unsigned thought again as its user's words, and the ai SDK left it out."""
    with play(_cut_off()) as client:
        _, turn = _turn(ask(client, "messages", stream=stream), "messages", stream)
    assert turn[0]["content"] == [{"type": "thinking", "thinking": THOUGHT, "signature": "firstpass"}]
    later = _claude_s()
    with play(later) as client:
        ask(client, "messages", stream=False, model="strong", messages=[*USER, *turn, *USER]).raise_for_status()
    assert "thinking" not in str(later.seen[-1]["messages"])


def test_a_response_goes_on_from_a_thought_that_was_cut_off(play: Play) -> None:
    later = Replayed()
    with play(_cut_off()) as client:
        first = ask(client, "responses", stream=False).json()
    with play(later) as client:
        second = ask(client, "responses", stream=False, previous_response_id=first["id"])
        items = client.get(f"/v1/responses/{second.json()['id']}/input_items?order=asc").json()["data"]
    assert [item["type"] for item in items] == ["message", "reasoning", "message"]
    assert [one["role"] for one in later.seen[-1]["messages"]] == ["user", "assistant", "user"]
