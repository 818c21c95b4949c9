"""The OpenAI Responses API: the official client against a whole front before scripted engines."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from fastapi import Request
from fastapi import Response as PlainResponse
from openai.types.responses import Response

from firstpass import app
from firstpass.settings import Settings
from tests.conftest import Front, official, serving
from tests.doubles import CALLS, DIFF, FLAT_TOOL, NAMES, OMITS, calling, echo, messages_app, openai_app, says

ASKED: dict[str, Any] = {"model": "local", "input": "Weather in Oslo and Rome?", "tools": [FLAT_TOOL]}


def kinds(response: Response) -> list[tuple[str, str | None]]:
    return [(item.type, item.id) for item in response.output]


def final(sdk: openai.OpenAI, **asked: Any) -> Response:
    with sdk.responses.stream(**asked) as events:
        return events.get_final_response()


@pytest.mark.parametrize("stream", [False, True])
def test_a_question_is_answered_and_the_answer_is_complete(front: Front, stream: bool) -> None:
    engine = messages_app(lambda body: {"content": "It rains."})
    asked = {"model": "local", "input": "Weather?", "instructions": "Be brief.", "max_output_tokens": 50}
    asked |= {"temperature": 0.5, "metadata": {"a": "b"}, "user": "kim", "reasoning": {"effort": "low"}}
    with official(front, engine) as (sdk, _):
        answer = final(sdk, **asked) if stream else sdk.responses.create(**asked)
    exchange = answer.id.removeprefix("resp_")
    assert answer.output_text == "It rains." and kinds(answer) == [("message", f"msg_{exchange}")]
    assert (answer.status, answer.object, answer.model, answer.instructions) == (
        "completed",
        "response",
        "scripted",
        "Be brief.",
    )
    assert answer.usage is not None and answer.usage.total_tokens == 24
    assert (answer.usage.input_tokens, answer.usage.output_tokens_details.reasoning_tokens) == (11, 0)
    assert (answer.metadata, answer.temperature, answer.tools, answer.tool_choice) == ({"a": "b"}, 0.5, [], "auto")
    unset = Response.model_fields.keys() - answer.model_fields_set
    assert not {name for name in unset if Response.model_fields[name].is_required()}
    seen = engine.state.seen[-1]
    assert (seen["max_tokens"], seen["temperature"], seen["reasoning_effort"]) == (50, 0.5, "low")
    assert [(turn["role"], turn["content"]) for turn in seen["messages"]] == [
        ("system", "Be brief."),
        ("user", "Weather?"),
    ]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["local", "firstpass"])
def test_tools_are_called_and_what_they_return_goes_back(front: Front, stream: bool, model: str) -> None:
    engine = messages_app(calling, "tool_calls")
    asked = ASKED | {"model": model, "tool_choice": "required", "parallel_tool_calls": True}
    with official(front, engine) as (sdk, _):
        answer = final(sdk, **asked) if stream else sdk.responses.create(**asked)
        thought, *calls = answer.output
        results = [{"type": "function_call_output", "call_id": call.call_id, "output": "rain"} for call in calls]
        last = sdk.responses.create(model=model, input=results, previous_response_id=answer.id, tools=[FLAT_TOOL])
    assert thought.type == "reasoning" and thought.content is not None
    assert [part.text for part in thought.content] == ["Two cities, two calls."]
    assert [
        (call.name, call.call_id, json.loads(call.arguments)) for call in calls if call.type == "function_call"
    ] == [
        ("weather", "call_Oslo", {"city": "Oslo"}),
        ("weather", "call_Rome", {"city": "Rome"}),
    ]
    assert last.output_text == "Rain here and there." and last.previous_response_id == answer.id
    first, second = engine.state.seen[-2:]
    nested = {"type": "function", "function": {name: value for name, value in FLAT_TOOL.items() if name != "type"}}
    assert (first["tools"], first["tool_choice"], first["parallel_tool_calls"]) == ([nested], "required", True)
    assert second["messages"] == [
        {"role": "user", "content": ASKED["input"]},
        {"role": "assistant", "content": None, "tool_calls": CALLS},
        {"role": "tool", "content": "rain", "tool_call_id": "call_Oslo"},
        {"role": "tool", "content": "rain", "tool_call_id": "call_Rome"},
    ]


def test_events_come_in_order_and_say_where_they_belong(front: Front) -> None:
    """saladday/cc-switch-cli#387: no delta of an item before the item was added."""
    with official(front, messages_app(calling, "tool_calls")) as (sdk, client):
        events = list(sdk.responses.create(**ASKED, stream=True))
        raw = client.post("/v1/responses", json=ASKED | {"stream": True})
    assert [event.sequence_number for event in events] == list(range(len(events)))
    names = [event.type for event in events if not event.type.endswith(".delta")]
    thought = [
        "output_item.added",
        "content_part.added",
        "reasoning_text.done",
        "content_part.done",
        "output_item.done",
    ]
    calls = [*["output_item.added"] * 2, *["function_call_arguments.done", "output_item.done"] * 2]
    assert names == [f"response.{name}" for name in ("created", "in_progress", *thought, *calls, "completed")]
    assert raw.headers["content-type"].startswith("text/event-stream") and "[DONE]" not in raw.text
    assert raw.text.startswith("event: response.created\ndata: {")
    assert raw.headers["x-firstpass-route"] == "draft" and raw.headers["x-request-id"].startswith("ex_")


@pytest.mark.parametrize(("reason", "why"), [("length", "max_output_tokens"), ("content_filter", "content_filter")])
def test_an_answer_that_was_cut_off_is_incomplete(front: Front, reason: str, why: str) -> None:
    engine = messages_app(lambda body: {"content": "It ra"}, reason)
    with official(front, engine) as (sdk, _):
        whole = sdk.responses.create(model="local", input="Weather?")
        *_, last = sdk.responses.create(model="local", input="Weather?", stream=True)
    assert last.type == "response.incomplete"
    for answer in (whole, last.response):
        assert answer.status == "incomplete" and answer.incomplete_details is not None
        assert answer.incomplete_details.reason == why and answer.output[0].status == "incomplete"


def test_a_summary_is_asked_for_and_the_whole_thought_is_given_in_its_place(front: Front) -> None:
    engine = messages_app(lambda body: {"content": "Rain.", "reasoning": "Look at the sky."})
    asked: dict[str, Any] = {"model": "local", "input": "Weather?", "reasoning": {"summary": "auto"}}
    with official(front, engine) as (sdk, _):
        names = [event.type for event in sdk.responses.create(**asked, stream=True)]
        answer = sdk.responses.create(**asked)
    thought = answer.output[0]
    assert thought.type == "reasoning" and [part.text for part in thought.summary] == ["Look at the sky."]
    assert "response.reasoning_summary_text.delta" in names and "response.reasoning_text.delta" not in names


def test_codex_is_served(front: Front) -> None:
    """The twelve fields of a recorded request of Codex: webai-at-home/webai-at-home#214. It keeps no state here."""
    engine = messages_app(calling, "tool_calls")
    turn = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "List the files."}]}
    rules = {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "Sandboxed."}]}
    asked = {
        "client_metadata": {"x-codex-installation-id": "6f1a"},
        "include": ["reasoning.encrypted_content"],
        "input": [rules, turn],
        "instructions": "You are Codex.",
        "model": "local",
        "parallel_tool_calls": False,
        "prompt_cache_key": "0199a",
        "reasoning": {"effort": "medium", "summary": "auto"},
        "store": False,
        "stream": True,
        "tool_choice": "auto",
        "tools": [
            FLAT_TOOL | {"strict": False},
            {"type": "web_search", "external_web_access": False},
            {"type": "custom", "name": "apply_patch", "format": {"type": "grammar", "syntax": "lark"}},
        ],
    }
    with official(front, engine) as (_, client):
        first = client.post("/v1/responses", json=asked)
        (end,) = [line for line in first.text.splitlines() if line.startswith('data: {"type":"response.completed"')]
        answer = json.loads(end[6:])["response"]
        back = [{name: value for name, value in item.items() if name != "id"} for item in answer["output"]]
        results = [
            {
                "type": "function_call_output",
                "call_id": item["call_id"],
                "output": [{"type": "input_text", "text": "a.py"}],
            }
            for item in answer["output"]
            if item["type"] == "function_call"
        ]
        second = client.post("/v1/responses", json=asked | {"input": [rules, turn, *back, *results]})
        unkept = client.get(f"/v1/responses/{answer['id']}")
    assert first.headers["x-firstpass-skipped-tools"] == "web_search"
    assert "Rain here and there." in second.text and unkept.status_code == 404
    assert [message["role"] for message in engine.state.seen[-1]["messages"]] == [
        *("system", "developer", "user", "assistant", "tool", "tool")
    ]
    assert [len(body["tools"]) for body in engine.state.seen[-2:]] == [2, 2]


def test_log_probabilities_are_included_where_they_are_asked_for(front: Front) -> None:
    engine = openai_app(says("Rain."), lambda body: -0.5)
    asked: dict[str, Any] = {"model": "local", "input": "Weather?"}
    with official(front, engine) as (sdk, _):
        with_them = sdk.responses.create(**asked, include=["message.output_text.logprobs"], top_logprobs=2)
        without = sdk.responses.create(**asked)
        kept = sdk.responses.retrieve(with_them.id)
    (first, *_), plain, again = (answer.output[0].content[0].logprobs for answer in (with_them, without, kept))
    assert first.token == "Rain" and first.logprob == -0.5 and len(first.top_logprobs) == 2
    assert plain == [] and [(one.token, one.top_logprobs) for one in again] == [("Rain", []), (".", [])]


@pytest.mark.parametrize("stream", [False, True])
def test_a_contract_s_answer_says_how_it_was_made(front: Front, stream: bool) -> None:
    asked: dict[str, Any] = {
        "model": "firstpass",
        "input": DIFF,
        "extra_body": {"firstpass": {"contract": "pr-summary@3"}},
    }
    with official(front, openai_app(says(OMITS))) as (sdk, client):
        if stream:
            with sdk.responses.stream(**asked) as events:
                answer = events.get_final_response()
        else:
            answer = sdk.responses.create(**asked)
        again = client.get(f"/v1/responses/{answer.id}").json()
        with pytest.raises(openai.BadRequestError) as two:
            sdk.responses.create(**asked | {"input": [{"role": "user", "content": "a"}] * 2})
        form = {"format": {"type": "json_object"}}
        with pytest.raises(openai.BadRequestError) as formed:
            sdk.responses.create(**asked, text=form)
    assert "createSession()" in answer.output_text
    assert answer.model_extra is not None and answer.model_extra["firstpass"]["route"] == "repaired"
    assert answer.model_extra["firstpass"]["contract"].startswith("pr-summary@")
    assert again["firstpass"] == answer.model_extra["firstpass"]
    assert again["output"][0]["content"][0]["text"] == answer.output_text
    assert two.value.param == "input" and formed.value.param == "text.format"


@pytest.mark.parametrize(("draft", "verdict"), [(NAMES, "kept"), (OMITS, "replaced")])
def test_an_optimistic_stream_says_at_its_end_what_became_of_it(front: Front, draft: str, verdict: str) -> None:
    extra = {"firstpass": {"contract": "pr-summary@3", "optimistic": True}}
    with official(front, openai_app(says(draft))) as (sdk, _):
        stream = sdk.responses.stream(model="firstpass", input=DIFF, extra_body=extra)
        with stream as opened:
            events = list(opened)
    shown = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    (done,) = [event.text for event in events if event.type == "response.output_text.done"]
    assert events[-1].type == "response.completed" and events[-1].response.model_extra is not None
    assert events[-1].response.model_extra["firstpass"]["verdict"] == verdict
    assert shown == draft and "createSession()" in done and events[-1].response.output_text == done


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}]}, "input.0.content.0"),
        ({"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}]}, "input.0.content.0"),
        ({"input": [{"role": "user", "content": [{"type": "text", "text": "a"}]}]}, "input.0.content.0.type"),
        ({"input": [{"role": "user", "content": [{"text": "a"}]}]}, "input.0.content.0.type"),
        ({"input": [{"type": "local_shell_call", "call_id": "c"}]}, "input.0.type"),
        ({"input": [{"type": "custom_tool_call", "call_id": "c", "name": "n"}]}, "input.0.input"),
        ({"input": [{"type": "custom_tool_call_output", "call_id": "c", "output": "o"}]}, "input.0.call_id"),
        ({"tools": [{"type": "custom", "name": "n", "format": {"type": "json"}}]}, "tools.0.format.type"),
        ({"input": [{"type": "function_call_output", "call_id": "c", "output": "o"}]}, "input.0.call_id"),
        ({"input": [{"type": "none"}]}, "input.0.type"),
        ({"input": []}, "input"),
        ({"tools": [FLAT_TOOL | {"name": "a b"}]}, "tools.0.name"),
        ({"tools": [{"type": "web\nsearch"}]}, "tools.0.type"),
        ({"tools": [FLAT_TOOL | {"strict": True, "parameters": {"enum": ["x" * 20_000]}}]}, "tools.0.parameters"),
        ({"tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": []}}, "tool_choice.type"),
        ({"tool_choice": "required", "tools": [{"type": "web_search"}]}, "tool_choice"),
        ({"include": ["file_search_call.names"]}, "include.0"),
        ({"reasoning": {"summary": "brief"}}, "reasoning.summary"),
        ({"presence_penalty": 3}, "presence_penalty"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"text": {"format": {"type": "json_schema", "name": "n"}}}, "text.format.schema"),
        ({"background": True}, "background"),
        ({"background": 0}, "background"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"prompt": {"id": "p"}}, "prompt"),
        ({"stop": ["x"]}, "stop"),
        ({"previous_response_id": "resp_ex_0"}, "previous_response_id"),
        ({"previous_response_id": "x"}, "previous_response_id"),
        ({"model": "strong"}, "model"),
    ],
)
def test_what_can_not_be_met_is_an_error_that_names_it(shared: httpx.Client, wrong: dict[str, Any], param: str) -> None:
    answer = shared.post("/v1/responses", json={"model": "local", "input": "hi"} | wrong)
    assert answer.status_code in (400, 404), answer.text
    error = answer.json()["error"]
    assert error["param"] == param and error["type"] in ("invalid_request_error", "not_found_error"), error


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """One front for the requests that are refused before anyone is asked."""
    with serving(messages_app(echo)) as engine:
        wanted = {
            "engine": {"kind": "external", "url": f"{engine}/v1"},
            "server": {"data_dir": tmp_path_factory.mktemp("d")},
        }
        with serving(app.build(Settings.model_validate(wanted))) as url, httpx.Client(base_url=url) as client:
            yield client


@pytest.mark.parametrize(
    ("path", "param"),
    [("?stream=true", "stream"), ("?starting_after=3", "starting_after"), ("/input_items?limit=0", "limit")],
)
def test_a_query_that_can_not_be_met_is_an_error_that_names_it(shared: httpx.Client, path: str, param: str) -> None:
    answer = shared.get(f"/v1/responses/resp_ex_0{path}")
    assert answer.status_code == 400 and answer.json()["error"]["param"] == param


def broken_app() -> Any:
    """Its streams end in the middle."""
    engine = messages_app(lambda body: {"content": "whole"})
    (route,) = [route for route in engine.router.routes if route.path == "/v1/chat/completions"]
    engine.router.routes.remove(route)

    @engine.post("/v1/chat/completions", response_model=None)
    async def chat(request: Request) -> Any:
        answer = await route.endpoint(request)
        if not (await request.json()).get("stream"):
            return answer
        return PlainResponse(answer.body.partition(b'"finish_reason": "stop"')[0].rpartition(b"data: ")[0])

    return engine


def test_a_stream_that_breaks_ends_with_a_failed_response(front: Front) -> None:
    with official(front, broken_app()) as (sdk, _):
        events = list(sdk.responses.create(model="local", input="Weather?", stream=True))
        kept = sdk.responses.retrieve(events[0].response.id)
        with pytest.raises(openai.BadRequestError) as failed:
            sdk.responses.create(model="local", input="on", previous_response_id=kept.id)
    assert "response.output_text.delta" in [event.type for event in events]
    assert events[-1].type == "response.failed" and events[-1].response.error is not None
    assert events[-1].response.error.code == "server_error" and "broke off" in events[-1].response.error.message
    assert kept.status == "failed" and kept.output == [] and failed.value.param == "previous_response_id"


PATCH = {"type": "custom", "name": "ApplyPatch", "format": {"type": "grammar"}}


@pytest.mark.parametrize("stream", [False, True])
def test_cursor_sends_responses_bodies_to_chat_completions_and_gets_a_chat(front: Front, stream: bool) -> None:
    engine = messages_app(calling, "tool_calls")
    asked = {
        "model": "local",
        "user": "u",
        "input": [{"role": "system", "content": "You are in Cursor."}, {"role": "user", "content": ASKED["input"]}],
        "tools": [FLAT_TOOL, PATCH, {"type": "namespace", "name": "more", "tools": [PATCH]}],
        "stream": stream,
        **({"stream_options": {"include_usage": True}} if stream else {}),
    }
    with official(front, engine) as (_, client):
        answer = client.post("/v1/chat/completions", json=asked)
        referring = client.post("/v1/chat/completions", json={"model": "local", "input": [{"id": "msg_ex_0"}]})
        neither = client.post("/v1/chat/completions", json={"model": "local"})
    assert answer.headers["x-firstpass-skipped-tools"] == "custom,custom"
    if stream:
        chunks = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: {")]
        assert chunks[-1]["usage"]["total_tokens"] == 24 and answer.text.endswith("data: [DONE]\n\n")
        assert chunks[0]["object"] == "chat.completion.chunk"
    else:
        assert answer.json()["choices"][0]["message"]["tool_calls"] == CALLS
    assert [turn["role"] for turn in engine.state.seen[-1]["messages"]] == ["system", "user"]
    assert (referring.json()["error"]["param"], neither.json()["error"]["param"]) == ("input.0.id", "messages")
