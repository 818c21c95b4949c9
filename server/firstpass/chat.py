"""What is said to a model and by it, whatever the dialect: messages, tools, decoding, the pieces of a stream.

Standard library only; it knows no wire format, no model and no exchange. The words are the OpenAI API's.
"""

import json
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

Dialect = Literal["openai", "anthropic"]
"""Wire formats that tiers speak."""

FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]


MOST_DIGITS = 300
"""Of a whole number: it is within a float's range, too."""


def strict_json(text: str, pairs: Callable[[list[tuple[str, Any]]], Any] | None = None) -> Any:
    """RFC 8259, 6: "Numeric values that cannot be represented [...] (such as Infinity and NaN) are not permitted."

    A number beyond a float's range would be read as infinite, and written so, which is no JSON; a whole one can't be
    counted with.
    pairs: makes an object of its members. Raises: ValueError, RecursionError.
    """
    return json.loads(text, object_pairs_hook=pairs, parse_constant=_no_constant, parse_float=_finite, parse_int=_whole)


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError(f"{digits[:20]} is larger than any number here")
    return number


def _whole(digits: str) -> int:
    if len(digits) > MOST_DIGITS:
        raise ValueError(f"{digits[:20]}... is larger than any number here")
    return int(digits)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no number")


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the model may call. parameters: a JSON schema of its arguments."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


ChoiceMode = Literal["auto", "none", "required", "named"]


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """Whether tools are called: as the model likes, never, at least one, or the one called `name`."""

    mode: ChoiceMode
    name: str | None = None


NO_ARGUMENTS = "{}"
"""What a tool is called with where nothing is said of it: some servers write "" or null, and most clients parse it."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """arguments: JSON as the model wrote it, which may be no JSON at all."""

    id: str
    name: str
    arguments: str

    @property
    def given(self) -> str:
        """The arguments as they are written for others: never empty."""
        return self.arguments if self.arguments.strip() else NO_ARGUMENTS


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
class Image:
    """A picture in a message. data: its bytes in base64. at: the number of the content's characters before it.

    detail: how closely it should be looked at, in the OpenAI API's words.
    """

    media_type: str
    data: str
    at: int = 0
    detail: str | None = None

    @property
    def url(self) -> str:
        return f"data:{self.media_type};base64,{self.data}"


def joined(parts: Iterable[str | Image], between: str = "") -> tuple[str, tuple[Image, ...]]:
    """The texts as one, and the images with their places in it. between: put where two texts meet."""
    said, images, length, met = list[str](), list[Image](), 0, ""
    for part in parts:
        if isinstance(part, str):
            said += (met, part)
            length, met = length + len(met) + len(part), between
        else:
            images.append(replace(part, at=length))
            met = ""
    return "".join(said), tuple(images)


@dataclass(frozen=True, slots=True)
class Message:
    """One turn. A tool's result names the call that it answers, and says whether the tool failed.

    images: in the order of their places, and only of users and tools.
    """

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str
    name: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    tool_failed: bool = False
    reasoning: Reasoning | None = None
    images: tuple[Image, ...] = ()

    @property
    def parts(self) -> Iterator[str | Image]:
        """The content with its images where they stand; no text is empty."""
        begin = 0
        for image in self.images:
            if begin < image.at:
                yield self.content[begin : image.at]
            yield image
            begin = image.at
        if begin < len(self.content):
            yield self.content[begin:]

    def told(self, say: Callable[[Image], str]) -> str:
        """The content with what is said of each image in its place."""
        return "".join(say(part) if isinstance(part, Image) else part for part in self.parts)

    @property
    def introduced(self) -> "Message":
        """For who knows no names of speakers: the name is in the content. A tool's is not needed there."""
        if not self.name or self.role == "tool":
            return self
        content, images = joined((f"{self.name}: ", *self.parts))
        return replace(self, content=content, images=images, name=None)


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to decode; None leaves the choice to the tier. Names and ranges are the OpenAI API's, else vLLM's.

    thinking_tokens: how many a model may think for, 0 for none. thinks_adaptively: as many as it finds that it needs.
    thinking_shown: False where the caller wants no more of the thoughts than their signature.
    """

    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    n: int | None = None
    stop: tuple[str, ...] | None = None
    seed: int | None = None
    logprobs: bool | int | None = None
    top_logprobs: int | None = None
    logit_bias: dict[str, float] | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    response_format: dict[str, Any] | None = None
    tools: tuple[Tool, ...] | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    reasoning_effort: str | None = None
    thinking_tokens: int | None = None
    thinks_adaptively: bool | None = None
    thinking_shown: bool | None = None
    top_k: int | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None
    chat_template_kwargs: dict[str, Any] | None = None
    echo: bool | None = None
    suffix: str | None = None
    dimensions: int | None = None
    encoding_format: Literal["float", "base64"] | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the tier counted them, never estimated from chunks.

    cached_tokens: of the prompt's, those that needed no computing. reasoning_tokens: of the completion's.
    """

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    reasoning_tokens: int = 0


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """A generated token and its natural-log probability.

    top: the likeliest tokens at its place with theirs, likeliest first, if they were asked for; not in the record.
    octets: its bytes, which need not be whole characters; None where its tier said none. top_octets: those of `top`.
    """

    token: str
    logprob: float
    top: tuple[tuple[str, float], ...] = ()
    octets: tuple[int, ...] | None = None
    top_octets: tuple[tuple[int, ...] | None, ...] = ()


@dataclass(frozen=True, slots=True)
class Delta:
    """What one event of a streamed reply adds to one of its choices, from 0.

    refusal: words in which the model refuses, where its dialect keeps them apart from its text.
    redacted: a whole thought that only its maker can read.
    """

    choice: int = 0
    text: str = ""
    refusal: str = ""
    reasoning: str = ""
    signature: str | None = None
    redacted: str | None = None
    calls: tuple[CallPiece, ...] = ()
    logprobs: tuple[TokenLogprob, ...] = ()
    finish_reason: str | None = None
    stop_sequence: str | None = None


@dataclass(frozen=True, slots=True)
class Chunk:
    """One event of a streamed reply: its bytes in the tier's dialect, and what they say.

    usage: as far as the tier has counted. last: nothing comes after it. for_caller: False where the bytes are only
    ours, such as a count that the caller did not ask for.
    """

    raw: bytes
    dialect: Dialect
    model: str
    deltas: tuple[Delta, ...] = ()
    usage: Usage | None = None
    last: bool = False
    for_caller: bool = True


@dataclass(frozen=True, slots=True)
class Abilities:
    """What an endpoint can do beside answering.

    logprobs: it returns them. vllm: it takes vLLM's own fields. thinks: its model reasons before it answers, and it
    takes a limit for that. leaves_out: fields of `Sampling` that it takes and does nothing with. chats: its model has a
    chat template. llama: it takes llama.cpp's own fields.
    """

    logprobs: bool = True
    vllm: bool = False
    thinks: bool = False
    leaves_out: frozenset[str] = frozenset()
    chats: bool = True
    llama: bool = False
