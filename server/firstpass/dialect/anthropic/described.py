"""The routes of the Anthropic dialect, described. The models are for the document alone: answers are written elsewhere.

What a model of the same dialect says passes unchanged, so an answer may have more fields than stand here. Source: the
Anthropic API reference.
"""

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, Field

from firstpass.dialect.anthropic.wire import (
    MessagesBody,
    ModelsPage,
    PromptBody,
    RedactedBlock,
    TextBlock,
    ThinkingBlock,
    ToolUseBlock,
)
from firstpass.dialect.anthropic.write_reply import TYPES
from firstpass.dialect.described import TEXT, Link, Operation, Parameter, Schema, Where, in_query
from firstpass.dialect.how import How
from firstpass.dialect.openai.described import ModelCard, ModelList, OpenAIError
from firstpass.errors import Part


class AnthropicFault(BaseModel):
    type: str = Field(json_schema_extra={"enum": ["invalid_request_error", *TYPES.values(), "api_error"]})
    message: str
    part: Part
    code: str
    param: str | None
    exchange: str | None


class AnthropicError(BaseModel):
    """request_id: of the exchange."""

    type: Literal["error"]
    error: AnthropicFault
    request_id: str | None


class ThinkingTokens(BaseModel):
    thinking_tokens: int


class AnthropicUsage(BaseModel):
    """input_tokens: without those that came from a cache."""

    input_tokens: int
    output_tokens: int
    output_tokens_details: ThinkingTokens | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None


class AnthropicMessage(BaseModel):
    """Its blocks may be sent again. `firstpass` signs a thought that its model did not sign; an input that is no object
    stands under INVALID_JSON.
    """

    id: str
    type: Literal["message"]
    role: Literal["assistant"]
    model: str
    content: list[TextBlock | ThinkingBlock | RedactedBlock | ToolUseBlock]
    stop_reason: str | None
    stop_sequence: str | None
    usage: AnthropicUsage
    firstpass: How | None = None


class TokenCount(BaseModel):
    input_tokens: int


class AnthropicModel(BaseModel):
    type: Literal["model"]
    id: str
    display_name: str
    created_at: str
    lifecycle: Literal["active"]


class AnthropicModels(BaseModel):
    data: list[AnthropicModel]
    has_more: bool
    first_id: str | None
    last_id: str | None


PROMPT_RULES = """Refused although the schema allows it: a block in a turn whose role has none of its type; a user's
turn without a block; `tool_choice` that no tool meets, or with a name where it has no need of one;
`thinking.budget_tokens` without the type `enabled`, or none with it; a schema deeper than 32 levels or longer than
16,384 characters"""

MESSAGES_RULES = f"""{PROMPT_RULES}; `thinking.budget_tokens` that is not less than `max_tokens`, unless
anthropic-beta has interleaved-thinking; with `firstpass.contract`: `tools`, `output_config.format`;
`firstpass.repository` without a contract; `firstpass.optimistic` without `stream`;
a header and its field that differ."""

EVENTS = """With `stream: true` the answer is server-sent events, as the Anthropic API has them: one `message_start`,
blocks one after the other, `message_delta`, `message_stop`. `ping` events keep it alive while nothing is sent. A
failure after the first byte is an `error` event, and no other follows."""

PRINTABLE: Schema = {"type": "string", "pattern": "^[ -~]*$"}
VERSION = Parameter("anthropic-version", "header", "It goes on unchanged to a verifier of this dialect.", PRINTABLE)
BETA = Parameter("anthropic-beta", "header", "As anthropic-version.", PRINTABLE)
SHAPE = Parameter("anthropic-version", "header", "Whatever it says: with it, all is as in the Anthropic API.", TEXT)
LABEL = Link(("POST", "/v1/exchanges/{exchange_id}/label"), "exchange_id", "$response.header.request-id")

OPERATIONS: Mapping[Where, Operation] = {
    ("POST", "/v1/messages"): Operation(
        "A conversation's next message.",
        AnthropicMessage,
        AnthropicError,
        body=MessagesBody,
        rules=MESSAGES_RULES,
        asks=True,
        events=EVENTS,
        parameters=(VERSION, BETA),
        links=(LABEL,),
    ),
    ("POST", "/v1/messages/count_tokens"): Operation(
        "How many tokens a prompt is, system and tools included. 404 where the draft engine can not count.",
        TokenCount,
        AnthropicError,
        body=PromptBody,
        rules=f"{PROMPT_RULES}; a contract.",
        fails=(404, 502, 503, 504),
        parameters=(VERSION, BETA),
        headers=("x-firstpass-counted-by",),
    ),
    ("GET", "/v1/models"): Operation(
        "What `model` may be. Answers at once, also while an engine starts.",
        ModelList | AnthropicModels,
        OpenAIError | AnthropicError,
        fails=(400,),
        parameters=(SHAPE, *in_query(ModelsPage)),
    ),
    ("GET", "/v1/models/{name}"): Operation(
        "One of them.",
        ModelCard | AnthropicModel,
        OpenAIError | AnthropicError,
        fails=(404,),
        parameters=(SHAPE,),
    ),
}
