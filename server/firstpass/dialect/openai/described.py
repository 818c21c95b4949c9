"""The routes of the OpenAI dialect, described. The models are for the document alone: answers are written elsewhere.

What a model of the same dialect says passes unchanged, so an answer may have more fields than stand here. Source: the
OpenAI API reference.
"""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel

from firstpass.dialect.described import Operation, Shape, Where
from firstpass.dialect.how import How
from firstpass.dialect.openai.wire import ChatBody, CompletionBody, EmbeddingsBody, ToolCallPart
from firstpass.dialect.responses.wire import CursorBody
from firstpass.errors import Part


class OpenAIFault(BaseModel):
    message: str
    type: str
    param: str | None
    code: str
    part: Part
    exchange: str | None


class OpenAIError(BaseModel):
    error: OpenAIFault


class OpenAIUsage(BaseModel):
    prompt_tokens: int
    total_tokens: int
    completion_tokens: int | None = None
    prompt_tokens_details: dict[str, Any] | None = None
    completion_tokens_details: dict[str, Any] | None = None


class ChatToken(BaseModel):
    """bytes: as the model's server gave them, null where it gave none; a token need not be whole characters."""

    token: str
    logprob: float
    bytes: list[int] | None = None
    top_logprobs: list["ChatToken"] | None = None


class ChatLogprobs(BaseModel):
    content: list[ChatToken] | None = None


class AssistantMessage(BaseModel):
    role: Literal["assistant"]
    content: str | None = None
    refusal: str | None = None
    reasoning: str | None = None
    tool_calls: list[ToolCallPart] | None = None


class ChatChoice(BaseModel):
    index: int
    message: AssistantMessage
    logprobs: ChatLogprobs | None = None
    finish_reason: str | None


class ChatCompletion(BaseModel):
    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[ChatChoice]
    usage: OpenAIUsage | None = None
    firstpass: How | None = None


class CompletionLogprobs(BaseModel):
    tokens: list[str]
    token_logprobs: list[float | None]
    top_logprobs: list[dict[str, float] | None] | None = None
    text_offset: list[int] | None = None


class CompletionChoice(BaseModel):
    index: int
    text: str
    logprobs: CompletionLogprobs | None = None
    finish_reason: str | None


class Completion(BaseModel):
    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    choices: list[CompletionChoice]
    usage: OpenAIUsage | None = None


class Embedding(BaseModel):
    """embedding: numbers, or their bytes in base64 where that was asked for."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class Embeddings(BaseModel):
    object: Literal["list"]
    model: str
    data: list[Embedding]
    usage: OpenAIUsage | None = None


class Standing(BaseModel):
    """A model on this machine. state: `available` is one that is loaded when it is asked, `sleeping` one that is woken.
    memory_bytes: what it takes when it is loaded, or is expected to. kept_bytes: what it keeps while it sleeps, of the
    GPU's and the main memory. idle_seconds: since it was last used; None where it is in use or not loaded.
    """

    engine: str
    state: Literal["available", "loading", "loaded", "sleeping", "unloading"]
    memory_bytes: int
    kept_bytes: dict[Literal["main", "gpu"], int] | None = None
    in_flight: int
    waiting: int
    pinned: bool
    idle_seconds: float | None


class ModelCard(BaseModel):
    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    firstpass: Standing | None = None


class ModelList(BaseModel):
    object: Literal["list"]
    data: list[ModelCard]


CHAT_RULES = """Refused although the schema allows it: `max_tokens` and `max_completion_tokens` that differ;
`top_logprobs` without `logprobs`; `stream_options` or `firstpass.optimistic` without `stream`; `tool_choice` that no
tool meets; a `tool_call_id` of another role than `tool`, or none there; `tool_calls` of any role but `assistant`; a
message without content that calls no tool; a schema deeper than 32 levels or longer than 16,384 characters; with
`firstpass.contract`: `n` over 1, `tools`, `response_format`; `firstpass.repository` without a contract;
`store` and `firstpass.store`, or a header and its field, that differ."""

COMPLETION_RULES = """Refused although the schema allows it: `stream_options` without `stream`; a contract."""

EVENTS = """With `stream: true` the answer is server-sent events: chunks as the OpenAI API has them, with a last one of
usage where `stream_options.include_usage` asks for it, then `[DONE]`. Chunks with an empty delta, or an empty text,
keep it alive while nothing is sent. A failure after the first byte is an event with the error envelope, and no
`[DONE]` follows."""


def _ask(summary: str, body: Shape, answer: type[BaseModel], rules: str = "", events: str | None = EVENTS) -> Operation:
    return Operation(summary, answer, OpenAIError, body=body, rules=rules, asks=True, events=events)


OPERATIONS: Mapping[Where, Operation] = {
    ("POST", "/v1/chat/completions"): _ask(
        "A chat's next message. Cursor sends bodies of the Responses API here, and gets a chat's.",
        ChatBody | CursorBody,
        ChatCompletion,
        CHAT_RULES,
    ),
    ("POST", "/v1/completions"): _ask("A text's continuation.", CompletionBody, Completion, COMPLETION_RULES),
    ("POST", "/v1/embeddings"): _ask(
        "Texts as vectors. 404 where the model gives none.",
        EmbeddingsBody,
        Embeddings,
        "Refused although the schema allows it: a contract.",
        None,
    ),
}
