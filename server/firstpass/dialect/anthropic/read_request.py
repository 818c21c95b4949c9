"""From a body of the Anthropic Messages API to an Ask. Every fault is an error that names its field.

Its turns are made of blocks and ours are not: a turn becomes as many messages as it takes to lose none of them.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any, Literal

from firstpass.chat import ChoiceMode, Message, Reasoning, Sampling, Tool, ToolCall, ToolChoice, joined
from firstpass.dialect.anthropic.wire import (
    BLOCKS,
    MessagesBody,
    OutputConfig,
    PromptBody,
    RedactedBlock,
    TextBlock,
    Thinking,
    ThinkingBlock,
    ToolChoiceWish,
    ToolResultBlock,
    ToolUseBlock,
    Turn,
    said,
    sealed,
)
from firstpass.dialect.body import bound, bound_tool, validated
from firstpass.dialect.openai.read_request import Caller, ask_of, known_choice
from firstpass.dialect.openai.wire import SamplingBody
from firstpass.errors import BadAsk
from firstpass.exchange import Ask
from firstpass.house import House

FORWARDED = ("anthropic-version", "anthropic-beta")
INTERLEAVED = "interleaved-thinking"
"""With this beta a turn's thinking may take more than one answer's limit."""

MODES: Mapping[str, ChoiceMode] = {"auto": "auto", "none": "none", "any": "required", "tool": "named"}
_BILLING = re.compile(r"\Ax-anthropic-billing-header:[^\n]*\n*")
"""The first line of Claude Code's system prompt: for Anthropic's accounts, and another for each request, so that no
engine's prefix cache knows the prompt again (vllm-project/vllm pull request 36829)."""

OF_ROLES = {"system": ("text",), "user": ("text", "tool_result", "image"), "assistant": BLOCKS[:4]}


def messages(raw: bytes, caller: Caller, house: House) -> Ask:
    """Raises: BadAsk, NotFound (an unknown model)."""
    body = validated(MessagesBody, raw, house.sees)
    forwarded = _forwarded(caller)
    budget = body.thinking.budget_tokens if body.thinking else None
    if budget is not None and budget >= body.max_tokens and INTERLEAVED not in forwarded.get("anthropic-beta", ""):
        param = "thinking.budget_tokens"
        raise BadAsk(f"{param}: must be less than max_tokens", param=param)
    own = {name: getattr(body, name) for name in ("max_tokens", "temperature", "top_p", "top_k")}
    own["stop"] = tuple(body.stop_sequences) if body.stop_sequences else None
    user = body.metadata.user_id if body.metadata else None
    return replace(_ask(body, caller, house, own, stream=body.stream, user=user), forwarded=forwarded)


def prompt(raw: bytes, caller: Caller, house: House) -> Ask:
    """What is to be counted; nobody will be asked, in no arm of an experiment either: its model may not be loaded.

    Raises: BadAsk, NotFound (an unknown model).
    """
    body = validated(PromptBody, raw, house.sees)
    ask = replace(_ask(body, caller, replace(house, experiments=()), {}), forwarded=_forwarded(caller))
    if ask.contract is not None:
        raise BadAsk("only what is sent is counted, not what a contract makes of it", param="firstpass.contract")
    return ask


def _ask(body: PromptBody, caller: Caller, house: House, own: dict[str, Any], **shared: Any) -> Ask:
    tools, choice = _tools(body), body.tool_choice
    sampling = Sampling(
        **own,
        tools=tools,
        tool_choice=known_choice(_tool_choice(choice), tools),
        parallel_tool_calls=False if choice and choice.disable_parallel_tool_use else None,
        **_thinking(body.thinking),
        **_output(body.output_config),
    )
    turns = (message for at, turn in enumerate(body.messages) for message in _turn(at, turn))
    messages = (*_system(body), *turns)
    told = SamplingBody(model=body.model, firstpass=body.firstpass, **shared)
    ask = ask_of(told, "chat", messages, sampling, caller, house, "anthropic")
    last = messages[-1]
    continues = last.role == "assistant" and bool(last.content) and not last.tool_calls
    return replace(ask, continues=continues, ignored=body.ignored)


def _forwarded(caller: Caller) -> dict[str, str]:
    """RFC 9110, 5.3: a header that stands more than once is one with its values in a list."""
    given = {name: ", ".join(caller.headers.getlist(name)) for name in FORWARDED if name in caller.headers}
    for name, value in given.items():
        if not (value.isascii() and value.isprintable()):
            raise BadAsk(f"the header {name} must be printable ASCII", param=name)
    return given


def _system(body: PromptBody) -> Iterator[Message]:
    """vLLM 0.32 joins the parts of a message by line breaks, too."""
    told = body.system if isinstance(body.system, str) else "\n".join(block.text for block in body.system or ())
    if text := _BILLING.sub("", told):
        yield Message("system", text)


def _turn(number: int, turn: Turn) -> Iterator[Message]:
    """Raises: BadAsk for a block that does not belong to the role, and for a user who says nothing."""
    where = f"messages.{number}.content"
    if isinstance(turn.content, str):
        yield Message(turn.role, turn.content)
        return
    if not turn.content and turn.role != "assistant":
        raise BadAsk(f"{where}: must have at least one block", param=where)
    for at, block in enumerate(turn.content):
        if block.type not in OF_ROLES[turn.role]:
            message = f"{where}.{at}: a {block.type} block does not belong to the role {turn.role}"
            raise BadAsk(message, param=f"{where}.{at}")
    if turn.role == "assistant":
        yield from _assistant(turn.content)
    else:
        yield from _told(turn.role, turn.content)


def _told(role: Literal["user", "system"], blocks: Sequence[Any]) -> Iterator[Message]:
    """A tool's result is a message of its own; what is said and shown between results is one."""
    for is_result, run in groupby(blocks, key=lambda block: isinstance(block, ToolResultBlock)):
        if is_result:
            yield from map(_result, run)
        else:
            text, images = joined(map(said, run), "\n")
            yield Message(role, text, images=images)


def _result(block: ToolResultBlock) -> Message:
    told = [block.content] if isinstance(block.content, str) else map(said, block.content or ())
    text, images = joined(told, "\n")
    failed = bool(block.is_error)
    return Message("tool", text, tool_call_id=block.tool_use_id, tool_failed=failed, images=images)


def _assistant(blocks: Sequence[Any]) -> Iterator[Message]:
    """Texts that a model wrote are pieces of one. Thoughts begin a message, since each keeps its own seal."""
    begun: list[list[Any]] = [[]]
    for block in blocks:
        if isinstance(block, ThinkingBlock | RedactedBlock) and begun[-1]:
            begun.append([])
        begun[-1].append(block)
    return map(_written, begun)


def _written(blocks: Sequence[Any]) -> Message:
    """One message: a thought, if it begins with one, its texts and its calls."""
    thoughts = [block for block in blocks if isinstance(block, ThinkingBlock | RedactedBlock)]
    uses = [block for block in blocks if isinstance(block, ToolUseBlock)]
    calls = (ToolCall(use.id, use.name, json.dumps(use.input, ensure_ascii=False)) for use in uses)
    return Message(
        "assistant",
        "".join(block.text for block in blocks if isinstance(block, TextBlock)),
        tool_calls=tuple(calls),
        reasoning=_reasoning(thoughts[0]) if thoughts else None,
    )


def _reasoning(block: ThinkingBlock | RedactedBlock) -> Reasoning:
    if isinstance(block, RedactedBlock):
        return Reasoning("", redacted=block.data)
    return Reasoning(block.thinking, sealed(block.signature))


def _tools(body: PromptBody) -> tuple[Tool, ...] | None:
    forced = body.tool_choice is not None and body.tool_choice.type in ("any", "tool")
    for number, tool in enumerate(body.tools or ()):
        bound_tool(tool.input_schema, f"tools.{number}.input_schema", compiled=forced or bool(tool.strict))
    made = (Tool(tool.name, tool.description, tool.input_schema, tool.strict) for tool in body.tools or ())
    return tuple(made) or None


def _tool_choice(choice: ToolChoiceWish | None) -> ToolChoice | None:
    """Raises: BadAsk where there is a name without need for one, or none where one is needed."""
    if choice is None:
        return None
    if (choice.type == "tool") != (choice.name is not None):
        raise BadAsk("tool_choice.name belongs to the type tool, and only to that", param="tool_choice.name")
    return ToolChoice(MODES[choice.type], choice.name)


def _thinking(wish: Thinking | None) -> dict[str, Any]:
    """Raises: BadAsk where there is a budget that nothing needs, or none where one is needed."""
    if wish is None:
        return {}
    if (wish.type == "enabled") != (wish.budget_tokens is not None):
        param = "thinking.budget_tokens"
        raise BadAsk(f"{param} belongs to the type enabled, and only to that", param=param)
    shown = None if wish.display is None else wish.display == "summarized"
    if wish.type == "adaptive":
        return {"thinks_adaptively": True, "thinking_shown": shown}
    return {"thinking_tokens": wish.budget_tokens or 0, "thinking_shown": shown}


def _output(config: OutputConfig | None) -> dict[str, Any]:
    if config is None:
        return {}
    wished: dict[str, Any] = {"reasoning_effort": config.effort}
    if config.format is not None:
        schema = config.format.schema_
        bound(schema, "output_config.format.schema")
        form = {"name": "answer", "schema": schema, "strict": True}
        wished["response_format"] = {"type": "json_schema", "json_schema": form}
    return wished
