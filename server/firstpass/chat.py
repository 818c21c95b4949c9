"""What a chat may hold beside text, whatever the dialect: tools, their calls, reasoning; and what endpoints can do.

Standard library only; it knows no wire format and no model. The words are the OpenAI API's.
"""

from dataclasses import dataclass
from typing import Any, Literal

Dialect = Literal["openai", "anthropic"]
"""Wire formats that tiers speak."""

FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the model may call. parameters: a JSON schema of its arguments."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """Whether tools are called: as the model likes, never, at least one, or the one called `name`."""

    mode: Literal["auto", "none", "required", "named"]
    name: str | None = None


@dataclass(frozen=True, slots=True)
class ToolCall:
    """arguments: JSON as the model wrote it, which may be no JSON at all."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Reasoning:
    """What a model thought before its answer. signature: its maker's seal, to be sent back unchanged; or None.

    redacted: thoughts that only their maker can read, which go back to it unchanged; then there is no text.
    """

    text: str
    signature: str | None = None
    redacted: str | None = None


@dataclass(frozen=True, slots=True)
class CallPiece:
    """A part of a streamed tool call: the first has its id and name, the others more of the arguments.

    index: which call of the reply it belongs to, from 0.
    """

    index: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""


@dataclass(frozen=True, slots=True)
class Abilities:
    """What an endpoint can do beside answering.

    logprobs: it returns them. vllm: it takes vLLM's own fields. thinks: its model reasons before it answers, and it
    takes a limit for that.
    """

    logprobs: bool = True
    vllm: bool = False
    thinks: bool = False
