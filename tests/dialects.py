"""A question in each dialect, and an answer read as a client of it reads: whole, or put together from a stream."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

CASES = Path(__file__).parent / "cases"
USER = [{"role": "user", "content": "hello"}]
TOOL = {"type": "function", "function": {"name": "w", "parameters": {"type": "object"}}}
PATHS = {"chat": "/v1/chat/completions", "messages": "/v1/messages", "responses": "/v1/responses"}
DONE = "[DONE]"


def case(name: str) -> dict[str, Any]:
    """One of the small inputs that were found by trying what users of other tools reported."""
    read: dict[str, Any] = json.loads((CASES / f"{name}.json").read_text())
    return read


def ask(client: httpx.Client, dialect: str, *, stream: bool, model: str = "local", **more: Any) -> httpx.Response:
    tools: list[dict[str, Any]] = [TOOL]
    if dialect == "messages":
        tools = [{"name": "w", "input_schema": {"type": "object"}}]
    elif dialect == "responses":
        tools = [{"type": "function", "name": "w", "parameters": {"type": "object"}}]
    said: dict[str, Any] = {"input": "hello"} if dialect == "responses" else {"messages": USER}
    limit = {"max_tokens": 64} if dialect == "messages" else {}
    return client.post(PATHS[dialect], json={"model": model, "stream": stream, "tools": tools} | said | limit | more)


def events(response: httpx.Response) -> list[dict[str, Any]]:
    return [json.loads(line[6:]) for line in response.text.splitlines() if line.startswith("data: {")]


Answered = dict[str, Any]
"""text, refusal, reason: as the dialect has them; calls: (name, arguments as they came) of each."""


def read(response: httpx.Response, dialect: str, *, stream: bool) -> Answered:
    assert response.status_code == 200, response.text
    if dialect == "chat":
        return _chat(_joined(events(response)) if stream else response.json()["choices"][0])
    if dialect == "messages":
        return _message(_assembled(events(response)) if stream else response.json())
    return response_of(events(response)[-1]["response"] if stream else response.json())


def _joined(chunks: list[dict[str, Any]]) -> dict[str, Any]:
    """A streamed choice as a client of the API joins it."""
    said: dict[str, Any] = {}
    calls: dict[int, dict[str, Any]] = {}
    reason = None
    for chunk in chunks:
        assert "error" not in chunk, chunk
        for choice in chunk["choices"]:
            reason = choice.get("finish_reason") or reason
            for name in ("role", "content", "refusal"):
                said[name] = (said.get(name) or "") + (choice["delta"].get(name) or "")
            for piece in choice["delta"].get("tool_calls", ()):
                known = calls.setdefault(piece["index"], {"id": "", "function": {"name": "", "arguments": ""}})
                known["id"] += piece.get("id") or ""
                for name in ("name", "arguments"):
                    known["function"][name] += piece["function"].get(name) or ""
    assert said["role"] in ("", "assistant"), "once, or not at all where the engine said none"
    return {"message": said | {"tool_calls": list(calls.values())}, "finish_reason": reason}


def _chat(choice: dict[str, Any]) -> Answered:
    said = choice["message"]
    calls = [(one["function"]["name"], one["function"]["arguments"]) for one in said.get("tool_calls") or ()]
    return {"text": said.get("content") or "", "refusal": said.get("refusal") or ""} | {
        "calls": calls,
        "reason": choice["finish_reason"],
    }


def _assembled(sent: list[dict[str, Any]]) -> dict[str, Any]:
    """A streamed message as a client of the API puts it together."""
    blocks: dict[int, dict[str, Any]] = {}
    written: dict[int, str] = {}
    reason = None
    assert sent[-1]["type"] == "message_stop", sent[-1]
    for event in sent:
        if event["type"] == "content_block_start":
            assert event["index"] not in blocks
            blocks[event["index"]] = dict(event["content_block"])
        elif event["type"] == "content_block_delta" and event["delta"]["type"] == "text_delta":
            blocks[event["index"]]["text"] += event["delta"]["text"]
        elif event["type"] == "content_block_delta" and event["delta"]["type"] == "input_json_delta":
            written[event["index"]] = written.get(event["index"], "") + event["delta"]["partial_json"]
        elif event["type"] == "message_delta":
            reason = event["delta"]["stop_reason"]
    for at, text in written.items():
        blocks[at]["input"] = json.loads(text or "{}")
    return {"content": list(blocks.values()), "stop_reason": reason}


def _message(body: dict[str, Any]) -> Answered:
    calls = [(one["name"], json.dumps(one["input"])) for one in body["content"] if one["type"] == "tool_use"]
    text = "".join(block["text"] for block in body["content"] if block["type"] == "text")
    return {"text": text, "refusal": "", "calls": calls, "reason": body["stop_reason"]}


def response_of(body: dict[str, Any]) -> Answered:
    parts = [part for item in body["output"] if item["type"] == "message" for part in item["content"]]
    calls = [(item["name"], item["arguments"]) for item in body["output"] if item["type"] == "function_call"]
    text = "".join(part["text"] for part in parts if part["type"] == "output_text")
    refusal = "".join(part["refusal"] for part in parts if part["type"] == "refusal")
    return {"text": text, "refusal": refusal, "calls": calls, "reason": body["status"]}


both = pytest.mark.parametrize("stream", [True, False])
dialects = pytest.mark.parametrize("dialect", list(PATHS))
