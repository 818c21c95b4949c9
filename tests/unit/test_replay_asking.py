"""What a recorded request is asked again with: the same, or a reason why not; and where it may go."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.datastructures import Headers

from firstpass.chat import Image, Message, Reasoning, Sampling, ToolCall
from firstpass.dialect.anthropic import read_request as anthropic_in
from firstpass.dialect.openai import read_request as openai_in
from firstpass.dialect.openai.read_request import Caller
from firstpass.dialect.responses import read_request as responses_in
from firstpass.exchange import CEILINGS, Ask, Ceiling, Exchange, strictest
from firstpass.house import House
from firstpass.replay.answer import Answered
from firstpass.replay.asking import NOT_ASKED, Again, Unfit, again, directed
from firstpass.replay.ceiling import withheld
from firstpass.replay.steady import doubts, steadied
from tests.unit.test_round_trips import anthropic_asks, openai_asks

READ = {
    "/infer": openai_in.infer,
    "/v1/chat/completions": openai_in.chat,
    "/v1/completions": openai_in.completion,
    "/v1/messages": anthropic_in.messages,
}
PIXEL = Image(
    "image/png", "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGP4z8DwHwAFAAH/iZk9HQAAAABJRU5ErkJggg=="
)
HELLO = Message("user", "hello")
EXAMPLES = settings(max_examples=60, derandomize=True)


def asked(*messages: Message, **fields: Any) -> Ask:
    return Ask("ex_1", 0.0, "chat", "local", "local", messages or (HELLO,), **fields)


def made(ask: Ask) -> Again:
    found = again(Exchange(ask))
    assert isinstance(found, Again), found
    return found


def read_back(ask: Ask, made: Again, ceiling: Ceiling = "any") -> Ask:
    """As a server would read it that has whatever the request names."""
    house = House(
        {ask.model: ask.target},
        {ask.contract: ask.contract} if ask.contract else {},
        ceiling,
        repositories=lambda: [ask.repository or ""],
        seeing=frozenset({"local"}),
    )
    body = directed(made, ask.model, None, kept_of=None)
    assert not isinstance(body, Unfit)
    return READ[made.path](json.dumps(body).encode(), Caller(Headers(made.headers), None), house)


def like(read: Ask, ask: Ask) -> Ask:
    return replace(read, **{name: getattr(ask, name) for name in NOT_ASKED})


@EXAMPLES
@given(openai_asks(), st.sampled_from(CEILINGS))
def test_a_chat_is_asked_again_as_it_was_asked(ask: Ask, ceiling: Ceiling) -> None:
    ask = replace(ask, ceiling=ceiling, user="who", metadata={"a": "b"})
    assert like(read_back(ask, made(ask)), ask) == ask


@EXAMPLES
@given(anthropic_asks())
def test_a_chat_of_anthropic_s_api_is_asked_again_as_it_was_asked(ask: Ask) -> None:
    """Its thoughts, prefilled answers and failed tools have no word in the other API."""
    ask = replace(ask, forwarded={"anthropic-version": "2023-06-01"}, user="who")
    again_ = made(ask)
    assert again_.path == "/v1/messages" and again_.lost == ()
    assert like(read_back(ask, again_), ask) == ask


def test_a_header_that_can_not_be_written_is_lost_and_said() -> None:
    ask = replace(asked(Message("user", "hello")), dialect="anthropic", forwarded={"anthropic-beta": "\u2603"})
    again_ = made(ask)
    assert again_.path == "/v1/chat/completions" and again_.lost == ("the headers anthropic-beta",)


@EXAMPLES
@given(st.text(max_size=9), st.none() | st.integers(0, 20), st.none() | st.booleans())
def test_a_completion_is_asked_again_as_it_was_asked(prompt: str, logprobs: int | None, echo: bool | None) -> None:
    ask = asked(Message("user", prompt), sampling=Sampling(logprobs=logprobs, echo=echo, max_tokens=3))
    ask = replace(ask, kind="completion", logprobs_required=logprobs is not None)
    assert like(read_back(ask, made(ask)), ask) == ask


@EXAMPLES
@given(st.text(max_size=9), st.none() | st.integers(1, 9), st.none() | st.floats(0, 2))
def test_a_prompt_of_the_origin_s_is_asked_again_as_it_was_asked(
    prompt: str, limit: int | None, temperature: float | None
) -> None:
    """In a chat its log-probabilities would be a demand, which some verifiers can't meet."""
    sampling = Sampling(max_tokens=limit, temperature=temperature, logprobs=True)
    ask = asked(Message("user", prompt), sampling=sampling, dialect="infer")
    assert made(ask).path == "/infer" and like(read_back(ask, made(ask)), ask) == ask


@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
def test_images_stand_where_they_stood_in_what_a_tool_read_too(dialect: Any) -> None:
    called = Message("assistant", "", tool_calls=(ToolCall("c1", "look", "{}"),))
    seen = Message("tool", "a\nb", tool_call_id="c1", images=(replace(PIXEL, at=1),))
    shown = Message("user", "what is it?", images=(PIXEL,))
    ask = asked(HELLO, called, replace(seen, content="ab"), shown, dialect=dialect, sampling=Sampling(max_tokens=9))
    assert like(read_back(ask, made(ask)), ask) == ask


async def test_a_request_of_the_responses_api_is_asked_again_with_all_that_it_went_on_with() -> None:
    """Tools of namespaces and custom ones are functions to a model, and earlier turns are a part of the request."""
    query = {"type": "function", "name": "query", "parameters": {"type": "object"}}
    called = {"type": "function_call", "call_id": "c1", "name": "query", "namespace": "mcp__docs__", "arguments": "{}"}
    body = {
        "model": "local",
        "instructions": "Be kind.",
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "hello"}]},
            {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}]},
            called,
            {"type": "function_call_output", "call_id": "c1", "output": "42"},
            {"role": "user", "content": [{"type": "input_image", "image_url": PIXEL.url}]},
        ],
        "tools": [
            {"type": "namespace", "name": "mcp__docs__", "description": "The manual.", "tools": [query]},
            {"type": "custom", "name": "patch", "description": "Edits."},
        ],
        "text": {"format": {"type": "json_schema", "name": "a", "schema": {"type": "object"}, "strict": True}},
        "reasoning": {"effort": "low"},
        "max_output_tokens": 99,
        "metadata": {"a": "b"},
    }
    house = House({"local": "local"}, {}, "any", seeing=frozenset({"local"}))

    async def recall(exchange_id: str, key: str | None) -> Exchange:
        raise AssertionError("nothing is referred to")

    ask = await responses_in.responses(json.dumps(body).encode(), Caller(Headers({}), None), house, recall, 10_000)
    assert len(ask.messages) == 5 and ask.messages[-1].images and ask.sampling.tools is not None
    assert like(read_back(ask, made(ask)), ask) == ask


def test_a_contract_keeps_its_version_and_another_one_takes_its_place() -> None:
    ask = asked(contract="pr-summary@3", repository="shop")
    body = directed(made(ask), "strong", None, kept_of=None)
    other = directed(made(ask), "strong", "pr-summary@4", kept_of="ex_1")
    assert not isinstance(body, Unfit) and not isinstance(other, Unfit)
    said = {"contract": "pr-summary@3", "repository": "shop", "egress": "local-only", "store": False}
    assert body["firstpass"] == said and body["model"] == "strong"
    assert other["firstpass"] == said | {"contract": "pr-summary@4", "store": True}
    assert other["metadata"] == {"replay_of": "ex_1"}


def test_no_session_is_gone_on_with() -> None:
    assert "session" not in json.dumps(dict(made(asked(session="s")).fields))


def test_full_metadata_has_no_room_for_what_is_repeated() -> None:
    ask = asked(metadata={str(number): "" for number in range(16)})
    kept = directed(made(ask), "local", None, kept_of="ex_1")
    assert isinstance(kept, Unfit) and "no room" in kept.why
    assert not isinstance(directed(made(ask), "local", None, kept_of=None), Unfit)


@pytest.mark.parametrize(
    ("ask", "why"),
    [
        (asked(store=False), "not in the record"),
        (asked(shadows="ex_0"), "shadow"),
        (replace(asked(), kind="embedding"), "no vectors"),
        (asked(HELLO, Message("assistant", "Hi"), continues=True), "goes on with the last message"),
        (asked(sampling=Sampling(thinking_tokens=2048)), "thinking_tokens would differ"),
        (asked(HELLO, Message("assistant", "", reasoning=Reasoning("", redacted="x"))), "messages would differ"),
        (asked(HELLO, Message("tool", "no", tool_call_id="c", tool_failed=True)), "messages would differ"),
    ],
)
def test_what_would_be_another_request_is_not_sent(ask: Ask, why: str) -> None:
    found = again(Exchange(ask))
    assert isinstance(found, Unfit) and why in found.why


def test_a_thought_that_somebody_sealed_is_asked_without_its_seal_and_that_is_said() -> None:
    ask = asked(HELLO, Message("assistant", "Hi", reasoning=Reasoning("hm", signature="x")), HELLO, dialect="responses")
    assert made(ask).lost == ("the seals of earlier thoughts",)


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080", "http://[::1]:1", "https://localhost"])
@pytest.mark.parametrize("ceiling", CEILINGS)
def test_a_server_on_this_machine_is_asked_whatever_the_ceiling(url: str, ceiling: Ceiling) -> None:
    assert withheld(ceiling, url, explicit=False) is None


@pytest.mark.parametrize(
    "url",
    [
        "http://10.0.0.1",
        "https://models.example/v1",
        "http://127.0.0.1@models.example",
        "http://localhost.example",
        "x",
    ],
)
def test_another_machine_gets_only_what_may_go_anywhere_and_only_where_it_was_named(url: str) -> None:
    assert withheld("any", url, explicit=True) is None
    assert "only --url or --arm" in (withheld("any", url, explicit=False) or "")
    for ceiling in ("local-only", "redacted"):
        assert f"ceiling is {ceiling}" in (withheld(ceiling, url, explicit=True) or "")


@pytest.mark.parametrize("was", CEILINGS)
@pytest.mark.parametrize("house", CEILINGS)
def test_no_server_makes_the_ceiling_higher(was: Ceiling, house: Ceiling) -> None:
    ask = asked(ceiling=was)
    assert read_back(ask, made(ask), house).ceiling == strictest(was, house)


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (asked(), {"temperature": 0, "seed": 1}),
        (asked(sampling=Sampling(temperature=0.7, seed=4)), {"temperature": 0}),
        (asked(sampling=Sampling(n=2)), {"seed": 1}),
        (asked(contract="pr-summary@4"), {}),
        (asked(contract="pr-summary@4", sampling=Sampling(temperature=1)), {"temperature": 0, "seed": 1}),
        (asked(dialect="anthropic", sampling=Sampling(max_tokens=9)), {"temperature": 0}),
        (asked(dialect="anthropic", sampling=Sampling(max_tokens=9000, thinking_tokens=2048)), {}),
    ],
)
def test_what_a_caller_left_open_is_decoded_the_same_way_each_time(ask: Ask, said: dict[str, Any]) -> None:
    assert steadied(ask, made(ask)) == said


def test_why_an_answer_may_be_another_one_is_said() -> None:
    drawn = list(doubts(asked(sampling=Sampling(n=3)), {}, Answered()))
    assert drawn == ["3 answers of one request are drawn, and not the likeliest"]
    assert "without a temperature" in next(doubts(asked(), {}, Answered()))
    assert "temperature 0.5, without a seed" in next(doubts(asked(), {"temperature": 0.5}, Answered()))
    hosted = list(doubts(asked(), {"temperature": 0}, Answered(route="strong")))
    assert len(hosted) == 1 and "a verifier" in hosted[0]
    assert not list(doubts(asked(), {"temperature": 0}, Answered(route="draft")))
    placed = list(doubts(asked(experiment="e", arm="b"), {"temperature": 0}, Answered(experiment="e/a")))
    assert placed == ["the server made it part of its experiment e/a", "then it was in arm b of the experiment e"]
