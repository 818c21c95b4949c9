"""The bodies that callers send, as the OpenAI API and the origin's /infer define them. It knows no model and no policy.

Every field is named: honoured, refused with a reason, or unknown. Source: the OpenAI API reference.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, StrictInt, StrictStr

from firstpass.exchange import Ceiling

N_LIMIT = 8
TOP_LOGPROBS_LIMIT = 20
"""`n` up to 16384 and huge `logprobs` have each killed a vLLM 0.32 engine; 20 is its own default for the latter."""

UNSUPPORTED = {
    "tools": "tool calls are not supported yet",
    "tool_choice": "tool calls are not supported yet",
    "parallel_tool_calls": "tool calls are not supported yet",
    "functions": "tool calls are not supported yet",
    "function_call": "tool calls are not supported yet",
    "reasoning_effort": "no model here takes a reasoning effort",
    "modalities": "only text is supported",
    "audio": "only text is supported",
    "prediction": "predicted outputs are not supported",
    "web_search_options": "nothing here searches the web",
    "service_tier": "there is one service tier",
    "verbosity": "no model here takes a verbosity",
    "best_of": "best_of is not supported; use n",
}

Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]


class Wire(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class StreamOptions(Wire):
    include_usage: StrictBool = False


class FirstpassOptions(Wire):
    """What a caller may steer beside the OpenAI fields; each also has a header `x-firstpass-<name>`."""

    contract: StrictStr | None = None
    egress: Ceiling | None = None
    session: Annotated[StrictStr, Field(max_length=200)] | None = None
    store: StrictBool | None = None
    optimistic: StrictBool | None = None
    repository: Annotated[StrictStr, Field(max_length=100)] | None = None


class TextPart(Wire):
    type: Literal["text"]
    text: StrictStr


class ChatMessage(Wire):
    role: Literal["system", "developer", "user", "assistant"]
    content: StrictStr | Annotated[list[TextPart], Field(min_length=1)]
    name: StrictStr | None = None

    @property
    def text(self) -> str:
        return self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class SamplingBody(Wire):
    """Fields that chat and plain completions share."""

    model: StrictStr
    stream: StrictBool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Annotated[StrictInt, Field(ge=1)] | None = None
    temperature: Annotated[Number, Field(ge=0, le=2)] | None = None
    top_p: Annotated[Number, Field(gt=0, le=1)] | None = None
    n: Annotated[StrictInt, Field(ge=1, le=N_LIMIT)] | None = None
    stop: Annotated[list[StrictStr], Field(max_length=4), BeforeValidator(_as_list)] | None = None
    seed: StrictInt | None = None
    logit_bias: dict[str, Annotated[Number, Field(ge=-100, le=100)]] | None = None
    presence_penalty: Annotated[Number, Field(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[Number, Field(ge=-2, le=2)] | None = None
    user: StrictStr | None = None
    metadata: Annotated[dict[StrictStr, StrictStr], Field(max_length=16)] | None = None
    firstpass: FirstpassOptions = FirstpassOptions()


class ChatBody(SamplingBody):
    messages: Annotated[list[ChatMessage], Field(min_length=1)]
    max_completion_tokens: Annotated[StrictInt, Field(ge=1)] | None = None
    logprobs: StrictBool | None = None
    top_logprobs: Annotated[StrictInt, Field(ge=0, le=TOP_LOGPROBS_LIMIT)] | None = None
    response_format: dict[str, Any] | None = None
    store: StrictBool | None = None


class CompletionBody(SamplingBody):
    prompt: StrictStr
    logprobs: Annotated[StrictInt, Field(ge=0, le=TOP_LOGPROBS_LIMIT)] | None = None
    echo: StrictBool | None = None
    suffix: StrictStr | None = None


class InferBody(Wire):
    """The origin's own shape: a model and a prompt; the reply carries the token logprobs."""

    model: StrictStr
    prompt: StrictStr
    max_tokens: Annotated[StrictInt, Field(ge=1)] | None = None
    temperature: Annotated[Number, Field(ge=0, le=2)] | None = None
    firstpass: FirstpassOptions = FirstpassOptions()


class LabelBody(Wire):
    """What somebody says of an answer; an edit says how it should have been."""

    verdict: Literal["accept", "reject", "edit"]
    text: StrictStr | None = None
    source: Literal["user", "eval"] = "user"
