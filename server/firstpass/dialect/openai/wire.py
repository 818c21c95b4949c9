"""The bodies that callers send, as the OpenAI API and the origin's /infer define them. It knows no model and no policy.

Every field is named: honoured, refused with a reason, or unknown. Source: the OpenAI API reference.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    StrictBool,
    StrictInt,
    StrictStr,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError

from firstpass.chat import Image, joined
from firstpass.dialect.by_type import ByType
from firstpass.dialect.images import ImageUrl, lenient
from firstpass.dialect.quick import quick
from firstpass.dialect.unseen import IMAGE, Sight, turns
from firstpass.exchange import Ceiling

N_LIMIT = 8
TOP_LOGPROBS_LIMIT = 20
"""`n` up to 16384 and huge `logprobs` have each killed a vLLM 0.32 engine; 20 is its own default for the latter."""

UNSUPPORTED = {
    "functions": "functions are called tools now; give those",
    "function_call": "functions are called tools now; give tool_choice",
    "modalities": "only text is supported",
    "audio": "only text is supported",
    "web_search_options": "nothing here searches the web",
    "best_of": "best_of is not supported; use n",
}

HINTS: Mapping[str, tuple[Any, ...]] = {
    "verbosity": ("medium",),
    "prediction": (),
    "prompt_cache_retention": (),
    "prompt_cache_options": (),
    "service_tier": ("auto", "default"),
    "stream_options.include_obfuscation": (False,),
}
"""How long a prompt stays cached, how fast and for how much an answer is made, noise on the wire, how wordy it is."""

TOOLS_LIMIT = 128
"""OpenAI's own."""

TEXTS_LIMIT = 2048
"""OpenAI's own, of one request for embeddings."""

UNSEEN = {"image_url": IMAGE, "input_audio": "a recording", "file": "a document"}

THOUGHTS = ("reasoning", "reasoning_content", "reasoning_details")
"""Fields of an assistant's turn."""

BIASES_LIMIT = 1_024
"""Of `logit_bias`. OpenAI names no limit; an engine looks at each for every token."""

PARTS_LIMIT = 10_000
"""Of a list of messages, or of one message's parts: more is no conversation."""


def at_most(limit: int) -> BeforeValidator:
    """Of a list's items, or an object's. Not in the OpenAPI document: who tests by that would make them as long."""

    def check(value: Any) -> Any:
        if isinstance(value, list | dict) and len(value) > limit:
            kind = "List" if isinstance(value, list) else "Object"
            raise PydanticCustomError(
                "too_long", "{kind} should have at most {limit} items", {"kind": kind, "limit": limit}
            )
        return value

    return BeforeValidator(check)


StopText = Annotated[StrictStr, Field(max_length=1_000)]
"""vLLM looks for each of them after every token."""

Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
StopTexts = Annotated[list[StopText], Field(max_length=32)]
"""OpenAI's own models take four, and say so."""

WORD_LIMIT = 1_000
TemplateName = Annotated[StrictStr, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")]
TemplateValue = StrictBool | StrictInt | Number | Annotated[StrictStr, Field(max_length=WORD_LIMIT)] | None

NO_TEMPLATE_NAMES = frozenset(("chat_template", "tokenize", "conversation", "messages", "tools", "documents")) | {
    *("add_generation_prompt", "continue_final_message", "padding", "truncation", "max_length", "return_tensors"),
    *("return_dict", "return_assistant_tokens_mask", "tokenizer_kwargs", "processor_kwargs", "load_audio_from_video"),
    *("self", "tokenizer"),
}
"""Of transformers' apply_chat_template: what they say the request says, or an engine would have to pay for."""


def _of_template(value: Any) -> Any:
    """Names the variable at fault, which a union of types can not."""
    for name, word in value.items() if isinstance(value, dict) else ():
        if name in NO_TEMPLATE_NAMES:
            raise PydanticCustomError("value_error", "{name} is no variable of a template", {"name": name})
        if not isinstance(word, bool | int | float | str | None) or (isinstance(word, str) and len(word) > WORD_LIMIT):
            text = "{name} should be a number, true, false, null or a text of at most {limit} characters"
            raise PydanticCustomError("value_error", text, {"name": name, "limit": WORD_LIMIT})
    return value


TemplateWords = Annotated[dict[TemplateName, TemplateValue], Field(max_length=16), BeforeValidator(_of_template)]

OneText = Annotated[list[StrictStr], Field(min_length=1, max_length=1)]
Texts = Annotated[list[StrictStr], Field(min_length=1, max_length=TEXTS_LIMIT)]


class Wire(BaseModel):
    """unsupported: fields that the API has and we refuse, and why.

    hints: by path, fields that wish for what nothing here can do without changing what an answer means, and the values
    that ask for nothing more than is done anyway. ignored: the paths of those that wished for more.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    unsupported: ClassVar[Mapping[str, str]] = {}
    hints: ClassVar[Mapping[str, tuple[Any, ...]]] = {}
    ignored: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return quick(cls, handler(source))

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """The hints of the body itself are described too, as fields that may be anything."""
        schema = handler(core)
        properties = handler.resolve_ref_schema(schema).setdefault("properties", {})
        properties |= {name: {"description": "A hint; it changes no answer."} for name in cls.hints if "." not in name}
        return schema

    @classmethod
    def without_unseen(cls, fields: dict[str, Any], *, sees: bool) -> list[str]:
        """Texts take the places of what the model can not see; gives these. sees: it takes images. Raises: BadAsk."""
        return []

    def ignoring(self, paths: Sequence[str]) -> Self:
        """No field, since callers may not say it; and a private attribute costs every model below a body as much."""
        object.__setattr__(self, "ignored", (*self.ignored, *paths))
        return self


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
    """cache_control: a hint for hosts that are paid by it; there is nothing to pay here."""

    type: Literal["text"]
    text: StrictStr
    cache_control: dict[str, Any] | None = None


class PictureUrl(Wire):
    url: ImageUrl
    detail: Literal["auto", "low", "high", "original"] | None = None


class PicturePart(Wire):
    """image_url: a data: URL, and how closely to look."""

    model_config = lenient("image_url")
    type: Literal["image_url"]
    image_url: PictureUrl
    cache_control: dict[str, Any] | None = None


Part = Annotated[TextPart | PicturePart, ByType()]


class Called(Wire):
    """arguments: some servers give none to a call without any, and their clients send back what they got."""

    name: StrictStr
    arguments: StrictStr | None = None


class ToolCallPart(Wire):
    """index: some clients send back what they got streamed."""

    id: Annotated[StrictStr, Field(min_length=1)]
    type: Literal["function"] = "function"
    function: Called
    index: StrictInt | None = None


def _readable(detail: Any) -> str:
    """What a piece of OpenRouter's `reasoning_details` says: a text or a summary. Sealed ones say nothing here.

    Source: openrouter.ai/docs, reasoning tokens.
    """
    said = (detail.get("text") or detail.get("summary")) if isinstance(detail, dict) else None
    return said if isinstance(said, str) else ""


class ChatMessage(Wire):
    """refusal, annotations and audio come back from clients that send an answer again as they got it.

    An empty list of parts is no content: Cursor sends one beside its tool calls (archestra-ai/archestra#7375).
    """

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: StrictStr | Annotated[list[Part], at_most(PARTS_LIMIT)] | None = None
    name: StrictStr | None = None
    tool_calls: Annotated[list[ToolCallPart], at_most(PARTS_LIMIT)] | None = None
    tool_call_id: StrictStr | None = None
    reasoning: StrictStr | None = None
    reasoning_content: StrictStr | None = None
    reasoning_details: list[dict[str, Any]] | None = None
    refusal: StrictStr | None = None
    annotations: list[Any] | None = None
    audio: None = None
    function_call: None = None

    @property
    def said(self) -> tuple[str, tuple[Image, ...]]:
        """Its words, and the images with their places among them."""
        given = [self.content] if isinstance(self.content, str) else map(_said, self.content or ())
        return joined((*given, self.refusal or ""))

    @property
    def thought(self) -> str:
        return self.reasoning or self.reasoning_content or "".join(map(_readable, self.reasoning_details or ()))


def _said(part: TextPart | PicturePart) -> str | Image:
    return part.text if isinstance(part, TextPart) else replace(part.image_url.url, detail=part.image_url.detail)


class Described(Wire):
    name: Annotated[StrictStr, Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
    description: StrictStr | None = None


class Function(Described):
    parameters: dict[str, Any] | None = None
    strict: StrictBool | None = None


class FunctionTool(Wire):
    type: Literal["function"]
    function: Function


class FunctionName(Wire):
    name: StrictStr


class NamedTool(Wire):
    type: Literal["function"]
    function: FunctionName


def _boolean(value: Any) -> Any:
    """A literal of pydantic's takes what is equal, and 0 equals false."""
    if value is not None and not isinstance(value, bool):
        raise PydanticCustomError("bool_type", "Input should be a valid boolean")
    return value


No = Annotated[Literal[False], BeforeValidator(_boolean)]


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _alone(value: Any) -> Any:
    """Of a list of one prompt, the prompt."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


class AskBody(Wire):
    """Fields that whatever asks a model has."""

    model: StrictStr
    stream: StrictBool | None = None
    stream_options: StreamOptions | None = None
    user: StrictStr | None = None
    metadata: Annotated[dict[StrictStr, StrictStr], Field(max_length=16)] | None = None
    firstpass: FirstpassOptions = FirstpassOptions()
    temperature: Annotated[Number, Field(ge=0, le=2)] | None = None
    top_p: Annotated[Number, Field(gt=0, le=1)] | None = None
    presence_penalty: Annotated[Number, Field(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[Number, Field(ge=-2, le=2)] | None = None


class TalkBody(AskBody):
    """Fields that chats and responses share.

    prompt_cache_key: a hint for hosts that are paid by it, as cache_control. safety_identifier: the newer `user`.
    """

    top_logprobs: Annotated[StrictInt, Field(ge=0, le=TOP_LOGPROBS_LIMIT)] | None = None
    parallel_tool_calls: StrictBool | None = None
    store: StrictBool | None = None
    prompt_cache_key: StrictStr | None = None
    safety_identifier: StrictStr | None = None


class SamplingBody(AskBody):
    """Fields that chat and plain completions share."""

    unsupported = UNSUPPORTED
    hints = HINTS
    max_tokens: Annotated[StrictInt, Field(ge=1)] | None = None
    n: Annotated[StrictInt, Field(ge=1, le=N_LIMIT)] | None = None
    stop: Annotated[StopTexts, BeforeValidator(_as_list, json_schema_input_type=StrictStr | StopTexts)] | None = None
    seed: StrictInt | None = None
    logit_bias: Annotated[dict[str, Annotated[Number, Field(ge=-100, le=100)]], at_most(BIASES_LIMIT)] | None = None
    top_k: Annotated[StrictInt, Field(ge=-1)] | None = None
    min_p: Annotated[Number, Field(ge=0, le=1)] | None = None
    repetition_penalty: Annotated[Number, Field(gt=0, le=10)] | None = None


class ChatBody(SamplingBody, TalkBody):
    messages: Annotated[list[ChatMessage], Field(min_length=1), at_most(PARTS_LIMIT)]
    max_completion_tokens: Annotated[StrictInt, Field(ge=1)] | None = None
    logprobs: StrictBool | None = None
    response_format: dict[str, Any] | None = None
    tools: Annotated[list[FunctionTool], Field(max_length=TOOLS_LIMIT)] | None = None
    tool_choice: Literal["auto", "none", "required"] | NamedTool | None = None
    reasoning_effort: StrictStr | None = None
    chat_template_kwargs: TemplateWords | None = None

    @classmethod
    def without_unseen(cls, fields: dict[str, Any], *, sees: bool) -> list[str]:
        sight = Sight(UNSEEN, PicturePart, "text", sees)
        for at, turn, is_newest in turns(fields, "messages"):
            sight.show(turn, "content", f"messages.{at}", fresh=is_newest, images=turn.get("role") in ("user", "tool"))
            details = turn.get("reasoning_details")
            if turn.get("role") != "assistant":
                sight.left_out.extend(f"messages.{at}.{name}" for name in THOUGHTS if turn.pop(name, None))
            elif isinstance(details, list) and not all(map(_readable, details)):
                sight.left_out.append(f"messages.{at}.reasoning_details")
        return sight.left_out


class CompletionBody(SamplingBody):
    prompt: Annotated[StrictStr, BeforeValidator(_alone, json_schema_input_type=StrictStr | OneText)]
    logprobs: Annotated[StrictInt, Field(ge=0, le=TOP_LOGPROBS_LIMIT)] | None = None
    echo: StrictBool | None = None
    suffix: StrictStr | None = None


class EmbeddingsBody(Wire):
    """input: a text or several; tokens as numbers are another model's, so they are refused."""

    model: StrictStr
    input: Annotated[Texts, BeforeValidator(_as_list, json_schema_input_type=StrictStr | Texts)]
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[StrictInt, Field(ge=1)] | None = None
    user: StrictStr | None = None
    firstpass: FirstpassOptions = FirstpassOptions()


class InferBody(Wire):
    """The origin's own shape: a model and a prompt; the reply carries the token logprobs."""

    model: StrictStr
    prompt: StrictStr
    max_tokens: Annotated[StrictInt, Field(ge=1)] | None = None
    temperature: Annotated[Number, Field(ge=0, le=2)] | None = None
    firstpass: FirstpassOptions = FirstpassOptions()


class EvidenceBody(Wire):
    """diff: as git writes it."""

    diff: StrictStr


class LabelBody(Wire):
    """What somebody says of an answer; an edit says how it should have been."""

    verdict: Literal["accept", "reject", "edit"]
    text: StrictStr | None = None
    source: Literal["user", "eval"] = "user"
