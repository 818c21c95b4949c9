"""A conversation as items of the Responses API, read and written. It knows no request and no stream.

Every item that is written has an id from which its exchange can be told, so that a later request may refer to it.
"""

import json
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any, Literal

from firstpass.chat import NO_ARGUMENTS, Image, Message, Reasoning, TokenLogprob, ToolCall
from firstpass.dialect.openai.write_reply import logprobs_of, refusal_of
from firstpass.dialect.render import answered
from firstpass.dialect.responses.wire import (
    AdditionalTools,
    Call,
    CallOutput,
    ConfigurationUpdate,
    FreeformCall,
    Item,
    Thought,
    Turn,
    told,
)
from firstpass.errors import BadAsk
from firstpass.exchange import Ask, Exchange, Terms

PREFIX = "resp_"
REDACTED = "redacted_thinking:"
"""Begins the encrypted content of a thought that only its maker can read. A signature is base64, without colons."""

ITEM_ID = re.compile(r"(?:msg|rs|fc|fco)_(ex_[0-9a-f]+)(?:_[0-9a-z]+)?")

INPUT = "input"
"""The one argument of a function that stands for a custom tool: models are shown functions alone."""

NAME_LIMIT = 64
"""Characters of a tool's name, in OpenAI's APIs."""

Status = Literal["in_progress", "completed", "incomplete"]


def exchange_of(item_id: str) -> str | None:
    """The exchange whose item that is; None for an id that is not ours."""
    match = ITEM_ID.fullmatch(item_id)
    return match[1] if match else None


def flat(namespace: str | None, name: str) -> str:
    """The one name that a model has for a tool of a namespace, in the 64 characters that APIs give it."""
    if not namespace:
        return name
    whole = f"{namespace.rstrip('_')}__{name}"
    if len(whole) <= NAME_LIMIT:
        return whole
    digest = sha256(f"{namespace}\0{name}".encode()).hexdigest()[:8]
    return f"{whole[: NAME_LIMIT - 9]}_{digest}"


def call_id(ask_id: str, index: int, given: str, taken: Collection[str]) -> str:
    """Results are sent back by it, so a call to which a tier gave no id, or another call's, gets one of its own."""
    return given if given and given not in taken else f"call_{ask_id}_{index}"


def read(items: Sequence[Item], before: Iterable[Message] = ()) -> tuple[Message, ...]:
    """The messages that items make. before: those that stand ahead of them; a result may answer a call in there.

    Raises: BadAsk for a result of a call that nobody made.
    """
    reader = _Reader({call.id for message in before for call in message.tool_calls})
    for number, item in enumerate(items):
        reader.add(number, item)
    return reader.end()


@dataclass(slots=True)
class _Reader:
    """What one model said in one go are several items here: the thought, the text and the calls are put together."""

    called: set[str]
    messages: list[Message] = field(default_factory=list)
    turn: Message | None = None

    def add(self, number: int, item: Item) -> None:
        match item:
            case Turn(role="assistant"):
                self._say(told(item.content)[0])
            case Turn():
                self._close()
                text, images = told(item.content)
                self.messages.append(Message(item.role, text, images=images))
            case Thought():
                self._think(item)
            case Call():
                self._call(item, item.arguments or NO_ARGUMENTS)
            case FreeformCall():
                self._call(item, json.dumps({INPUT: item.input}, ensure_ascii=False))
            case CallOutput():
                self._result(number, item)
            case AdditionalTools() | ConfigurationUpdate():
                pass
            case _:
                raise AssertionError(f"a {type(item).__name__} is no item to read")

    def _say(self, text: str) -> None:
        if self.turn is not None and (self.turn.content or self.turn.tool_calls):
            self._close()
        self.turn = replace(self.turn or Message("assistant", ""), content=text)

    def _think(self, item: Thought) -> None:
        """Of two thoughts that are put together, the seal of neither holds."""
        seal = item.encrypted_content
        if not item.text and not seal:
            return
        if self.turn is None or self.turn.content or self.turn.tool_calls:
            self._close()
            self.turn = Message("assistant", "")
        first = self.turn.reasoning
        thought = _unsealed(item.text, seal) if first is None else Reasoning(f"{first.text}\n\n{item.text}")
        self.turn = replace(self.turn, reasoning=thought)

    def _call(self, item: Call | FreeformCall, arguments: str) -> None:
        turn = self.turn or Message("assistant", "")
        call = ToolCall(item.call_id, flat(item.namespace, item.name), arguments)
        self.turn = replace(turn, tool_calls=(*turn.tool_calls, call))
        self.called.add(item.call_id)

    def _result(self, number: int, item: CallOutput) -> None:
        if item.call_id not in self.called:
            raise BadAsk(f"no function was called as {item.call_id!r}", param=f"input.{number}.call_id")
        self._close()
        text, images = told(item.output)
        self.messages.append(Message("tool", text, tool_call_id=item.call_id, images=images))

    def _close(self) -> None:
        if self.turn is not None:
            self.messages.append(self.turn)
        self.turn = None

    def end(self) -> tuple[Message, ...]:
        self._close()
        return tuple(self.messages)


def _unsealed(text: str, seal: str | None) -> Reasoning:
    if seal is not None and seal.startswith(REDACTED):
        return Reasoning("", redacted=seal.removeprefix(REDACTED))
    return Reasoning(text, seal)


def _seal(thought: Reasoning) -> str | None:
    """What a client sends again so that the thought's maker knows it."""
    return thought.signature if thought.redacted is None else REDACTED + thought.redacted


def said(exchange: Exchange) -> Message:
    """The answer as a turn of the conversation that goes on with it."""
    step, reply = answered(exchange)
    calls: list[ToolCall] = []
    for index, call in enumerate(reply.tool_calls):
        taken = {earlier.id for earlier in calls}
        calls.append(replace(call, id=call_id(exchange.ask.id, index, call.id, taken)))
    thought = reply.reasoning if step.edited is None else None
    text = "".join(filter(None, (step.text, refusal_of(step, reply))))
    return Message("assistant", text, tool_calls=tuple(calls), reasoning=thought)


def input_items(ask: Ask) -> list[dict[str, Any]]:
    """What the model was asked with, earlier turns included and instructions not."""
    messages = ask.messages[1:] if ask.terms and ask.terms.instructed else ask.messages
    made = [item for message in messages for item in _written(ask, message)]
    return [item | {"id": f"{item['id']}_in{number}"} for number, item in enumerate(made)]


def _written(ask: Ask, message: Message) -> Iterator[dict[str, Any]]:
    if message.role == "tool":
        calls = (call for earlier in ask.messages for call in earlier.tool_calls)
        of_text = any(call.id == message.tool_call_id and is_freeform(ask, call.name) for call in calls)
        kind = "custom_tool_call_output" if of_text else "function_call_output"
        output = _parts(message) if message.images else message.content
        item = {"type": kind, "call_id": message.tool_call_id, "output": output, "status": "completed"}
        yield {"id": f"fco_{ask.id}"} | item
        return
    if message.role != "assistant":
        yield message_item(f"msg_{ask.id}", _parts(message) or [_part("")], role=message.role)
        return
    if message.reasoning is not None:
        yield thought_item(ask, f"rs_{ask.id}", message.reasoning, "completed")
    if message.content or not (message.tool_calls or message.reasoning):
        yield message_item(f"msg_{ask.id}", [text_part(ask, message.content, ())])
    for call in message.tool_calls:
        yield call_item(ask, f"fc_{ask.id}", call, "completed")


def _parts(message: Message) -> list[dict[str, Any]]:
    return list(map(_part, message.parts))


def _part(part: str | Image) -> dict[str, Any]:
    if isinstance(part, str):
        return {"type": "input_text", "text": part}
    return {"type": "input_image", "image_url": part.url, "detail": part.detail or "auto"}


def is_freeform(ask: Ask, tool: str) -> bool:
    """Whether the function of that name stands for a custom tool."""
    return tool in (ask.terms or Terms()).freeform


def output_items(exchange: Exchange, status: Status) -> list[dict[str, Any]]:
    """The answer's, from the record alone. status: of the last one; what comes before it is complete."""
    (step, reply), ask = answered(exchange), exchange.ask
    items, turn = [], said(exchange)
    if reply.reasoning is not None:
        items.append(thought_item(ask, f"rs_{ask.id}", reply.reasoning, "completed"))
    refusal = refusal_of(step, reply)
    if step.text or not (turn.tool_calls or refusal or reply.reasoning):
        logprobs = reply.logprobs if step.edited is None else ()
        items.append(message_item(f"msg_{ask.id}", [text_part(ask, step.text or "", logprobs)]))
    if refusal:
        items.append(message_item(f"msg_{ask.id}_1" if step.text else f"msg_{ask.id}", [refusal_part(refusal)]))
    items += [call_item(ask, f"fc_{ask.id}_{at}", call, "completed") for at, call in enumerate(turn.tool_calls)]
    return [*items[:-1], items[-1] | {"status": status}]


def message_item(
    item_id: str, parts: list[dict[str, Any]], status: Status = "completed", role: str = "assistant"
) -> dict[str, Any]:
    return {"id": item_id, "type": "message", "role": role, "status": status, "content": parts}


def refusal_part(refusal: str) -> dict[str, Any]:
    return {"type": "refusal", "refusal": refusal}


def text_part(ask: Ask, text: str, logprobs: Sequence[TokenLogprob]) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": token_entries(ask, logprobs)}


def token_entries(ask: Ask, logprobs: Sequence[TokenLogprob]) -> list[Any]:
    """Bytes that nobody knows are an empty list: in this API they may not be null."""
    entries: list[dict[str, Any]] = (logprobs_of(logprobs, ask) or {"content": []})["content"]
    return [_spelt(entry) | {"top_logprobs": list(map(_spelt, entry["top_logprobs"]))} for entry in entries]


def _spelt(entry: dict[str, Any]) -> dict[str, Any]:
    return entry | {"bytes": entry["bytes"] or []}


def thought_item(ask: Ask, item_id: str, thought: Reasoning | None, status: Status) -> dict[str, Any]:
    """A caller who asks for a summary finds the whole thought in its place: nothing here makes one."""
    terms = ask.terms or Terms()
    kind = "summary_text" if terms.summary else "reasoning_text"
    parts = [{"type": kind, "text": thought.text}] if thought is not None else []
    item: dict[str, Any] = {"id": item_id, "type": "reasoning", "status": status}
    item |= {"summary": parts, "content": []} if terms.summary else {"summary": [], "content": parts}
    seal = _seal(thought) if thought and "reasoning.encrypted_content" in terms.include else None
    return item if seal is None else item | {"encrypted_content": seal}


def call_item(ask: Ask, item_id: str, call: ToolCall, status: Status) -> dict[str, Any]:
    takes_text = is_freeform(ask, call.name)
    kind = "custom_tool_call" if takes_text else "function_call"
    item = {"id": item_id, "type": kind, "status": status, "call_id": call.id} | named(ask, call.name)
    return item | ({"input": text_input(call)} if takes_text else {"arguments": call.given})


def text_input(call: ToolCall) -> str:
    """What a custom tool is called with. A model that wrote no JSON wrote the text itself."""
    try:
        given = json.loads(call.given)
    except (ValueError, RecursionError):
        return call.arguments
    said = given.get(INPUT) if isinstance(given, dict) else given
    return said if isinstance(said, str) else call.arguments


def named(ask: Ask, name: str) -> dict[str, str]:
    """A tool as its caller knows it: by the name, and by the namespace where it is in one."""
    namespace, own = (ask.terms or Terms()).namespaces.get(name, (None, name))
    return {"name": own} if namespace is None else {"namespace": namespace, "name": own}


def by_id(exchange: Exchange) -> dict[str, dict[str, Any]]:
    """All items of an exchange, as a later request may refer to them: with their seals, whatever it included itself."""
    terms = replace(exchange.ask.terms or Terms(), include=("reasoning.encrypted_content",))
    exchange = replace(exchange, ask=replace(exchange.ask, terms=terms))
    made = [*input_items(exchange.ask), *(output_items(exchange, "completed") if exchange.answer else ())]
    return {item["id"]: item for item in made}


def message_length(message: Message) -> int:
    """In characters that a model reads, or that an image is written in."""
    thought = len(message.reasoning.text) if message.reasoning else 0
    calls = sum(len(call.name) + len(call.arguments) for call in message.tool_calls)
    return len(message.content) + thought + calls + sum(len(image.data) for image in message.images)
