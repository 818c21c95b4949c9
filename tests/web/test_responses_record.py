"""What the record makes possible with the Responses API: going on, reading again, referring to it, deleting it."""

import json
import time
from pathlib import Path
from typing import Any

import openai
import pytest

from firstpass.chat import Message, ToolCall
from firstpass.dialect.responses.read_request import EXCHANGES_LIMIT
from firstpass.errors import TierFailed
from firstpass.exchange import Ask, Exchange, Refuse
from firstpass.store.keys import load_pepper, mint
from firstpass.store.sqlite import SqliteStore
from tests.conftest import Front, official, serving
from tests.doubles import CALLS, FLAT_TOOL, calling, echo, messages_app
from tests.machine import stretched

ASKED: dict[str, Any] = {"model": "local", "input": "Weather in Oslo and Rome?", "tools": [FLAT_TOOL]}


def test_a_conversation_goes_on_across_models_and_routes(front: Front) -> None:
    stronger = messages_app(echo)
    with serving(stronger) as url:
        verifier = {"url": f"{url}/v1", "model": "stronger", "hosted": False}
        with official(front, messages_app(echo), verifier=verifier) as (sdk, client):
            first = sdk.responses.create(model="local", input="one", instructions="Only now.")
            second = sdk.responses.create(model="strong", input="two", previous_response_id=first.id)
            third = sdk.responses.create(model="firstpass", input="three", previous_response_id=second.id)
            sdk.responses.delete(first.id)
            items = list(sdk.responses.input_items.list(third.id, order="asc", limit=2))
            newest = client.get(f"/v1/responses/{third.id}/input_items", params={"limit": 1}).json()
            rest = sdk.responses.input_items.list(third.id, after=newest["last_id"])
    assert first.output_text == "scripted 2: one"
    assert second.output_text == "stronger 3: two"
    assert third.output_text == "scripted 5: three"
    said = [part.text for item in items if item.type == "message" for part in item.content]
    assert said == ["one", "scripted 2: one", "two", "stronger 3: two", "three"]
    assert newest["has_more"] and newest["data"][0]["content"][0]["text"] == "three"
    assert len(rest.data) == 4 and not rest.has_more


def test_what_was_said_locally_only_never_goes_out_by_going_on(front: Front) -> None:
    stronger = messages_app(echo)
    with serving(stronger) as url:
        verifier = {"url": f"{url}/v1", "model": "stronger", "hosted": True}
        with official(front, messages_app(echo), verifier=verifier, policy={"egress": "any"}) as (sdk, _):
            first = sdk.responses.create(
                model="local", input="secret", extra_body={"firstpass": {"egress": "local-only"}}
            )
            item = first.output[0].id
            with pytest.raises(openai.PermissionDeniedError, match="egress ceiling"):
                sdk.responses.create(model="strong", input="go on", previous_response_id=first.id)
            with pytest.raises(openai.PermissionDeniedError, match="egress ceiling"):
                sdk.responses.create(model="strong", input=[{"type": "item_reference", "id": item}])
    assert stronger.state.seen == []


def test_a_response_is_read_again_as_it_was(front: Front) -> None:
    asked = ASKED | {"text": {"format": {"type": "json_schema", "name": "w", "schema": {"type": "object"}}}}
    asked |= {"tool_choice": {"type": "function", "name": "weather"}, "prompt_cache_key": "k", "top_p": 0.5}
    engine = messages_app(calling, "tool_calls")
    with official(front, engine) as (sdk, client):
        whole = client.post("/v1/responses", json=asked).json()
        streamed = client.post("/v1/responses", json=asked | {"stream": True}).text.strip().splitlines()[-1]
        for answer in (whole, json.loads(streamed[6:])["response"]):
            assert client.get(f"/v1/responses/{answer['id']}").json() == answer
            assert sdk.responses.retrieve(answer["id"]).output[1].type == "function_call"
    assert whole["text"]["format"] == asked["text"]["format"] | {"description": None, "strict": False}
    assert whole["tool_choice"] == asked["tool_choice"]
    assert engine.state.seen[-1]["response_format"]["json_schema"] == {"name": "w", "schema": {"type": "object"}}


def test_a_deleted_response_is_gone_and_so_are_its_words(front: Front, tmp_path: Path) -> None:
    with official(front, messages_app(echo)) as (sdk, client):
        kept = sdk.responses.create(model="local", input="petunia", metadata={"a": "begonia"})
        gone = sdk.responses.create(model="local", input="nasturtium", metadata={"a": "gladiolus"})
        sdk.responses.delete(gone.id)
        again = client.delete(f"/v1/responses/{gone.id}")
        reads = [client.get(f"/v1/responses/{gone.id}{path}") for path in ("", "/input_items")]
        with pytest.raises(openai.NotFoundError) as missing:
            sdk.responses.create(model="local", input="on", previous_response_id=gone.id)
        assert sdk.responses.retrieve(kept.id).id == kept.id
        raw = b"".join(path.read_bytes() for path in (tmp_path / "data").glob("firstpass.sqlite*"))
    assert missing.value.code == "previous_response_not_found" and missing.value.param == "previous_response_id"
    assert [answer.status_code for answer in (again, *reads)] == [404, 404, 404]
    assert again.json()["error"]["code"] == "response_not_found"
    assert (b"petunia" in raw, b"begonia" in raw, b"nasturtium" in raw, b"gladiolus" in raw) == (
        True,
        True,
        False,
        False,
    )


def test_another_key_s_response_is_not_there(front: Front, tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "data" / "firstpass.sqlite")
    pepper, keys = load_pepper(tmp_path / "data" / "pepper"), []
    for name in ("one", "two"):
        key, record = mint(name, pepper, 1.0)
        store.add_key(record)
        keys.append(key)
    store.close()
    with official(front, messages_app(echo)) as (sdk, _):
        mine, theirs = (sdk.with_options(api_key=key) for key in keys)
        answer = mine.responses.create(model="local", input="mine")
        item = {"type": "item_reference", "id": answer.output[0].id}
        for other in (theirs, sdk):
            for forbidden in (
                lambda other=other: other.responses.retrieve(answer.id),
                lambda other=other: other.responses.delete(answer.id),
                lambda other=other: other.responses.input_items.list(answer.id),
                lambda other=other: other.responses.create(model="local", input="x", previous_response_id=answer.id),
            ):
                with pytest.raises(openai.NotFoundError):
                    forbidden()
            with pytest.raises(openai.BadRequestError):
                other.responses.create(model="local", input=[item])
        assert mine.responses.retrieve(answer.id).output_text == "scripted 1: mine"


def test_an_item_of_the_record_is_referred_to_by_its_id(front: Front) -> None:
    engine = messages_app(calling, "tool_calls")
    with official(front, engine) as (sdk, client):
        answer = sdk.responses.create(**ASKED)
        asked = list(sdk.responses.input_items.list(answer.id))
        references = [{"type": "item_reference", "id": item.id} for item in (*asked, *answer.output)]
        results = [
            {"type": "function_call_output", "call_id": f"call_{city}", "output": "-"} for city in ("Oslo", "Rome")
        ]
        sdk.responses.create(model="local", input=[*references, *results], tools=[FLAT_TOOL])
        absent = client.post("/v1/responses", json={"model": "local", "input": [{"id": "msg_ex_0"}]})
    assert engine.state.seen[-1]["messages"][:2] == [
        {"role": "user", "content": ASKED["input"]},
        {"role": "assistant", "content": None, "tool_calls": CALLS},
    ]
    assert absent.status_code == 400 and absent.json()["error"]["param"] == "input.0.id"


def test_one_session_is_in_the_record_through_all_models_routes_and_dialects(front: Front, tmp_path: Path) -> None:
    stronger = messages_app(echo)
    session = {"firstpass": {"session": "s1"}}
    with serving(stronger) as url:
        verifier = {"url": f"{url}/v1", "model": "stronger", "hosted": False}
        with official(front, messages_app(echo), verifier=verifier) as (sdk, client):
            first = sdk.responses.create(model="local", input="one", extra_body=session)
            sdk.responses.create(model="strong", input="two", previous_response_id=first.id, extra_body=session)
            turns: Any = [{"role": "user", "content": "three"}]
            sdk.chat.completions.create(model="firstpass", messages=turns, extra_body=session)
            client.post("/infer", json={"model": "strong", "prompt": "four"} | session)
            sdk.responses.create(model="local", input="elsewhere")
    store = SqliteStore(tmp_path / "data" / "firstpass.sqlite")
    kept = [exchange for exchange in reversed(store.latest(10)) if exchange.ask.session == "s1"]
    store.close()
    assert [(exchange.ask.dialect, exchange.ask.model) for exchange in kept] == [
        ("responses", "local"),
        ("responses", "strong"),
        ("openai", "firstpass"),
        ("infer", "strong"),
    ]
    assert [exchange.ending.route for exchange in kept] == ["draft", "strong", "draft", "strong"]
    assert kept[1].ask.previous == kept[0].ask.id


def test_few_bytes_of_references_can_not_make_a_prompt_of_any_length(front: Front) -> None:
    """A body of 5 kB that referred a hundred times to one input of 1 MB had the engine read 100 MB."""
    engine, limit = messages_app(lambda body: {"content": "ok"}), {"body_limit_bytes": 20_000}
    with official(front, engine, server=limit) as (sdk, client):
        first = sdk.responses.create(model="local", input="word " * 2_000)
        item = sdk.responses.input_items.list(first.id).data[0].id

        def refer(times: int, **more: Any) -> Any:
            references = [{"type": "item_reference", "id": item}] * times
            return client.post("/v1/responses", json={"model": "local", "input": references, **more})

        once, twice, beside = refer(1), refer(2), refer(1, previous_response_id=first.id)
        second = sdk.responses.create(model="local", input="on " * 4_000, previous_response_id=first.id)
        asked = len(engine.state.seen)
        on = client.post("/v1/responses", json={"model": "local", "input": "x", "previous_response_id": second.id})
    assert [answer.status_code for answer in (once, twice, beside, on)] == [200, 400, 400, 400]
    params = [answer.json()["error"]["param"] for answer in (twice, beside, on)]
    assert params == ["input.1.id", "input.0.id", "previous_response_id"]
    assert "over the limit of 20000 characters" in twice.text and len(engine.state.seen) == asked


def test_references_to_a_long_conversation_are_found_in_little_time(front: Front) -> None:
    """Every reference made all items of its exchange anew: 3,000 of them to 3,000 items took 88 s."""
    turns = [{"role": "user", "content": f"turn {number}"} for number in range(3_000)]
    engine = messages_app(echo)
    with official(front, engine) as (sdk, client):
        first = sdk.responses.create(model="local", input=turns)
        exchange = first.id.removeprefix("resp_")
        references = [{"type": "item_reference", "id": f"msg_{exchange}_in{number}"} for number in range(3_000)]
        begun = time.monotonic()
        answer = client.post("/v1/responses", json={"model": "local", "input": references})
        took = time.monotonic() - begun
    assert answer.status_code == 200 and took < stretched(20)
    assert engine.state.seen[-1]["messages"] == engine.state.seen[-2]["messages"]


def test_only_so_many_responses_are_read_for_one_request(front: Front) -> None:
    references = [{"type": "item_reference", "id": f"msg_ex_{number:x}"} for number in range(EXCHANGES_LIMIT + 1)]
    with official(front, messages_app(echo)) as (_, client):
        over = client.post("/v1/responses", json={"model": "local", "input": references}).json()["error"]
        under = client.post("/v1/responses", json={"model": "local", "input": references[1:]}).json()["error"]
    assert (over["param"], under["param"]) == ("input", "input.0.id") and "257 responses" in over["message"]


def test_an_item_that_this_api_can_not_take_is_not_there(front: Front, tmp_path: Path) -> None:
    """A call without an id, which chats could have, was a 500 where it was referred to. Old records still have some."""
    store = SqliteStore(tmp_path / "data" / "firstpass.sqlite")
    messages = (Message("user", "hi"), Message("assistant", "", tool_calls=(ToolCall("", "f", "{}"),)))
    ended = Refuse(TierFailed("broke").failure)
    store.append(Exchange(Ask("ex_ab", 1.0, "chat", "local", "local", messages), ending=ended, seconds=1.0))
    store.close()
    call = {"id": "", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    use = {"type": "tool_use", "id": "", "name": "f", "input": {}}
    with official(front, messages_app(echo)) as (_, client):
        item = {"type": "item_reference", "id": "fc_ex_ab_in1"}
        referred = client.post("/v1/responses", json={"model": "local", "input": [item]})
        turns = [{"role": "assistant", "tool_calls": [call]}]
        chat = client.post("/v1/chat/completions", json={"model": "local", "messages": turns})
        turns = [{"role": "assistant", "content": [use]}]
        message = client.post("/v1/messages", json={"model": "local", "max_tokens": 9, "messages": turns})
    assert [answer.status_code for answer in (referred, chat, message)] == [400, 400, 400]
    assert referred.json()["error"]["param"] == "input.0.id"
    assert chat.json()["error"]["param"] == "messages.0.tool_calls.0.id"
    assert "messages.0.content.0.id" in message.text
