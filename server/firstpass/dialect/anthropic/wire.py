"""The bodies that callers of the Anthropic Messages API send. It knows no model and no policy.

Every field is named: honoured, refused with a reason, or unknown. Sources: the Anthropic API reference; the types
of the official client, anthropic 2.14.
"""

from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal, LiteralString

from pydantic import BeforeValidator, ConfigDict, Field, StrictBool, StrictInt, StrictStr
from pydantic_core import PydanticCustomError

from firstpass.chat import Image
from firstpass.dialect.by_type import ByType
from firstpass.dialect.images import Base64Image, lenient
from firstpass.dialect.openai.wire import PARTS_LIMIT, FirstpassOptions, No, Number, StopText, Wire, at_most
from firstpass.dialect.unseen import IMAGE, Sight, turns

CacheControl = dict[str, Any] | None
"""A hint for hosts that are paid by it; there is nothing to pay here."""

NOT_HERE = {
    "container": "nothing here runs code in a container",
    "mcp_servers": "nothing here connects to MCP servers",
    "inference_geo": "everything runs on this machine, or where its operator says",
    "output_format": "is called output_config.format now",
}

HINTS: Mapping[str, tuple[Any, ...]] = {"speed": ("standard",), "service_tier": ("auto", "standard_only")}
"""How fast and for how much an answer is made."""

UNSEEN = {"image": IMAGE, "document": "a document"}

TOOLS_LIMIT = 512
STOPS_LIMIT = 16
"""Anthropic names no limits; an engine has some."""

THINKING_BUDGET_LEAST = 1024
"""Anthropic's own."""

NO_SEAL = "firstpass"
"""Signs a thought that its maker did not: without a signature, clients say it again as their user's, or not at all."""


def sealed(signature: str | None) -> str | None:
    """The signature, if its maker gave one."""
    return None if signature in ("", NO_SEAL) else signature


class TextBlock(Wire):
    """citations: null where an answer is sent back as it came."""

    type: Literal["text"]
    text: StrictStr
    cache_control: CacheControl = None
    citations: Annotated[list[Any], Field(max_length=0)] | None = None


class ImageSource(Wire):
    """Nothing here fetches an image from elsewhere, or keeps files."""

    type: Literal["base64"]
    media_type: StrictStr | None = None
    data: Base64Image


class ImageBlock(Wire):
    """source: of type base64, with the image's media_type and its data."""

    model_config = lenient("image")
    type: Literal["image"]
    source: ImageSource
    cache_control: CacheControl = None


def said(block: TextBlock | ImageBlock) -> str | Image:
    return block.text if isinstance(block, TextBlock) else block.source.data


class ThinkingBlock(Wire):
    type: Literal["thinking"]
    thinking: StrictStr
    signature: StrictStr | None = None


class RedactedBlock(Wire):
    type: Literal["redacted_thinking"]
    data: StrictStr


def _as_object(value: Any) -> Any:
    """No arguments are none, however they are written."""
    return {} if value in (None, "") else value


class Direct(Wire):
    type: Literal["direct"]


class ToolUseBlock(Wire):
    """caller: who called the tool; here it is always the model itself."""

    type: Literal["tool_use"]
    id: Annotated[StrictStr, Field(min_length=1)]
    name: StrictStr
    input: Annotated[dict[str, Any], BeforeValidator(_as_object)] = Field(default_factory=dict)
    caller: Direct | None = None
    toolset_name: None = None
    cache_control: CacheControl = None


def _of_types(known: Collection[str | None], message: LiteralString) -> BeforeValidator:
    """What has another type is named in the error."""

    def check(value: Any) -> Any:
        if isinstance(value, dict) and value.get("type") not in known:
            raise PydanticCustomError("unsupported", message, {"kind": str(value.get("type", "untyped"))[:80]})
        return value

    return BeforeValidator(check)


TextOnly = Annotated[TextBlock, _of_types(("text", None), "{kind} blocks are not supported; only text is")]
Shown = Annotated[TextBlock | ImageBlock, ByType(), _of_types(("text", "image"), "{kind} blocks are not supported")]


class ToolResultBlock(Wire):
    type: Literal["tool_result"]
    tool_use_id: StrictStr
    content: StrictStr | Annotated[list[Shown], at_most(PARTS_LIMIT)] | None = None
    is_error: StrictBool | None = None
    toolset_name: None = None
    cache_control: CacheControl = None


BLOCKS = ("text", "thinking", "redacted_thinking", "tool_use", "tool_result", "image")


Block = Annotated[
    TextBlock | ImageBlock | ThinkingBlock | RedactedBlock | ToolUseBlock | ToolResultBlock,
    ByType(),
    _of_types(BLOCKS, "{kind} blocks are not supported"),
]


class Turn(Wire):
    role: Literal["user", "assistant", "system"]
    content: StrictStr | Annotated[list[Block], at_most(PARTS_LIMIT)]


class CustomTool(Wire):
    """eager_input_streaming: arguments are always streamed as they are written.

    allowed_callers: only the model itself. defer_loading: every tool is shown to the model at once.
    """

    type: Literal["custom"] | None = None
    name: Annotated[StrictStr, Field(pattern=r"^[a-zA-Z0-9_-]{1,128}$")]
    description: StrictStr | None = None
    input_schema: dict[str, Any]
    strict: StrictBool | None = None
    eager_input_streaming: StrictBool | None = None
    allowed_callers: list[Literal["direct"]] | None = None
    defer_loading: No | None = None
    cache_control: CacheControl = None


NO_CUSTOM = "{kind} is a tool of Anthropic's own; here are only custom ones, with an input_schema"
OwnTool = Annotated[CustomTool, _of_types(("custom", None), NO_CUSTOM)]


class ToolChoiceWish(Wire):
    type: Literal["auto", "any", "none", "tool"]
    name: StrictStr | None = None
    disable_parallel_tool_use: StrictBool | None = None


class Thinking(Wire):
    type: Literal["enabled", "adaptive", "disabled"]
    budget_tokens: Annotated[StrictInt, Field(ge=THINKING_BUDGET_LEAST)] | None = None
    display: Literal["summarized", "omitted"] | None = None


class OutputFormat(Wire):
    """schema_: called `schema` on the wire, which pydantic keeps for itself."""

    type: Literal["json_schema"]
    schema_: Annotated[dict[str, Any], Field(alias="schema")]


class OutputConfig(Wire):
    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None
    format: OutputFormat | None = None


class KeepThinking(Wire):
    type: Literal["clear_thinking_20251015"]
    keep: Literal["all"]


class ContextManagement(Wire):
    """Only what changes nothing can be promised: that all thinking is kept."""

    edits: tuple[KeepThinking, ...] = ()


class Diagnostics(Wire):
    """A question about the prompt cache of a host that is paid by it; as `cache_control`, it changes no answer."""

    previous_message_id: StrictStr | None = None


class UserMetadata(Wire):
    user_id: StrictStr | None = None


Stops = Annotated[list[Annotated[StopText, Field(min_length=1)]], Field(max_length=STOPS_LIMIT)]


class PromptBody(Wire):
    """What counts as input."""

    unsupported = NOT_HERE
    hints = HINTS
    model: StrictStr
    messages: Annotated[list[Turn], Field(min_length=1), at_most(PARTS_LIMIT)]
    system: StrictStr | Annotated[list[TextOnly], at_most(PARTS_LIMIT)] | None = None
    tools: Annotated[list[OwnTool], at_most(TOOLS_LIMIT)] | None = None
    tool_choice: ToolChoiceWish | None = None
    thinking: Thinking | None = None
    output_config: OutputConfig | None = None
    context_management: ContextManagement | None = None
    cache_control: CacheControl = None
    firstpass: FirstpassOptions = FirstpassOptions()

    @classmethod
    def without_unseen(cls, fields: dict[str, Any], *, sees: bool) -> list[str]:
        """What a tool read is history, in the newest turn too."""
        sight = Sight(UNSEEN, ImageBlock, "text", sees)
        for at, turn, is_newest in turns(fields, "messages"):
            sight.show(turn, "content", f"messages.{at}", fresh=is_newest, images=turn.get("role") == "user")
            for number, block in enumerate(turn["content"] if isinstance(turn.get("content"), list) else ()):
                if isinstance(block, dict) and block.get("type") == "tool_result":
                    sight.show(block, "content", f"messages.{at}.content.{number}")
        return sight.left_out


class MessagesBody(PromptBody):
    max_tokens: Annotated[StrictInt, Field(ge=1)]
    temperature: Annotated[Number, Field(ge=0, le=1)] | None = None
    top_p: Annotated[Number, Field(gt=0, le=1)] | None = None
    top_k: Annotated[StrictInt, Field(ge=0)] | None = None
    stop_sequences: Stops | None = None
    stream: StrictBool | None = None
    metadata: UserMetadata | None = None
    diagnostics: Diagnostics | None = None


class ModelsPage(Wire):
    """Of the list of models. Other parameters say nothing here."""

    model_config = ConfigDict(extra="ignore")
    limit: int | None = Field(None, ge=1, le=1000, description="How many at once.")
    after_id: StrictStr | None = Field(None, description="Those after this one.")
    before_id: StrictStr | None = Field(None, description="Those before this one; not with after_id.")
