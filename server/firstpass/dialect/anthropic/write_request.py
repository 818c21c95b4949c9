"""An ask as the body of an Anthropic request. Knows no connection; what the API has no word for is a BadAsk.

Sources: the Messages API reference with its pages on mid-conversation system messages, structured outputs and thinking;
the types of anthropic-sdk-python 2.12.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, takewhile
from typing import Any, NoReturn

from firstpass.chat import Image, Message, Sampling, Tool, ToolChoice
from firstpass.dialect.anthropic.blocks import as_object
from firstpass.dialect.thinking import THOUGHT_TOKENS
from firstpass.errors import BadAsk
from firstpass.exchange import Ask, TierName

PART: TierName = "verifier"
"""Only verifiers are asked in this dialect."""

DEFAULT_MAX_TOKENS = 8192
"""The API wants a limit. This is for callers that give none, with room for thoughts beside it."""

EFFORTS = ("none", "low", "medium", "high", "xhigh", "max")
"""With none there is no thinking."""

CHOICES = {"auto": "auto", "none": "none", "required": "any", "named": "tool"}
SYSTEM = ("system", "developer")

Block = dict[str, Any]


def body_of(ask: Ask, model: str, *, stream: bool, system_turns: bool, thinks: bool) -> bytes:
    """The wire request. system_turns, thinks: as of AnthropicTier. Raises: BadAsk.

    The API wants a turn beside the system's words: where nothing else is said, they are one, as they are elsewhere.
    """
    _refuse_foreign(ask)
    leading = len(list(takewhile(_is_system, ask.messages)))
    if not any(map(_speaks, ask.messages[leading:])):
        leading = 0
    fields: dict[str, Any] = {"model": model, "max_tokens": _max_tokens(ask.sampling, thinks=thinks)}
    if system := _texts(ask.messages[:leading]):
        fields["system"] = system
    later = [pair for pair in enumerate(ask.messages) if pair[0] >= leading and _speaks(pair[1])]
    fields["messages"] = list(_turns(later, system_turns=system_turns))
    fields |= _sampling(ask.sampling) | _thinking(ask.sampling) | _output(ask.sampling) | _tools(ask.sampling)
    if stream:
        fields["stream"] = True
    return json.dumps(fields).encode()


def _bad(message: str, param: str) -> NoReturn:
    raise BadAsk(f"{param}: {message}", part=PART, param=param)


def foreign(ask: Ask) -> tuple[str, ...]:
    """What would change the answer and can not be said here; a field at its default changes nothing."""
    asked = ask.sampling
    wanted = {
        "prompt": ask.kind != "chat",
        "n": asked.n not in (None, 1),
        "logprobs": ask.logprobs_required and bool(asked.logprobs),
        "logit_bias": bool(asked.logit_bias),
        "presence_penalty": bool(asked.presence_penalty),
        "frequency_penalty": bool(asked.frequency_penalty),
        "min_p": asked.min_p not in (None, 0),
        "repetition_penalty": asked.repetition_penalty not in (None, 1),
        "chat_template_kwargs": bool(asked.chat_template_kwargs),
        "seed": asked.seed is not None and "seed" not in ask.wishes,
        "temperature": (asked.temperature or 0) > 1,
    }
    return tuple(param for param, is_asked in wanted.items() if is_asked)


def _refuse_foreign(ask: Ask) -> None:
    """Raises: BadAsk."""
    for param in foreign(ask):
        why = "where 1 is the highest" if param == "temperature" else "which has nothing like it"
        _bad(f"the verifier speaks the Anthropic API, {why}", param)


def _max_tokens(asked: Sampling, *, thinks: bool) -> int:
    if asked.max_tokens is not None:
        return asked.max_tokens
    return DEFAULT_MAX_TOKENS + (asked.thinking_tokens or (THOUGHT_TOKENS if thinks else 0))


def _sampling(asked: Sampling) -> dict[str, Any]:
    """A top_k of -1 is vLLM's for all tokens, which is what a request without one means."""
    fields = {
        "temperature": asked.temperature,
        "top_p": asked.top_p,
        "top_k": None if asked.top_k == -1 else asked.top_k,
        "stop_sequences": list(asked.stop) if asked.stop else None,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _thinking(asked: Sampling) -> dict[str, Any]:
    """Where the caller says nothing, the model's own default holds: the newer ones think, the older ones do not."""
    if asked.thinking_tokens == 0 or (asked.thinking_tokens is None and asked.reasoning_effort == "none"):
        return {"thinking": {"type": "disabled"}}
    if asked.thinks_adaptively:
        wish: dict[str, Any] = {"type": "adaptive"}
    elif asked.thinking_tokens is not None:
        wish = {"type": "enabled", "budget_tokens": asked.thinking_tokens}
    else:
        return {}
    if asked.thinking_shown is not None:
        wish["display"] = "summarized" if asked.thinking_shown else "omitted"
    return {"thinking": wish}


def _output(asked: Sampling) -> dict[str, Any]:
    config: dict[str, Any] = {}
    if asked.reasoning_effort not in (None, "none"):
        if asked.reasoning_effort not in EFFORTS:
            _bad(f"the verifier has none, {', '.join(EFFORTS)}", "reasoning_effort")
        config["effort"] = asked.reasoning_effort
    if (schema := _schema(asked.response_format)) is not None:
        config["format"] = {"type": "json_schema", "schema": schema}
    return {"output_config": config} if config else {}


def _schema(response_format: dict[str, Any] | None) -> dict[str, Any] | None:
    """The schema that an answer has to match; it is always kept strictly here."""
    if response_format is None or response_format.get("type") == "text":
        return None
    named = response_format.get("json_schema")
    schema = named.get("schema") if isinstance(named, dict) else None
    if response_format.get("type") != "json_schema" or not isinstance(schema, dict):
        _bad("the verifier speaks the Anthropic API, which needs a json_schema with a schema", "response_format")
    return schema


def _tools(asked: Sampling) -> dict[str, Any]:
    if not asked.tools:
        return {}
    fields: dict[str, Any] = {"tools": [_tool(tool) for tool in asked.tools]}
    one_at_a_time = asked.parallel_tool_calls is False
    if asked.tool_choice is not None or one_at_a_time:
        fields["tool_choice"] = _tool_choice(asked.tool_choice or ToolChoice("auto"), one_at_a_time=one_at_a_time)
    return fields


def _tool(tool: Tool) -> dict[str, Any]:
    fields = {"name": tool.name, "description": tool.description, "strict": tool.strict}
    known = {name: value for name, value in fields.items() if value is not None}
    return known | {"input_schema": {"type": "object"} | (tool.parameters or {})}


def _tool_choice(choice: ToolChoice, *, one_at_a_time: bool) -> dict[str, Any]:
    fields: dict[str, Any] = {"type": CHOICES[choice.mode]}
    if choice.mode == "named":
        fields["name"] = choice.name
    if one_at_a_time and choice.mode != "none":
        fields["disable_parallel_tool_use"] = True
    return fields


def _is_system(message: Message) -> bool:
    return message.role in SYSTEM


def _speaks(message: Message) -> bool:
    """The API refuses an empty text, and an empty turn. A tool's empty result is one."""
    says = message.content or message.images or message.tool_calls
    return bool(message.role == "tool" or says or _thought(message))


def _thought(message: Message) -> Block | None:
    """Thoughts go back only under their seal: a thinking block's signature is "Required".

    Others are left out, since the API takes none of them; of older turns it drops even its own.
    """
    thought = message.reasoning
    if thought is None:
        return None
    if thought.redacted is not None:
        return {"type": "redacted_thinking", "data": thought.redacted}
    if thought.signature:
        return {"type": "thinking", "thinking": thought.text, "signature": thought.signature}
    return None


def _blocks(message: Message) -> list[Block]:
    """What it says and shows, if anything. It knows no names of speakers, and no text of white space alone."""
    if not message.images:
        return [_block(message.introduced.content)] if message.content else []
    return [_block(part) for part in message.introduced.parts if isinstance(part, Image) or part.strip()]


def _block(part: str | Image) -> Block:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    return {"type": "image", "source": {"type": "base64", "media_type": part.media_type, "data": part.data}}


def _texts(messages: Iterable[Message]) -> list[Block]:
    return [block for message in messages for block in _blocks(message)]


def _turns(numbered: Sequence[tuple[int, Message]], *, system_turns: bool) -> Iterator[dict[str, Any]]:
    """Assistant turns, and what is said between them; neighbours on one side are one turn."""
    for is_model, group in groupby(numbered, key=lambda pair: pair[1].role == "assistant"):
        if is_model:
            blocks = [block for number, message in group for block in _assistant_blocks(number, message)]
            yield {"role": "assistant", "content": blocks}
        else:
            yield from _between([message for _, message in group], system_turns=system_turns)


def _between(messages: Sequence[Message], *, system_turns: bool) -> Iterator[dict[str, Any]]:
    """One user turn, and behind it one system turn: the API wants it there, and neither two nor one without the other.

    Where there can be none, the system's words stand in the user turn, in tags that say whose they are. A turn's
    results of tools come before its texts.
    """
    told = _texts(filter(_is_system, messages))
    apart = system_turns and told and not all(map(_is_system, messages))
    said = [block for message in messages if not (apart and _is_system(message)) for block in _user_blocks(message)]
    yield {"role": "user", "content": sorted(said, key=lambda block: block["type"] != "tool_result")}
    if apart:
        yield {"role": "system", "content": told}


def _user_blocks(message: Message) -> list[Block]:
    if message.role == "tool":
        failed = {"is_error": True} if message.tool_failed else {}
        content = _blocks(message) if message.images else message.content
        return [{"type": "tool_result", "tool_use_id": message.tool_call_id, "content": content} | failed]
    if _is_system(message):
        return [_block(f"<system>\n{message.introduced.content}\n</system>")]
    return _blocks(message)


def _assistant_blocks(number: int, message: Message) -> Iterator[Block]:
    if (thought := _thought(message)) is not None:
        yield thought
    yield from _blocks(message)
    for at, call in enumerate(message.tool_calls):
        given = _input(call.given, f"messages.{number}.tool_calls.{at}.function.arguments")
        yield {"type": "tool_use", "id": call.id, "name": call.name, "input": given}


def _input(arguments: str, where: str) -> dict[str, Any]:
    """Raises: BadAsk for what is no JSON object."""
    given = as_object(arguments)
    if given is None:
        _bad("must be a JSON object for a verifier that speaks the Anthropic API", where)
    return given
