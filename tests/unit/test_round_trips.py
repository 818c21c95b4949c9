"""A request that a dialect writes is read by the same dialect as what was asked.

Each strategy makes what its dialect can say, and says what it makes in one form alone: the one that is read back. For
any other chat, what is read of it once is then written and read without change.
"""

import json
from dataclasses import replace
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st
from starlette.datastructures import Headers

from firstpass.chat import Abilities, Message, Reasoning, Sampling, Tool, ToolCall, ToolChoice
from firstpass.dialect.anthropic import read_request as anthropic_in
from firstpass.dialect.anthropic import write_request as anthropic_out
from firstpass.dialect.openai import read_request as openai_in
from firstpass.dialect.openai import write_request as openai_out
from firstpass.dialect.openai.read_request import Caller
from firstpass.errors import BadAsk
from firstpass.exchange import Ask
from firstpass.house import House
from tests.unit.spoken import arguments, leaves, objects, some_text, words

HOUSE = House({"local": "local"}, {}, "local-only")
CALLER = Caller(Headers({}), None)
VLLM = Abilities(logprobs=True, vllm=True)
EXAMPLES = settings(max_examples=150, derandomize=True)

T = st.none
counts = st.integers(1, 2**40)
names = st.from_regex(r"[a-zA-Z0-9_-]{1,64}", fullmatch=True)
units = st.floats(0, 1, exclude_min=True)
penalties = T() | st.floats(-2, 2)
called = st.builds(ToolCall, some_text, some_text, arguments)
calls = st.lists(called, max_size=3).map(tuple)


def tools_of(parameters: st.SearchStrategy[dict[str, Any] | None]) -> st.SearchStrategy[tuple[Tool, ...] | None]:
    tool = st.builds(Tool, names, T() | words, parameters, T() | st.booleans())
    return T() | st.lists(tool, min_size=1, max_size=3).map(tuple)


def choice_of(tools: tuple[Tool, ...] | None) -> st.SearchStrategy[ToolChoice | None]:
    """One that these tools can meet."""
    if tools is None:
        return T()
    named = st.sampled_from([tool.name for tool in tools]).map(lambda name: ToolChoice("named", name))
    return T() | named | st.sampled_from([ToolChoice("auto"), ToolChoice("none"), ToolChoice("required")])


@st.composite
def openai_sampling(draw: st.DrawFn) -> Sampling:
    """top_logprobs comes with logprobs alone."""
    tools = draw(tools_of(T() | objects))
    logprobs = draw(T() | st.booleans())
    return Sampling(
        max_tokens=draw(T() | counts),
        temperature=draw(T() | st.floats(0, 2)),
        top_p=draw(T() | units),
        n=draw(T() | st.integers(1, 8)),
        stop=draw(T() | st.lists(words, min_size=1, max_size=32).map(tuple)),
        seed=draw(T() | st.integers(-(2**63), 2**63)),
        logprobs=logprobs,
        top_logprobs=draw(T() | st.integers(0, 20)) if logprobs else None,
        logit_bias=draw(T() | st.dictionaries(words, st.floats(-100, 100), max_size=2)),
        presence_penalty=draw(penalties),
        frequency_penalty=draw(penalties),
        response_format=draw(T() | objects),
        tools=tools,
        tool_choice=draw(choice_of(tools)),
        parallel_tool_calls=draw(T() | st.booleans()),
        reasoning_effort=draw(T() | words),
        top_k=draw(T() | st.integers(-1, 2**31)),
        min_p=draw(T() | st.floats(0, 1)),
        repetition_penalty=draw(T() | st.floats(0, 10, exclude_min=True)),
        chat_template_kwargs=draw(T() | st.dictionaries(st.sampled_from(["enable_thinking", "a"]), leaves, max_size=2)),
    )


@st.composite
def openai_messages(draw: st.DrawFn) -> Message:
    """Thoughts have words and no seal, calls have arguments; that a tool failed is said in its text alone."""
    role = draw(st.sampled_from(["system", "developer", "user", "assistant", "tool"]))
    by_model = role == "assistant"
    return Message(
        role,  # type: ignore[arg-type]
        draw(words),
        name=draw(T() | words),
        tool_calls=draw(calls) if by_model else (),
        tool_call_id=draw(words) if role == "tool" else None,
        reasoning=draw(T() | st.builds(Reasoning, some_text)) if by_model else None,
    )


def asked(messages: tuple[Message, ...], sampling: Sampling, **more: Any) -> Ask:
    return Ask("ex_1", 0.0, "chat", "local", "local", messages, sampling, **more)


@st.composite
def openai_asks(draw: st.DrawFn) -> Ask:
    """A stream always asks for its usage. Who asks, and what for, is not sent on: no user, no metadata, no store."""
    sampling, stream = draw(openai_sampling()), draw(st.booleans())
    ask = asked(tuple(draw(st.lists(openai_messages(), min_size=1, max_size=6))), sampling, stream=stream)
    limit = draw(st.sampled_from(["max_tokens", "max_completion_tokens"])) if sampling.max_tokens else "max_tokens"
    return replace(ask, include_usage=stream, limit_name=limit, logprobs_required=bool(sampling.logprobs))


def through_openai(ask: Ask, reader: Any = openai_in.chat) -> Ask:
    raw = openai_out.body_of(ask, ask.model, VLLM, stream=ask.stream, watched=False, max_tokens_name=ask.limit_name)
    read: Ask = reader(raw, CALLER, HOUSE)
    return replace(read, id=ask.id, received_unix=ask.received_unix)


@EXAMPLES
@given(openai_asks())
def test_a_chat_that_is_written_for_openai_is_read_as_it_was_asked(ask: Ask) -> None:
    assert through_openai(ask) == ask


@EXAMPLES
@given(words, st.builds(Sampling, max_tokens=T() | counts, logprobs=T() | st.integers(0, 20), echo=T() | st.booleans(),
                        suffix=T() | words))  # fmt: skip
def test_a_completion_that_is_written_is_read_as_it_was_asked(prompt: str, sampling: Sampling) -> None:
    ask = replace(asked((Message("user", prompt),), sampling), kind="completion")
    ask = replace(ask, logprobs_required=sampling.logprobs is not None)
    assert through_openai(ask, openai_in.completion) == ask


@EXAMPLES
@given(st.lists(words, min_size=1, max_size=4), T() | counts, T() | st.sampled_from(["float", "base64"]))
def test_texts_to_embed_that_are_written_are_read_as_they_were_asked(
    texts: list[str], dimensions: int | None, form: Any
) -> None:
    sampling = Sampling(dimensions=dimensions, encoding_format=form)
    ask = replace(asked(tuple(Message("user", text) for text in texts), sampling), kind="embedding")
    assert through_openai(ask, openai_in.embeddings) == ask


@st.composite
def anthropic_sampling(draw: st.DrawFn) -> Sampling:
    """A limit is always said. A schema of a tool is of an object, one of an answer is strict and called `answer`.

    `parallel_tool_calls` is false, with a choice that lets the model call, or not said. How much is thought is said as
    a budget below the limit, as none, or left to the model; an effort of none is the second of these.
    """
    limit = draw(st.integers(1, 2**40))
    tools = draw(tools_of(objects.map(lambda schema: {"type": "object"} | schema)))
    choice = draw(choice_of(tools))
    single = choice is not None and choice.mode != "none" and draw(st.booleans())
    budgets = st.integers(1024, limit - 1) if limit > 1024 else st.just(0)
    thinking = draw(T() | st.just(0) | budgets)
    adaptive = draw(T() | st.just(True)) if thinking is None else None
    schema = draw(T() | objects)
    named = None if schema is None else {"name": "answer", "schema": schema, "strict": True}
    return Sampling(
        max_tokens=limit,
        temperature=draw(T() | st.floats(0, 1)),
        top_p=draw(T() | units),
        top_k=draw(T() | st.integers(0, 2**31)),
        stop=draw(T() | st.lists(some_text, min_size=1, max_size=16).map(tuple)),
        tools=tools,
        tool_choice=choice,
        parallel_tool_calls=False if single else None,
        thinking_tokens=thinking,
        thinks_adaptively=adaptive,
        thinking_shown=draw(T() | st.booleans()) if thinking or adaptive else None,
        reasoning_effort=draw(T() | st.sampled_from(["low", "medium", "high", "xhigh", "max"])),
        response_format=named and {"type": "json_schema", "json_schema": named},
    )


sealed = st.builds(Reasoning, words, some_text) | st.builds(lambda data: Reasoning("", redacted=data), words)
inputs = objects.map(lambda given: json.dumps(given, ensure_ascii=False))
uses = st.lists(st.builds(ToolCall, some_text, some_text, inputs), max_size=2).map(tuple)


@st.composite
def anthropic_turns(draw: st.DrawFn) -> list[Message]:
    """What is said to the model between two of its turns, and the second of these.

    Results come before the one text, and the system's words after both. A model's turn has one message more for each
    thought but its first, which is sealed or hidden; each message says something.
    """
    results = draw(st.lists(st.builds(Message, st.just("tool"), words, tool_call_id=words, tool_failed=st.booleans()),
                            max_size=2))  # fmt: skip
    said = draw(st.lists(st.builds(Message, st.just("user"), some_text), min_size=not results, max_size=1))
    told = draw(st.lists(st.builds(Message, st.just("system"), some_text), max_size=1))
    own = draw(st.lists(st.builds(Message, st.just("assistant"), words, tool_calls=uses, reasoning=T() | sealed),
                        max_size=3))  # fmt: skip
    kept = [one for one in own if one.content or one.tool_calls or one.reasoning]
    return [*results, *said, *told, *kept[:1], *(one for one in kept[1:] if one.reasoning)]


@st.composite
def anthropic_asks(draw: st.DrawFn) -> Ask:
    """One system message at most begins it."""
    system = draw(st.lists(st.builds(Message, st.just("system"), some_text), max_size=1))
    turns = draw(st.lists(anthropic_turns(), min_size=1, max_size=3))
    answered = [turn for turn in turns[:-1] if turn[-1].role == "assistant"]
    messages = [*system, *(message for turn in [*answered, turns[-1]] for message in turn)]
    last = messages[-1]
    goes_on = last.role == "assistant" and bool(last.content) and not last.tool_calls
    sampling, stream = draw(anthropic_sampling()), draw(st.booleans())
    return asked(tuple(messages), sampling, stream=stream, dialect="anthropic", continues=goes_on)


def through_anthropic(ask: Ask, *, system_turns: bool = True) -> Ask:
    raw = anthropic_out.body_of(ask, ask.model, stream=ask.stream, system_turns=system_turns, thinks=False)
    read = anthropic_in.messages(raw, CALLER, HOUSE)
    return replace(read, id=ask.id, received_unix=ask.received_unix)


@EXAMPLES
@given(anthropic_asks())
def test_a_chat_that_is_written_for_anthropic_is_read_as_it_was_asked(ask: Ask) -> None:
    assert through_anthropic(ask) == ask


@EXAMPLES
@given(openai_asks() | anthropic_asks(), st.booleans())
def test_what_anthropic_s_dialect_makes_of_any_chat_it_makes_of_that_again(ask: Ask, system_turns: bool) -> None:
    """It refuses what it can not say; what it writes is a request, unless nobody says anything, or stops at nothing."""
    assume(any(message.role == "tool" or message.content or message.tool_calls for message in ask.messages))
    sampling = replace(ask.sampling, n=None, logprobs=None, logit_bias=None, presence_penalty=None, seed=None)
    ask = replace(ask, sampling=replace(sampling, frequency_penalty=None, repetition_penalty=None, min_p=None))
    ask = replace(ask, sampling=replace(ask.sampling, stop=tuple(filter(None, ask.sampling.stop or ()))[:16] or None))
    try:
        anthropic_out.body_of(ask, ask.model, stream=ask.stream, system_turns=system_turns, thinks=False)
    except BadAsk:
        return
    read = through_anthropic(ask, system_turns=system_turns)
    assert through_anthropic(read, system_turns=system_turns) == read


def test_a_chat_of_nothing_but_the_system_s_words_is_a_turn_for_anthropic() -> None:
    """It was a list of no messages, which the API refuses."""
    ask = asked((Message("system", "Say hi."), Message("user", "")), Sampling())
    assert through_anthropic(ask).messages == (Message("user", "<system>\nSay hi.\n</system>"),)


@EXAMPLES
@given(anthropic_asks())
def test_what_openai_s_dialect_makes_of_a_chat_of_anthropic_s_it_makes_of_that_again(ask: Ask) -> None:
    read = through_openai(replace(ask, stream=False, continues=False))
    assert through_openai(read) == read
