"""An ask as the body of an OpenAI request. Knows no connection. Sources: the OpenAI API reference; vLLM 0.32."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields, replace
from typing import Any, Literal

from firstpass.chat import Abilities, Image, Message, Sampling, Tool, ToolCall, ToolChoice
from firstpass.dialect.openai.llama_cpp import as_llama_reads, as_llama_takes
from firstpass.errors import BadAsk
from firstpass.exchange import Ask, TierName

MaxTokensName = Literal["max_tokens", "max_completion_tokens"]

OTHERWISE = ("max_tokens", "tools", "tool_choice", "thinking_tokens", "thinks_adaptively", "thinking_shown")
SAME = tuple(field.name for field in fields(Sampling) if field.name not in OTHERWISE)
"""Fields of `Sampling` that the wire calls and writes alike."""

CONTINUED = {"add_generation_prompt": False, "continue_final_message": True}
"""vLLM's own words for a reply that goes on where the last message ends."""


def body_of(
    ask: Ask, model: str, able: Abilities, *, stream: bool, watched: bool, max_tokens_name: MaxTokensName
) -> bytes:
    """The wire request. A streamed one always asks for usage, since the record needs it.

    watched: the stream may be cut off before its end, where the usage comes; vLLM also gives it with each piece.
    How a reply continues or matches a pattern only vLLM and llama.cpp let a caller say, and that a prompt is to be
    scored only vLLM.
    """
    fields = {"model": model} | _sampling(ask.sampling, max_tokens_name, thinks=able.thinks)
    if not able.logprobs:
        fields.pop("logprobs", None)
        fields.pop("top_logprobs", None)
    if ask.kind == "chat":
        fields["messages"] = list(_messages(ask.messages, thoughts=able.vllm or able.llama))
    elif ask.kind == "completion":
        fields["prompt"] = ask.messages[0].content
    else:
        fields["input"] = [message.content for message in ask.messages]
    if ask.continues:
        fields |= CONTINUED
    if ask.scored:
        fields["prompt_logprobs"] = 0  # Of each token of the prompt its own, and no others.
    if able.vllm and ask.key is not None:
        fields["cache_salt"] = ask.key  # What one key has asked before is not to be told by how fast another's comes.
    if ask.pattern is not None:
        fields["structured_outputs"] = {"regex": ask.pattern}
    if stream:
        # An Anthropic stream says at its beginning how long the prompt was; vLLM can tell by then.
        counted = watched or ask.dialect == "anthropic"
        early = {"continuous_usage_stats": True} if able.vllm and counted else {}
        fields |= {"stream": True, "stream_options": {"include_usage": True} | early}
    return json.dumps(as_llama_takes(fields, ask) if able.llama else fields).encode()


def refuse_redacted(ask: Ask, part: TierName) -> None:
    """Raises: BadAsk for thoughts that only their maker can read: without them the chat would be another one."""
    if any(message.reasoning and message.reasoning.redacted is not None for message in ask.messages):
        text = f"the {part} model can not read a redacted_thinking block; only the model that wrote it can"
        raise BadAsk(text, part=part, param="messages")


def prompt_of(ask: Ask, model: str, *, llama: bool = False) -> bytes:
    """The part of a chat that is counted, which is all that its prompt is made of. llama: not vLLM counts."""
    messages = list(_messages(ask.messages, thoughts=True))
    fields: dict[str, Any] = {"model": model, "messages": as_llama_reads(messages) if llama else messages}
    if ask.sampling.tools is not None:
        fields["tools"] = [_tool(tool) for tool in ask.sampling.tools]
    told = dict(ask.sampling.chat_template_kwargs or {})
    if (effort := ask.sampling.reasoning_effort) is not None:
        told = {"reasoning_effort": effort, "enable_thinking": effort != "none"} | told
    if told:
        fields["chat_template_kwargs"] = told
    if ask.continues:
        fields |= CONTINUED
    return json.dumps(fields).encode()


def _sampling(sampling: Sampling, max_tokens_name: MaxTokensName, *, thinks: bool) -> dict[str, Any]:
    """A model that does not think keeps any limit on it."""
    fields: dict[str, Any] = {name: getattr(sampling, name) for name in SAME}
    fields[max_tokens_name] = sampling.max_tokens
    if thinks:
        fields["thinking_token_budget"] = sampling.thinking_tokens
    if sampling.tools is not None:
        fields["tools"] = [_tool(tool) for tool in sampling.tools]
    if sampling.tool_choice is not None:
        fields["tool_choice"] = _tool_choice(sampling.tool_choice)
    return {name: value for name, value in fields.items() if value is not None}


def _messages(messages: Sequence[Message], *, thoughts: bool) -> Iterator[dict[str, Any]]:
    """A tool's result is a text here: its images come behind the results, in the next turn of the user."""
    waiting: list[dict[str, Any]] = []
    for message in messages:
        if message.role == "tool" and message.images:
            said = list[str]()
            for part in message.parts:
                waiting += [_part(part)] if isinstance(part, Image) else []
                said.append(f"[image {len(waiting)} behind the results]" if isinstance(part, Image) else part)
            message = replace(message, content="".join(said), images=())
        shown, waiting = ([], waiting) if message.role == "tool" else (waiting, [])
        if shown and message.role != "user":
            yield {"role": "user", "content": shown}
            shown = []
        fields = message_fields(message, thoughts=thoughts)
        yield fields | {"content": [*shown, *map(_part, message.parts)]} if shown else fields
    if waiting:
        yield {"role": "user", "content": waiting}


def _part(part: str | Image) -> dict[str, Any]:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    detail = {"detail": part.detail} if part.detail else {}
    return {"type": "image_url", "image_url": {"url": part.url} | detail}


def message_fields(message: Message, *, thoughts: bool) -> dict[str, Any]:
    content = list(map(_part, message.parts)) if message.images else message.content
    fields: dict[str, Any] = {"role": message.role, "content": content}
    if message.name is not None:
        fields["name"] = message.name
    if message.tool_calls:
        fields |= {"content": message.content or None, "tool_calls": list(map(tool_call, message.tool_calls))}
    if message.tool_call_id is not None:
        fields["tool_call_id"] = message.tool_call_id
    if message.tool_failed:  # This dialect has no other way to say it.
        fields["content"] = f"error: {message.content}"
    if message.reasoning is not None and thoughts:
        fields["reasoning"] = message.reasoning.text
    return fields


def tool_call(call: ToolCall) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.given}}


def _tool(tool: Tool) -> dict[str, Any]:
    return {"type": "function", "function": {key: value for key, value in asdict(tool).items() if value is not None}}


def _tool_choice(choice: ToolChoice) -> str | dict[str, Any]:
    return {"type": "function", "function": {"name": choice.name}} if choice.mode == "named" else choice.mode
