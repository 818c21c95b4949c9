"""What Open Responses says of a whole response and of every event of a streamed one: what is there, what may be null.

Source: openresponses/openresponses at 1e33c10, public/openapi/openapi.json, version 2026-04-24. A field without a
default has to be there; what more is there is nobody's concern. Where OpenAI's own API is another, that holds here:
thoughts stream as `response.reasoning_text.*`, not `response.reasoning.*`, and a format of type json_schema has its
schema, not null.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

Progress = Literal["in_progress", "completed", "incomplete"]


class Part(BaseModel):
    model_config = ConfigDict(strict=True)


class AnyText(Part):
    type: Literal["input_text", "text", "summary_text", "reasoning_text"]
    text: str


class Token(Part):
    token: str
    logprob: float
    bytes: list[int]


class PlacedToken(Token):
    top_logprobs: list[Token]


class OutputText(Part):
    type: Literal["output_text"]
    text: str
    annotations: list[Any]
    logprobs: list[PlacedToken] = []


class Refusal(Part):
    type: Literal["refusal"]
    refusal: str


AnyPart = Annotated[AnyText | OutputText | Refusal, Field(discriminator="type")]


class Message(Part):
    type: Literal["message"]
    id: str
    status: Progress
    role: Literal["user", "assistant", "system", "developer"]
    content: list[AnyPart]


class Call(Part):
    type: Literal["function_call"]
    id: str
    call_id: str
    name: str
    arguments: str
    status: Progress


class Thought(Part):
    type: Literal["reasoning"]
    id: str
    summary: list[AnyPart]
    content: list[AnyPart] = []
    encrypted_content: str = ""


Item = Annotated[Message | Call | Thought, Field(discriminator="type")]


class Tool(Part):
    type: Literal["function"]
    name: str
    description: str | None
    parameters: dict[str, Any] | None
    strict: bool | None


class Chosen(Part):
    type: Literal["function"]
    name: str = ""


class PlainFormat(Part):
    type: Literal["text", "json_object"]


class SchemaFormat(Part):
    type: Literal["json_schema"]
    name: str
    description: str | None
    schema_: dict[str, Any] = Field(alias="schema")
    strict: bool


class Text(Part):
    format: Annotated[PlainFormat | SchemaFormat, Field(discriminator="type")]
    verbosity: Literal["low", "medium", "high"] = "medium"


class Reasoning(Part):
    effort: Literal["none", "low", "medium", "high", "xhigh"] | None
    summary: Literal["concise", "detailed", "auto"] | None


class Cached(Part):
    cached_tokens: int


class Reasoned(Part):
    reasoning_tokens: int


class Usage(Part):
    input_tokens: int
    output_tokens: int
    total_tokens: int
    input_tokens_details: Cached
    output_tokens_details: Reasoned


class Fault(Part):
    code: str
    message: str


class Why(Part):
    reason: str


class Response(Part):
    """All of its fields that it must have; the others are of conversations and bills."""

    id: str
    object: Literal["response"]
    created_at: int
    completed_at: int | None
    status: str
    incomplete_details: Why | None
    model: str
    previous_response_id: str | None
    instructions: str | None
    output: list[Item]
    error: Fault | None
    tools: list[Tool]
    tool_choice: Literal["none", "auto", "required"] | Chosen
    truncation: Literal["auto", "disabled"]
    parallel_tool_calls: bool
    text: Text
    top_p: float
    presence_penalty: float
    frequency_penalty: float
    top_logprobs: int
    temperature: float
    reasoning: Reasoning | None
    user: str | None
    """Asked for by the version before, 5e23378."""
    usage: Usage | None
    max_output_tokens: int | None
    max_tool_calls: int | None
    store: bool
    background: bool
    service_tier: str
    metadata: dict[str, str]
    safety_identifier: str | None
    prompt_cache_key: str | None


class Event(Part):
    sequence_number: int


class Whole(Event):
    type: Literal[
        "response.created",
        "response.queued",
        "response.in_progress",
        "response.completed",
        "response.failed",
        "response.incomplete",
    ]
    response: Response


class OfItem(Event):
    type: Literal["response.output_item.added", "response.output_item.done"]
    output_index: int
    item: Item | None


class Placed(Event):
    item_id: str
    output_index: int


class OfContent(Placed):
    type: Literal["response.content_part.added", "response.content_part.done"]
    content_index: int
    part: AnyPart


class OfSummary(Placed):
    type: Literal["response.reasoning_summary_part.added", "response.reasoning_summary_part.done"]
    summary_index: int
    part: AnyPart


class TextDelta(Placed):
    type: Literal["response.output_text.delta"]
    content_index: int
    delta: str
    logprobs: list[PlacedToken] = []


class TextDone(Placed):
    type: Literal["response.output_text.done"]
    content_index: int
    text: str
    logprobs: list[PlacedToken] = []


class Delta(Placed):
    type: Literal["response.refusal.delta", "response.reasoning_text.delta"]
    content_index: int
    delta: str


class RefusalDone(Placed):
    type: Literal["response.refusal.done"]
    content_index: int
    refusal: str


class ThoughtDone(Placed):
    type: Literal["response.reasoning_text.done"]
    content_index: int
    text: str


class SummaryDelta(Placed):
    type: Literal["response.reasoning_summary_text.delta"]
    summary_index: int
    delta: str


class SummaryDone(Placed):
    type: Literal["response.reasoning_summary_text.done"]
    summary_index: int
    text: str


class ArgumentsDelta(Placed):
    type: Literal["response.function_call_arguments.delta"]
    delta: str


class ArgumentsDone(Placed):
    type: Literal["response.function_call_arguments.done"]
    arguments: str


EVENT: TypeAdapter[Event] = TypeAdapter(
    Annotated[
        Whole
        | OfItem
        | OfContent
        | OfSummary
        | TextDelta
        | TextDone
        | Delta
        | RefusalDone
        | ThoughtDone
        | SummaryDelta
        | SummaryDone
        | ArgumentsDelta
        | ArgumentsDone,
        Field(discriminator="type"),
    ]
)
