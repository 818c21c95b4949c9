"""The Anthropic Messages API over real HTTP, before a scripted engine: the official client, and the wire itself."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anthropic
import httpx
import pytest
from fastapi import FastAPI, Request, Response

from firstpass import app
from firstpass.house import House
from firstpass.settings import Settings
from firstpass.spans import UNHEARD
from firstpass.store.keys import KeyRecord, load_pepper, mint
from firstpass.store.sqlite import SqliteStore
from firstpass.web import routes
from firstpass.web.access import Rules
from firstpass.web.credentials import Credentials
from firstpass.web.metrics import Metrics
from firstpass.web.reloading import Reloaded
from tests.conftest import Front, serving
from tests.doubles import DIFF, NAMES, OMITS, STRAYS, counts_words, judges, messages_app, openai_app, says
from tests.machine import stretched

ASKED: dict[str, Any] = {
    "model": "local",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "Weather in Oslo and Rome?"}],
}
SUMMARY: dict[str, Any] = {
    "model": "firstpass",
    "max_tokens": 400,
    "messages": [{"role": "user", "content": DIFF}],
    "firstpass": {"contract": "pr-summary@3"},
}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL = {"name": "weather", "description": "Of a city.", "input_schema": SCHEMA}
CALLS = [
    {"id": f"call_{city}", "type": "function", "function": {"name": "weather", "arguments": f'{{"city": "{city}"}}'}}
    for city in ("Oslo", "Rome")
]
VERSION = {"anthropic-version": "2023-06-01"}


@contextmanager
def before(front: Front, application: Any, *, vllm: bool = True, **sections: Any) -> Iterator[httpx.Client]:
    """vllm: the engine is said to take vLLM's own fields."""
    engine = {"kind": "external", "structured_outputs": vllm}
    with serving(application) as url, front(says("-"), engine=engine | {"url": f"{url}/v1"}, **sections) as client:
        yield client


@contextmanager
def sdk_of(client: httpx.Client) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=str(client.base_url), api_key="none", max_retries=0) as sdk:
        yield sdk


def calling(body: dict[str, Any]) -> dict[str, Any]:
    if "tools" not in body:
        return {"content": "warm"}
    return {"tool_calls": CALLS, "reasoning": "Two cities, two calls."}


def saying(text: str) -> Any:
    return messages_app(lambda body: {"content": text})


def events(response: httpx.Response) -> list[dict[str, Any]]:
    found = []
    for part in response.text.removesuffix("\n\n").split("\n\n"):
        if not part.startswith(":"):
            name, data = part.split("\n")
            found.append(json.loads(data.removeprefix("data: ")))
            assert name == f"event: {found[-1]['type']}"
    return found


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["local", "firstpass"])
def test_tools_go_to_the_engine_and_its_calls_come_back(front: Front, stream: bool, model: str) -> None:
    engine = messages_app(calling, "tool_calls")
    choice = {"type": "any", "disable_parallel_tool_use": True}
    asked = ASKED | {"model": model, "tools": [TOOL], "tool_choice": choice}
    with before(front, engine) as client, sdk_of(client) as sdk:
        if stream:
            with sdk.messages.stream(**asked) as running:
                answer = running.get_final_message()
        else:
            answer = sdk.messages.create(**asked)
    thought, *calls = answer.content
    assert thought.type == "thinking" and thought.thinking == "Two cities, two calls."
    assert [(call.id, call.name, call.input) for call in calls] == [
        ("call_Oslo", "weather", {"city": "Oslo"}),
        ("call_Rome", "weather", {"city": "Rome"}),
    ]
    assert answer.stop_reason == "tool_use" and answer.id.startswith("msg_ex_")
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (11, 13)
    seen = engine.state.seen[-1]
    function = {"name": "weather", "description": "Of a city.", "parameters": SCHEMA}
    assert seen["tools"] == [{"type": "function", "function": function}]
    assert (seen["tool_choice"], seen["parallel_tool_calls"], seen["max_tokens"]) == ("required", False, 100)


def test_a_conversation_with_tools_reaches_the_engine_as_it_was(front: Front) -> None:
    engine = saying("Rain.")
    use = {"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "Oslo"}}
    failed = {"type": "tool_result", "tool_use_id": "t1", "content": "no station", "is_error": True}
    turns = [
        *ASKED["messages"],
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "hm", "signature": ""}, use]},
        {"role": "user", "content": [failed, {"type": "text", "text": "Try again."}]},
        {"role": "system", "content": "Be brief."},
    ]
    with before(front, engine) as client, sdk_of(client) as sdk:
        answer = sdk.messages.create(**ASKED | {"messages": turns, "system": "You know.", "tools": [TOOL]})
    assert answer.content[0].text == "Rain." and answer.stop_reason == "end_turn"
    call = {"id": "t1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}
    assert engine.state.seen[-1]["messages"] == [
        {"role": "system", "content": "You know."},
        *ASKED["messages"],
        {"role": "assistant", "content": None, "tool_calls": [call], "reasoning": "hm"},
        {"role": "tool", "content": "error: no station", "tool_call_id": "t1"},
        {"role": "user", "content": "Try again."},
        {"role": "system", "content": "Be brief."},
    ]


def test_an_answer_sent_back_as_the_client_holds_it_is_taken(front: Front) -> None:
    engine = messages_app(calling, "tool_calls")
    with before(front, engine) as client, sdk_of(client) as sdk:
        said = sdk.messages.create(**ASKED | {"tools": [TOOL]}).content
        results = [{"type": "tool_result", "tool_use_id": block.id} for block in said if block.type == "tool_use"]
        turns = [{"role": "assistant", "content": said}, {"role": "user", "content": results}]
        turns = [*ASKED["messages"], *turns]
        assert sdk.messages.create(**ASKED | {"messages": turns}).content[0].text == "warm"
    assert engine.state.seen[-1]["messages"][1]["reasoning"] == said[0].thinking


def test_the_events_of_a_stream_are_in_the_order_that_clients_rely_on(front: Front) -> None:
    """CLIProxyAPI#1700 and vllm#39056: real input tokens at the beginning, and no delta before its block."""
    message = {"reasoning": "Hm.", "content": "Two calls.", "tool_calls": CALLS}
    with before(front, messages_app(lambda body: message, "tool_calls")) as client:
        asked = ASKED | {"stream": True, "tools": [TOOL]}
        response = client.post("/v1/messages?beta=true", json=asked, headers=VERSION)
    first, *middle, delta, last = events(response)
    assert first["type"] == "message_start" and first["message"]["usage"]["input_tokens"] == 11
    assert first["message"]["content"] == [] and first["message"]["stop_reason"] is None
    assert first["message"]["id"] == f"msg_{response.headers['request-id']}"
    assert [(event["type"].removeprefix("content_block_"), event["index"]) for event in middle] == [
        *(("start", 0), ("delta", 0), ("delta", 0), ("stop", 0)),
        *(("start", 1), ("delta", 1), ("delta", 1), ("stop", 1)),
        *(("start", 2), ("delta", 2), ("delta", 2), ("stop", 2)),
        *(("start", 3), ("delta", 3), ("delta", 3), ("stop", 3)),
    ]
    assert delta["delta"] == {"stop_reason": "tool_use", "stop_sequence": None}
    assert delta["usage"] == {"input_tokens": 11, "cache_read_input_tokens": 0, "output_tokens": 13}
    assert last == {"type": "message_stop"} and response.text.count("message_start") == 2, "its name and its type"
    assert response.headers["x-firstpass-route"] == "draft" and response.headers["content-type"].startswith(
        "text/event-"
    )


def test_the_local_tokenizer_counts_where_the_tier_does_not_tell_in_time(front: Front) -> None:
    engine = counts_words(saying("Rain."))
    asked = ASKED | {"stream": True, "system": "You know."}
    with before(front, engine, vllm=False) as client:
        first, *_, delta, _ = events(client.post("/v1/messages", json=asked))
        counted = client.post(
            "/v1/messages/count_tokens", json={name: asked[name] for name in ("model", "messages", "system")}
        )
    assert first["message"]["usage"]["input_tokens"] == counted.json()["input_tokens"] > 0
    assert delta["usage"]["input_tokens"] == 11, "the tier's own count, once it is known"


def test_where_nobody_can_count_the_beginning_says_none_and_the_end_the_truth(front: Front) -> None:
    with before(front, saying("Rain."), vllm=False) as client:
        first, *_, delta, _ = events(client.post("/v1/messages", json=ASKED | {"stream": True}))
    assert (first["message"]["usage"]["input_tokens"], delta["usage"]["input_tokens"]) == (0, 11)


def test_tokens_are_counted_with_the_system_and_the_tools_by_the_engine_s_own_tokenizer(front: Front) -> None:
    """CLIProxyAPI#679."""
    engine = counts_words(saying("Rain."))
    asked = {"model": "firstpass", "messages": ASKED["messages"]}
    with before(front, engine) as client, sdk_of(client) as sdk:
        plain = sdk.messages.count_tokens(**asked).input_tokens
        more = sdk.messages.count_tokens(**asked, system="You know the weather.", tools=[TOOL]).input_tokens
        raw = client.post("/v1/messages/count_tokens", json=asked | {"system": "s"}, headers=VERSION)
        wrong = client.post("/v1/messages/count_tokens", json=asked | {"stream": True})
        bound = client.post("/v1/messages/count_tokens", json=asked | {"firstpass": {"contract": "pr-summary@3"}})
    assert more > plain + 4 and raw.json().keys() == {"input_tokens"}
    assert raw.headers["x-firstpass-counted-by"] == "scripted"
    assert engine.state.tokenized[-1]["messages"][0] == {"role": "system", "content": "s"}
    assert (wrong.json()["error"]["param"], bound.json()["error"]["param"]) == ("stream", "firstpass.contract")


def test_fifty_counts_at_once_are_cheap(front: Front) -> None:
    """claude-relay-service#731."""
    asked = {"model": "local", "messages": ASKED["messages"]}
    with before(front, counts_words(saying("Rain."))) as client:
        started = time.monotonic()
        with ThreadPoolExecutor(50) as many:
            answers = list(many.map(lambda _: client.post("/v1/messages/count_tokens", json=asked), range(50)))
        seconds = time.monotonic() - started
    assert {answer.status_code for answer in answers} == {200} and seconds < stretched(10)


def test_an_engine_that_can_not_count_says_so(front: Front) -> None:
    refused = pytest.raises(anthropic.NotFoundError, match="counts no tokens")
    with before(front, saying("Rain.")) as client, sdk_of(client) as sdk, refused as caught:
        sdk.messages.count_tokens(model="local", messages=ASKED["messages"])
    assert caught.value.body["error"]["part"] == "draft"  # type: ignore[index]


def test_an_engine_that_is_not_there_counts_nothing(tmp_path: Path) -> None:
    engine = {"kind": "external", "url": "http://127.0.0.1:9/v1"}
    settings = Settings.model_validate({"engine": engine, "server": {"data_dir": tmp_path}})
    with serving(app.build(settings)) as url:
        response = httpx.post(f"{url}/v1/messages/count_tokens", json={"model": "local", "messages": ASKED["messages"]})
    assert (response.status_code, response.json()["error"]["type"]) == (503, "overloaded_error")
    assert response.headers["retry-after"]


@pytest.mark.parametrize(
    ("path", "method", "headers", "content", "status", "kind"),
    [
        ("/v1/messages", "POST", {}, "{", 400, "invalid_request_error"),
        ("/v1/messages", "POST", {}, "{}", 400, "invalid_request_error"),
        ("/v1/messages", "POST", {}, json.dumps(ASKED | {"model": "strong"}), 404, "not_found_error"),
        ("/v1/messages", "POST", {"content-type": "text/plain"}, "{}", 415, "invalid_request_error"),
        ("/v1/messages", "POST", {}, "x" * 3000, 413, "request_too_large"),
        ("/v1/messages", "POST", {"origin": "https://evil.example"}, "{}", 403, "permission_error"),
        ("/v1/messages", "POST", {"host": "evil.example"}, "{}", 403, "permission_error"),
        ("/v1/messages", "GET", {}, None, 405, "invalid_request_error"),
        ("/v1/messages/batches", "POST", {}, "{}", 404, "not_found_error"),
        ("/v1/messages/count_tokens", "POST", {}, "{}", 400, "invalid_request_error"),
        ("/v1/files", "GET", VERSION, None, 404, "not_found_error"),
        ("/v1/chat/completions", "POST", VERSION, "{}", 400, "invalid_request_error"),
    ],
)
def test_every_error_has_the_envelope(
    front: Front, path: str, method: str, headers: dict[str, str], content: str | None, status: int, kind: str
) -> None:
    """vllm#57997."""
    with front(says("hi"), server={"body_limit_bytes": 2000}) as client:
        told = {"content-type": "application/json"} | headers
        response = client.request(method, path, content=content, headers=told)
        plain = client.post("/v1/chat/completions", json={}).json()
    body = response.json()
    assert (response.status_code, body["type"], body["error"]["type"]) == (status, "error", kind)
    assert body["error"]["message"] and body["error"]["part"] == "web" and "request_id" in body
    assert plain.keys() == {"error"}, "the other dialect keeps its own"


class Broken:
    """A backend with a bug."""

    audit = browsing = None
    results_dir = Path("nowhere")
    metrics = Metrics()
    spans = UNHEARD

    @property
    def house(self) -> House:
        raise ValueError("planned")

    def check_room(self, key: str | None, patience_seconds: float | None) -> None:
        """There is room."""

    async def reload(self) -> Reloaded:
        raise ValueError("planned")


def test_a_bug_of_ours_has_the_envelope_too() -> None:
    async def find(key: str) -> KeyRecord | None:
        return None

    nobody = Credentials(find, required=False, wrong_a_minute=10)
    broken = routes.build(Broken(), Rules(None), routes.Limits(1000, 1.0), nobody, lambda holder: None)
    with serving(broken) as url:
        response = httpx.post(f"{url}/v1/messages", json=ASKED)
        other = httpx.post(f"{url}/v1/chat/completions", json=ASKED)
    assert (response.status_code, response.json()["error"]["type"]) == (500, "api_error")
    assert other.json()["error"]["type"] == "server_error" and "planned" not in response.text


def test_a_missing_key_is_an_error_of_the_client_s_own_kind(front: Front, tmp_path: Path) -> None:
    with front(says("hi"), server={"keys": "required"}) as client:
        with sdk_of(client) as sdk, pytest.raises(anthropic.AuthenticationError, match="not a live one"):
            sdk.messages.create(**ASKED)
        store = SqliteStore(tmp_path / "data" / "firstpass.sqlite")
        key, record = mint("ci", load_pepper(tmp_path / "data" / "pepper"), 1.0)
        store.add_key(record)
        for given in ({"api_key": key}, {"auth_token": key}):
            with anthropic.Anthropic(base_url=str(client.base_url), max_retries=0, **given) as sdk:
                assert sdk.messages.create(**ASKED).content[0].text == "hi"


def test_an_engine_that_fails_is_told_with_the_exchange_to_look_it_up_by(front: Front) -> None:
    def broken(body: dict[str, Any]) -> str:
        if body["messages"][0]["content"] == ASKED["messages"][0]["content"]:
            raise ValueError("planned")
        return "warm"

    with front(broken) as client:
        for stream in (False, True):
            response = client.post("/v1/messages", json=ASKED | {"stream": stream})
            body = response.json()
            assert (response.status_code, body["error"]["type"], body["error"]["part"]) == (502, "api_error", "draft")
            assert body["request_id"] == body["error"]["exchange"] == response.headers["request-id"]
            assert (
                response.headers["request-id"] == response.headers["x-request-id"] and response.headers["retry-after"]
            )


def breaks_off(first: str) -> Any:
    """An engine whose stream ends without an end."""
    engine = FastAPI()

    @engine.post("/v1/chat/completions")
    async def chat(request: Request) -> Response:
        body = await request.json()
        choice = {"index": 0, "message": {"role": "assistant", "content": "warm"}, "finish_reason": "stop"}
        if not body.get("stream"):
            return Response(json.dumps({"model": "m", "choices": [choice]}), media_type="application/json")
        event = {"model": "m", "choices": [{"index": 0, "delta": {"content": first}}]}
        return Response(f"data: {json.dumps(event)}\n\n", media_type="text/event-stream")

    @engine.get("/v1/models")
    async def models() -> dict[str, Any]:
        return {"data": [{"id": "m"}]}

    return engine


def test_a_stream_that_fails_after_its_first_byte_ends_with_an_error_event(front: Front) -> None:
    with before(front, breaks_off("Half")) as client, sdk_of(client) as sdk:
        last = events(client.post("/v1/messages", json=ASKED | {"stream": True}))[-1]
        assert last["type"] == "error" and last["error"]["type"] == "api_error" and last["error"]["part"] == "draft"
        with pytest.raises(anthropic.APIStatusError, match="broke off"), sdk.messages.stream(**ASKED) as running:
            assert list(running.text_stream) == ["Half"]


def test_a_contract_s_answer_says_how_it_was_made(front: Front) -> None:
    with front(says(OMITS)) as client, sdk_of(client) as sdk:
        own = {"extra_body": {"firstpass": SUMMARY["firstpass"]}}
        asked = {name: value for name, value in SUMMARY.items() if name != "firstpass"}
        whole = sdk.messages.create(**asked, **own)
        with sdk.messages.stream(**asked, **own) as running:
            streamed = running.get_final_message()
        wire = events(client.post("/v1/messages", json=SUMMARY | {"stream": True}))
        told = client.post("/v1/messages", json=SUMMARY | {"system": "Be kind."}).json()
        tools = client.post("/v1/messages", json=SUMMARY | {"tools": [TOOL]}).json()
        form = {"format": {"type": "json_schema", "schema": {}}}
        shaped = client.post("/v1/messages", json=SUMMARY | {"output_config": form}).json()
    right = NAMES.replace("Create a session at login", "Log the user in")
    assert whole.content[0].text == streamed.content[0].text == right
    assert whole.firstpass["route"] == "repaired" and whole.firstpass["contract"] == "pr-summary@3"
    assert wire[-2]["firstpass"]["route"] == "repaired" and wire[0]["message"]["usage"]["output_tokens"] == 0
    assert told["error"]["param"] == "messages" and "exactly one user message" in told["error"]["message"]
    assert (tools["error"]["param"], shaped["error"]["param"]) == ("tools", "output_config.format")


def test_a_checked_answer_can_stream_while_it_is_written_and_the_verdict_comes_last(front: Front) -> None:
    options = SUMMARY["firstpass"] | {"optimistic": True}
    asked = SUMMARY | {"stream": True, "firstpass": options}
    with serving(openai_app(judges(NAMES))) as url:
        verifier = {"url": f"{url}/v1", "model": "stronger", "hosted": False}
        with front(says(STRAYS), verifier=verifier) as client, sdk_of(client) as sdk:
            response = client.post("/v1/messages", json=asked)
            plain = {name: value for name, value in SUMMARY.items() if name != "firstpass"}
            with sdk.messages.stream(**plain, extra_body={"firstpass": options}) as running:
                seen = list(running)
                final = running.get_final_text()
            refused = client.post("/v1/messages", json=asked | {"stream": False}).json()
    *_, delta, last = events(response)
    said = [event["delta"]["text"] for event in events(response) if event["type"] == "content_block_delta"]
    assert "".join(said) == STRAYS == final and len(said) > 1, "it came as it was written"
    assert (delta["firstpass"]["verdict"], delta["firstpass"]["text"]) == ("replaced", NAMES)
    assert delta["firstpass"]["route"] == "verified" and last["type"] == "message_stop"
    assert response.headers["x-firstpass-stream"] == "optimistic"
    (told,) = (event for event in seen if event.type == "message_delta")
    assert told.firstpass["verdict"] == "replaced", "the official client keeps what it does not know"
    assert refused["error"]["param"] == "firstpass.optimistic"


def test_a_stream_that_is_held_back_is_kept_alive_by_pings(front: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("firstpass.web.answer.KEEPALIVE_SECONDS", 0.1)

    def slow(body: dict[str, Any]) -> str:
        time.sleep(0.5 if body["max_tokens"] > 1 else 0)
        return NAMES

    asked = {name: value for name, value in SUMMARY.items() if name != "firstpass"}
    steered = {"x-firstpass-contract": "pr-summary@3"}
    with front(slow) as client, sdk_of(client) as sdk:
        response = client.post("/v1/messages", json=asked | {"stream": True}, headers=steered)
        with sdk.messages.stream(**asked, extra_headers=steered) as running:
            assert running.get_final_text() == NAMES
    kinds = [event["type"] for event in events(response)]
    first = next(at for at, kind in enumerate(kinds) if kind != "ping")
    assert first > 1 and kinds[first] == "message_start" and "\n:" not in response.text


def test_the_client_s_headers_are_kept_for_a_tier_of_its_dialect(front: Front, tmp_path: Path) -> None:
    headers = [("anthropic-version", "2023-06-01"), ("anthropic-beta", "a-1"), ("anthropic-beta", "b-2")]
    with front(says("hi")) as client:
        kept = client.post("/v1/messages", json=ASKED, headers=headers).headers["request-id"]
        silent = ASKED | {"firstpass": {"store": False}}
        wordless = client.post("/v1/messages", json=silent, headers=headers).headers["request-id"]
        store = SqliteStore(tmp_path / "data" / "firstpass.sqlite")
        first, second = store.read(kept), store.read(wordless)
    assert first is not None and second is not None
    assert first.ask.forwarded == {"anthropic-version": "2023-06-01", "anthropic-beta": "a-1, b-2"}
    assert second.ask.forwarded == {} and second.ask.messages[0].content == ""


def test_redacted_thinking_is_refused_by_a_model_that_can_not_read_it(front: Front) -> None:
    hidden = {"role": "assistant", "content": [{"type": "redacted_thinking", "data": "xyz"}]}
    turns = [*ASKED["messages"], hidden, {"role": "user", "content": "And?"}]
    with front(says("hi")) as client:
        response = client.post("/v1/messages", json=ASKED | {"messages": turns})
        counted = client.post("/v1/messages/count_tokens", json={"model": "local", "messages": turns})
    for answer in (response, counted):
        assert answer.status_code == 400 and "redacted_thinking" in answer.json()["error"]["message"]
        assert answer.json()["error"]["param"] == "messages"


def test_a_begun_answer_is_gone_on_with_where_the_engine_can(front: Front) -> None:
    engine = saying("B)")
    turns = [*ASKED["messages"], {"role": "assistant", "content": "The best is ("}]
    with before(front, engine) as client:
        assert client.post("/v1/messages", json=ASKED | {"messages": turns}).json()["content"][0]["text"] == "B)"
    seen = engine.state.seen[-1]
    assert seen["continue_final_message"] is True and seen["add_generation_prompt"] is False
    with before(front, engine, vllm=False) as client:
        refused = client.post("/v1/messages", json=ASKED | {"messages": turns})
    assert refused.status_code == 400 and "begun message" in refused.json()["error"]["message"]


def test_the_models_are_listed_in_either_shape(front: Front) -> None:
    with front(says("hi")) as client, sdk_of(client) as sdk:
        names = [model["id"] for model in client.get("/v1/models").json()["data"]]
        page = sdk.models.list(limit=1)
        assert page.data[0].id == page.first_id == page.last_id == names[0] and page.has_more
        assert page.data[0].type == "model" and page.data[0].created_at.year >= 2026
        assert [model.id for model in sdk.models.list(limit=2)] == names, "page by page"
        back = client.get("/v1/models", params={"before_id": names[-1], "limit": 1}, headers=VERSION).json()
        assert [model["id"] for model in back["data"]] == [names[-2]] and back["has_more"]
        assert sdk.models.retrieve("local").display_name == "local"
        with pytest.raises(anthropic.NotFoundError):
            sdk.models.retrieve("claude-9")
        for query, param in (({"limit": "0"}, "limit"), ({"after_id": "x"}, "after_id")):
            wrong = client.get("/v1/models", params=query, headers=VERSION)
            assert (wrong.status_code, wrong.json()["error"]["param"]) == (400, param)


def test_the_beta_client_gets_its_answer_too(front: Front) -> None:
    with front(says("hi")) as client, sdk_of(client) as sdk:
        answer = sdk.beta.messages.create(**ASKED, betas=["interleaved-thinking-2025-05-14"])
        with sdk.beta.messages.stream(**ASKED) as running:
            assert running.get_final_message().content[0].text == answer.content[0].text == "hi"


def test_store_false_keeps_nothing_of_a_conversation(front: Front, tmp_path: Path) -> None:
    word = "xylophone"
    use = {"type": "tool_use", "id": word, "name": word, "input": {word: word}}
    turns = [
        {"role": "user", "content": word},
        {"role": "assistant", "content": [{"type": "thinking", "thinking": word, "signature": word}, use]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": word, "content": word}]},
    ]
    asked = ASKED | {"messages": turns, "system": word, "metadata": {"user_id": word}, "stop_sequences": [word]}
    asked |= {"tools": [TOOL | {"name": word}], "firstpass": {"store": False}}
    with front(says(word)) as client:
        assert client.post("/v1/messages", json=asked, headers={"anthropic-beta": word}).status_code == 200
    kept = b"".join(path.read_bytes() for path in (tmp_path / "data").glob("firstpass.sqlite*"))
    assert word.encode() not in kept
