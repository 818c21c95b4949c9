"""The bodies of the Responses API. Every field is named: honoured, refused with a reason, or unknown.

It knows no model and no policy. Source: the OpenAI API reference; openai-python 3.54, openai/types/responses.
"""

from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, ConfigDict, Field, StrictBool, StrictInt, StrictStr
from pydantic_core import PydanticCustomError

from firstpass.chat import Image, joined
from firstpass.dialect.by_type import ByType
from firstpass.dialect.images import ImageUrl, lenient
from firstpass.dialect.openai.wire import (
    PARTS_LIMIT,
    TOOLS_LIMIT,
    Described,
    Function,
    No,
    StreamOptions,
    TalkBody,
    Wire,
    at_most,
)
from firstpass.dialect.unseen import IMAGE, Sight, turns

UNSEEN = {"input_image": IMAGE, "input_file": "a document", "input_audio": "a recording"}

ITEMS_LIMIT = 10_000
NOTES_LIMIT = 64
INCLUDED_LIMIT = 64

Included = Literal["reasoning.encrypted_content", "message.output_text.logprobs"]

NEVER_THERE = frozenset(
    (
        "code_interpreter_call.outputs", "computer_call_output.output.image_url", "file_search_call.results",
        "message.input_image.image_url", "web_search_call.action.sources", "web_search_call.results",
    )
)  # fmt: skip
"""What `include` may ask for of tools and parts that no answer here has."""

HINTS = {
    "prompt_cache_retention": (),
    "prompt_cache_options": (),
    "service_tier": ("auto", "default"),
    "max_tool_calls": (),
    "truncation": ("disabled",),
    "reasoning.context": ("auto", "all_turns"),
    "reasoning.mode": ("standard",),
    "text.verbosity": ("medium",),
    "stream_options.include_obfuscation": (False,),
}
"""As for a chat; and how many tools a host may call by itself, when none is, and that it may cut what is too long."""


def _one_of(*known: str, or_else: str) -> BeforeValidator:
    """A value that is none of the known ones is named in the error, with what can be done about it."""

    def check(value: Any) -> Any:
        if isinstance(value, str) and value not in known:
            raise PydanticCustomError("unsupported", "{value}: {hint}", {"value": value, "hint": or_else})
        return value

    return BeforeValidator(check)


class Part(Wire):
    """A piece of a message. annotations and logprobs come back from clients that send an answer as they got it."""

    type: Literal["input_text", "output_text", "refusal"]
    text: StrictStr = ""
    refusal: StrictStr = ""
    annotations: list[Any] | None = None
    logprobs: list[Any] | None = None

    @property
    def said(self) -> str:
        return self.refusal if self.type == "refusal" else self.text


class PicturePart(Wire):
    """image_url: a data: URL. detail: how closely to look."""

    model_config = lenient("input_image")
    type: Literal["input_image"]
    image_url: ImageUrl
    detail: Literal["auto", "low", "high", "original"] | None = None
    file_id: None = None

    @property
    def said(self) -> Image:
        return replace(self.image_url, detail=self.detail)


Said = StrictStr | Annotated[list[Annotated[Part | PicturePart, ByType()]], at_most(PARTS_LIMIT)]


def told(said: Said) -> tuple[str, tuple[Image, ...]]:
    """The words, and the images with their places among them."""
    return joined([said] if isinstance(said, str) else (part.said for part in said))


class Stamped(Wire):
    """A field of notes that Codex puts on every item for whom it takes for OpenAI: openai/codex#28968."""

    internal_chat_message_metadata_passthrough: dict[str, Any] | None = None


class Echoed(Stamped):
    """What may come back with an answer that is sent again."""

    id: StrictStr | None = None
    status: StrictStr | None = None


class Turn(Echoed):
    """phase, end_turn, id and status come back with an answer that is sent again; they say nothing to a model."""

    type: Literal["message"] = "message"
    role: Literal["user", "system", "developer", "assistant"]
    content: Said
    phase: StrictStr | None = None
    end_turn: StrictBool | None = None


class AnyCall(Echoed):
    call_id: Annotated[StrictStr, Field(min_length=1)]
    name: StrictStr
    namespace: StrictStr | None = None


class Call(AnyCall):
    type: Literal["function_call"]
    arguments: StrictStr | None = None


class FreeformCall(AnyCall):
    """A call of a custom tool: a text, not JSON."""

    type: Literal["custom_tool_call"]
    input: StrictStr


class CallOutput(Echoed):
    """name: of the tool, which Codex says with what a custom one gave."""

    type: Literal["function_call_output", "custom_tool_call_output"]
    call_id: StrictStr
    output: Said
    name: StrictStr | None = None


class SummaryText(Wire):
    type: Literal["summary_text"]
    text: StrictStr


class ThoughtText(Wire):
    type: Literal["reasoning_text", "text"]
    text: StrictStr


class Thought(Echoed):
    """encrypted_content: its maker's seal; no model but the maker's can read it."""

    type: Literal["reasoning"]
    summary: tuple[SummaryText, ...] = ()
    content: tuple[ThoughtText, ...] | None = None
    encrypted_content: StrictStr | None = None

    @property
    def text(self) -> str:
        return "\n\n".join(part.text for part in self.content or self.summary)


class FlatTool(Function):
    """A function. The last two say how OpenAI's own hosts may load and call it; only their defaults are met here."""

    type: Literal["function"]
    defer_loading: No | None = None
    output_schema: None = None


class InputFormat(Wire):
    type: Literal["text", "grammar"]
    syntax: StrictStr | None = None
    definition: StrictStr | None = None


class FreeformTool(Described):
    """A tool that is called with a text. A model is told of the grammar of that text, and nothing holds it to it."""

    type: Literal["custom"]
    format: InputFormat | None = None
    defer_loading: No | None = None


class OtherTool(Wire):
    """A tool that nothing here can call: it is left out, and the answer's headers name its type."""

    model_config = ConfigDict(extra="allow")
    type: Annotated[
        StrictStr,
        Field(pattern=r"^[a-z0-9_]{1,64}$", json_schema_extra={"not": {"enum": ["custom", "function", "namespace"]}}),
    ]


InnerTool = Annotated[FlatTool | FreeformTool | OtherTool, ByType()]


class Namespace(Described):
    """Tools of one origin: Codex makes one of each MCP server. Each is called by the namespace and its name."""

    type: Literal["namespace"]
    tools: Annotated[list[InnerTool], Field(max_length=TOOLS_LIMIT)]


AnyTool = Annotated[FlatTool | FreeformTool | Namespace | OtherTool, ByType()]
AnyTools = Annotated[list[AnyTool], Field(max_length=TOOLS_LIMIT)]


class AdditionalTools(Stamped):
    """Tools that come with an item of the conversation; they are offered like those of the request."""

    type: Literal["additional_tools"]
    role: Literal["developer"] | None = None
    tools: AnyTools
    id: StrictStr | None = None


class Thinking(Wire):
    """summary: nothing here makes one, so what is given is the whole thought, however concise it was wished for."""

    effort: StrictStr | None = None
    summary: Literal["auto", "detailed", "concise"] | None = None
    generate_summary: Literal["auto", "detailed", "concise"] | None = None


class TextFormat(Wire):
    type: Literal["text", "json_object", "json_schema"]
    name: StrictStr | None = None
    schema_: dict[str, Any] | None = Field(default=None, alias="schema")
    description: StrictStr | None = None
    strict: StrictBool | None = None


class TextOptions(Wire):
    format: TextFormat | None = None


class NewText(TextOptions):
    verbosity: StrictStr | None = None


class ConfigurationUpdate(Stamped):
    """Takes the place of what the request says of thinking and of the text's form: Codex changes them as it goes."""

    type: Literal["configuration_update"]
    reasoning: Thinking | None = None
    text: NewText | None = None
    id: StrictStr | None = None


class Reference(Wire):
    type: Literal["item_reference"] = "item_reference"
    id: StrictStr


def _never(value: Any) -> Any:
    message = "{value}: items of this type are not supported"
    raise PydanticCustomError("unsupported", message, {"value": str(value)[:80]})


class NoItem(Wire):
    """An item of a kind that nothing here can read; always a fault."""

    model_config = ConfigDict(extra="allow", json_schema_extra={"not": {}})
    type: Annotated[Any, BeforeValidator(_never)]


def _untyped(value: Any) -> str:
    """An item without a type is a message, or where it has an id and nothing else, a reference."""
    return "item_reference" if isinstance(value, dict) and value.keys() <= {"id", "type"} else "message"


AnyItem = Turn | Call | CallOutput | FreeformCall | Thought | AdditionalTools | ConfigurationUpdate | Reference | NoItem
Item = Annotated[AnyItem, ByType(_untyped)]
Items = Annotated[list[Item], Field(min_length=1, max_length=ITEMS_LIMIT)]


class NamedFunction(Wire):
    type: Annotated[
        Literal["function", "custom"],
        _one_of("function", "custom", or_else="only functions and custom tools can be chosen"),
    ]
    name: StrictStr
    namespace: StrictStr | None = None


class ResponsesStreamOptions(StreamOptions):
    include_usage: No = False


def _there(value: Any) -> Any:
    return [one for one in value if str(one) not in NEVER_THERE] if isinstance(value, list) else value


def _as_turn(value: Any) -> Any:
    return [{"role": "user", "content": value}] if isinstance(value, str) else value


class ResponsesBody(TalkBody):
    unsupported: ClassVar = {
        "conversation": "conversations are not kept; give previous_response_id",
        "prompt": "prompts are not kept here; send the text",
        "context_management": "nothing is compacted here",
        "moderation": "nothing is moderated here",
    }
    hints: ClassVar = HINTS
    input: Annotated[Items, BeforeValidator(_as_turn, json_schema_input_type=StrictStr | Items)]
    instructions: StrictStr | None = None
    max_output_tokens: Annotated[StrictInt, Field(ge=1)] | None = None
    stream_options: ResponsesStreamOptions | None = None
    previous_response_id: StrictStr | None = None
    tools: AnyTools | None = None
    tool_choice: Literal["auto", "none", "required"] | NamedFunction | None = None
    reasoning: Thinking = Thinking()
    text: TextOptions = TextOptions()
    include: Annotated[tuple[Included, ...], BeforeValidator(_there), at_most(INCLUDED_LIMIT)] = ()
    client_metadata: Annotated[dict[StrictStr, StrictStr], at_most(NOTES_LIMIT)] | None = None
    background: No | None = None

    @classmethod
    def without_unseen(cls, fields: dict[str, Any], *, sees: bool) -> list[str]:
        """What a tool gave back is history, in the newest turn too."""
        sight = Sight(UNSEEN, PicturePart, "input_text", sees)
        for at, item, is_newest in turns(fields, "input"):
            sight.show(item, "content", f"input.{at}", fresh=is_newest, images=item.get("role") == "user")
            sight.show(item, "output", f"input.{at}")
        return sight.left_out


class CursorBody(ResponsesBody):
    """A Responses body that was sent to /v1/chat/completions, whose streams can end with a count."""

    stream_options: StreamOptions | None = None  # type: ignore[assignment]
