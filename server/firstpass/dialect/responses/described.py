"""The routes of the Responses API, described. The models are for the document alone: answers are written elsewhere.

Source: the OpenAI API reference.
"""

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel

from firstpass.dialect.described import Link, Operation, Where, in_query
from firstpass.dialect.how import How
from firstpass.dialect.openai.described import OpenAIError
from firstpass.dialect.responses.listing import Page, Retrieval
from firstpass.dialect.responses.wire import (
    Call,
    CallOutput,
    FlatTool,
    FreeformCall,
    FreeformTool,
    NamedFunction,
    Namespace,
    NewText,
    ResponsesBody,
    Thinking,
    Thought,
    Turn,
)
from firstpass.errors import Part


class ResponseFault(BaseModel):
    """code: the API's own word for it. param, part and exchange: ours."""

    code: str
    message: str
    param: str | None
    part: Part
    exchange: str


class Incomplete(BaseModel):
    reason: Literal["max_output_tokens", "content_filter"]


class CachedTokens(BaseModel):
    cached_tokens: int


class ReasoningTokens(BaseModel):
    reasoning_tokens: int


class ResponsesUsage(BaseModel):
    input_tokens: int
    input_tokens_details: CachedTokens
    output_tokens: int
    output_tokens_details: ReasoningTokens
    total_tokens: int


class ResponseObject(BaseModel):
    """Beside the answer it repeats what was asked for. Its items may be sent again; each has its id and its status."""

    id: str
    object: Literal["response"]
    created_at: int
    completed_at: int | None
    status: Literal["in_progress", "completed", "incomplete", "failed"]
    background: Literal[False]
    error: ResponseFault | None
    incomplete_details: Incomplete | None
    instructions: str | None
    max_output_tokens: int | None
    max_tool_calls: None
    metadata: dict[str, str]
    model: str
    output: list[Turn | Thought | Call | FreeformCall]
    parallel_tool_calls: bool
    previous_response_id: str | None
    prompt_cache_key: str | None
    reasoning: Thinking
    safety_identifier: str | None
    service_tier: Literal["default"]
    store: bool
    temperature: float
    text: NewText
    tool_choice: Literal["auto", "none", "required"] | NamedFunction
    tools: list[FlatTool | FreeformTool | Namespace]
    top_logprobs: int
    top_p: float
    presence_penalty: float
    frequency_penalty: float
    truncation: Literal["disabled"]
    usage: ResponsesUsage | None
    user: str | None
    firstpass: How | None = None


class DeletedResponse(BaseModel):
    id: str
    object: Literal["response"]
    deleted: Literal[True]


class InputItems(BaseModel):
    object: Literal["list"]
    data: list[Turn | Thought | Call | FreeformCall | CallOutput]
    first_id: str | None
    last_id: str | None
    has_more: bool


RULES = """Refused although the schema allows it: `tool_choice` that no tool meets; a result of a call that nobody made;
a reference to an item, or a `previous_response_id`, that is not in the record of the same key;
references to more than 256 responses, or to more text, with what the request goes on with, than a body may have;
`top_logprobs` without
`message.output_text.logprobs` in `include`; `stream_options` or `firstpass.optimistic` without `stream`; a format of
type `json_schema` without its name or schema; a schema deeper than 32 levels or longer than 16,384 characters; with
`firstpass.contract`: `tools`, `text.format`; `firstpass.repository` without a contract;
`store` and `firstpass.store`, or a header and its field, that differ."""

EVENTS = """With `stream: true` the answer is server-sent events, as the Responses API has them, each with its
`sequence_number`; the last has the whole response. `response.in_progress` again keeps it alive while nothing is sent. A
failure after the first byte is `response.failed`."""

HERE = "/v1/responses/{response_id}"
ITS_ROUTES = (("GET", HERE), ("GET", f"{HERE}/input_items"), ("DELETE", HERE))

OPERATIONS: Mapping[Where, Operation] = {
    ("POST", "/v1/responses"): Operation(
        "A response to what is said, or to what goes on with an earlier one.",
        ResponseObject,
        OpenAIError,
        body=ResponsesBody,
        rules=RULES,
        asks=True,
        events=EVENTS,
        links=tuple(Link(where, "response_id", "$response.body#/id") for where in ITS_ROUTES),
    ),
    ("GET", HERE): Operation(
        "A recorded response.", ResponseObject, OpenAIError, fails=(400, 404), parameters=in_query(Retrieval)
    ),
    ("DELETE", HERE): Operation(
        "Take a response's words out of the record; its numbers stay.", DeletedResponse, OpenAIError, fails=(404,)
    ),
    ("GET", f"{HERE}/input_items"): Operation(
        "What the response was asked with, earlier turns included.",
        InputItems,
        OpenAIError,
        fails=(400, 404),
        parameters=in_query(Page),
    ),
}
