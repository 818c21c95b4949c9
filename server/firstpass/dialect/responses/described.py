"""The routes of the Responses API, described. The models are for the document alone: answers are written elsewhere.

Source: the OpenAI API reference.
"""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel

from firstpass.dialect.described import TEXT, Link, Operation, Parameter, Where
from firstpass.dialect.how import How
from firstpass.dialect.openai.described import ChatToken, OpenAIError
from firstpass.dialect.responses.wire import ResponsesBody
from firstpass.errors import Part

Progress = Literal["in_progress", "completed", "incomplete"]


class OutputText(BaseModel):
    type: Literal["output_text"]
    text: str
    annotations: list[Any]
    logprobs: list[ChatToken]


class RefusalPart(BaseModel):
    type: Literal["refusal"]
    refusal: str


class InputText(BaseModel):
    type: Literal["input_text"]
    text: str


class OutputMessage(BaseModel):
    id: str
    type: Literal["message"]
    role: Literal["assistant"]
    status: Progress
    content: list[OutputText | RefusalPart]


class InputMessage(BaseModel):
    id: str
    type: Literal["message"]
    role: Literal["user", "system", "developer"]
    status: Progress
    content: list[InputText]


class ThoughtPart(BaseModel):
    type: Literal["summary_text", "reasoning_text"]
    text: str


class ReasoningItem(BaseModel):
    """summary: the whole thought where one was asked for. content: the thought where none was."""

    id: str
    type: Literal["reasoning"]
    status: Progress
    summary: list[ThoughtPart]
    content: list[ThoughtPart]
    encrypted_content: str | None = None


class FunctionCallItem(BaseModel):
    id: str
    type: Literal["function_call"]
    status: Progress
    call_id: str
    name: str
    namespace: str | None = None
    arguments: str


class CustomCallItem(BaseModel):
    id: str
    type: Literal["custom_tool_call"]
    status: Progress
    call_id: str
    name: str
    namespace: str | None = None
    input: str


class CallOutputItem(BaseModel):
    id: str
    type: Literal["function_call_output", "custom_tool_call_output"]
    status: Progress
    call_id: str
    output: str


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


class ReasoningAsked(BaseModel):
    effort: str | None
    summary: str | None


class TextAsked(BaseModel):
    format: dict[str, Any]
    verbosity: Literal["medium"]


class ToolAsked(BaseModel):
    type: Literal["function"]
    name: str
    description: str | None
    parameters: dict[str, Any] | None
    strict: bool | None


class CustomAsked(BaseModel):
    """description: with the grammar of its text, as the model is told of it."""

    type: Literal["custom"]
    name: str
    description: str | None


class NamespaceAsked(BaseModel):
    type: Literal["namespace"]
    name: str
    description: str
    tools: list[ToolAsked | CustomAsked]


class ToolChosen(BaseModel):
    type: Literal["function", "custom"]
    name: str
    namespace: str | None = None


class ResponseObject(BaseModel):
    """Beside the answer it repeats what was asked for."""

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
    output: list[OutputMessage | ReasoningItem | FunctionCallItem | CustomCallItem]
    parallel_tool_calls: bool
    previous_response_id: str | None
    prompt_cache_key: str | None
    reasoning: ReasoningAsked
    safety_identifier: str | None
    service_tier: Literal["default"]
    store: bool
    temperature: float
    text: TextAsked
    tool_choice: Literal["auto", "none", "required"] | ToolChosen
    tools: list[ToolAsked | CustomAsked | NamespaceAsked]
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
    data: list[InputMessage | OutputMessage | ReasoningItem | FunctionCallItem | CustomCallItem | CallOutputItem]
    first_id: str | None
    last_id: str | None
    has_more: bool


RULES = """Refused although the schema allows it: `tool_choice` that no tool meets; a result of a call that nobody made;
a reference to an item, or a `previous_response_id`, that is not in the record of the same key;
references to more than 256 responses, or to more text, with what the request goes on with, than a body may have;
`top_logprobs` without
`message.output_text.logprobs` in `include`; `stream_options` or `firstpass.optimistic` without `stream`; a format of
type `json_schema` without its name or schema; a schema deeper than 32 levels or longer than 16,384 characters; with
`firstpass.contract`: `tools`, `text.format`; `firstpass.repository` without a contract; `firstpass.egress: redacted`;
`store` and `firstpass.store`, or a header and its field, that differ."""

EVENTS = """With `stream: true` the answer is server-sent events, as the Responses API has them, each with its
`sequence_number`; the last has the whole response. `response.in_progress` again keeps it alive while nothing is sent. A
failure after the first byte is `response.failed`."""

HERE = "/v1/responses/{response_id}"
ITS_ID = "$response.body#/id"
LINKS = (
    Link(("GET", HERE), "response_id", ITS_ID),
    Link(("GET", f"{HERE}/input_items"), "response_id", ITS_ID),
    Link(("DELETE", HERE), "response_id", ITS_ID),
)

INCLUDE = Parameter(
    "include",
    "query",
    "Nothing is added by it: a response is given as it was asked for.",
    {
        "type": "array",
        "items": {"type": "string", "enum": ["reasoning.encrypted_content", "message.output_text.logprobs"]},
    },
)
STREAM = Parameter("stream", "query", "It can only be read whole.", {"type": "string", "enum": ["false"]})
PAGES = (
    Parameter("limit", "query", "How many at once; 20.", {"type": "integer", "minimum": 1, "maximum": 100}),
    Parameter("after", "query", "Those after this one.", TEXT),
    Parameter("order", "query", "The newest come first.", {"type": "string", "enum": ["desc", "asc"]}),
)

OPERATIONS: Mapping[Where, Operation] = {
    ("POST", "/v1/responses"): Operation(
        "A response to what is said, or to what goes on with an earlier one.",
        ResponseObject,
        OpenAIError,
        body=ResponsesBody,
        rules=RULES,
        asks=True,
        events=EVENTS,
        links=LINKS,
    ),
    ("GET", HERE): Operation(
        "A recorded response.", ResponseObject, OpenAIError, fails=(400, 404), parameters=(INCLUDE, STREAM)
    ),
    ("DELETE", HERE): Operation(
        "Take a response's words out of the record; its numbers stay.", DeletedResponse, OpenAIError, fails=(404,)
    ),
    ("GET", f"{HERE}/input_items"): Operation(
        "What the response was asked with, earlier turns included.",
        InputItems,
        OpenAIError,
        fails=(400, 404),
        parameters=PAGES,
    ),
}
