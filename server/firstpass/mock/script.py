"""What the scripted server answers, in the shapes of the OpenAI and the Anthropic API. Knows no socket and no fault."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Script:
    """text: what is said; None says again what was asked last. tokens: at most so many words of it.

    delay_seconds: before the first word, or a whole answer's first byte. tokens_a_second: 0 sends them all at once.
    """

    model: str = "mock"
    text: str | None = None
    tokens: int = 64
    delay_seconds: float = 0.0
    tokens_a_second: float = 0.0

    def answer(self, path: str, body: Body) -> "Reply":
        limit = body.get("max_tokens") or body.get("max_completion_tokens") or self.tokens
        words = re.findall(r"\s*\S+", last_said(body) if self.text is None else self.text)
        most = min(self.tokens, limit if isinstance(limit, int) else self.tokens)
        return Reply(path, self.model, body, tuple(words[:most]), len(words) > most)


def last_said(body: Body) -> str:
    """The text of the last message, or of the prompt; whatever else was asked is nothing."""
    turns = body.get("messages")
    said = turns[-1].get("content") if isinstance(turns, list) and turns else body.get("prompt")
    if isinstance(said, list):
        said = "".join(part.get("text", "") for part in said if isinstance(part, dict))
    return said if isinstance(said, str) else ""


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer. cut: more was to be said than there was room for."""

    path: str
    model: str
    body: Body
    words: tuple[str, ...]
    cut: bool

    @property
    def streams(self) -> bool:
        return bool(self.body.get("stream")) and self.path in ("chat/completions", "completions", "messages")

    def whole(self) -> dict[str, Any]:
        match self.path:
            case "messages":
                return self._message() | self._stop() | {"content": [{"type": "text", "text": self._text()}]}
            case "embeddings":
                return self._embeddings()
            case "completions":
                choice: dict[str, Any] = {"text": self._text()}
            case _:
                choice = {"message": {"role": "assistant", "content": self._text()}}
        choice |= {"index": 0, "finish_reason": self._reason(), "logprobs": self._logprobs(self.words)}
        return self._base("text_completion" if self.path == "completions" else "chat.completion") | {
            "choices": [choice],
            "usage": self._usage(),
        }

    def events(self) -> Iterator[bytes]:
        """A word an event, with the events before and after them."""
        return self._message_events() if self.path == "messages" else self._chat_events()

    def _text(self) -> str:
        return "".join(self.words)

    def _reason(self) -> str:
        return "length" if self.cut else "stop"

    def _base(self, kind: str) -> dict[str, Any]:
        return {"id": "mock-1", "object": kind, "created": 1, "model": self.model}

    def _usage(self) -> dict[str, int]:
        read, written = len(last_said(self.body).split()), len(self.words)
        return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}

    def _logprobs(self, words: tuple[str, ...]) -> dict[str, Any] | None:
        if not self.body.get("logprobs") or self.path != "chat/completions":
            return None
        return {"content": [{"token": word, "logprob": -0.1, "top_logprobs": []} for word in words]}

    def _embeddings(self) -> dict[str, Any]:
        asked = self.body.get("input")
        count = len(asked) if isinstance(asked, list) else 1
        data = [{"object": "embedding", "index": at, "embedding": [0.5, 0.5]} for at in range(count)]
        return {"object": "list", "model": self.model, "data": data, "usage": {"prompt_tokens": 1, "total_tokens": 1}}

    def _chat_events(self) -> Iterator[bytes]:
        base, chat = self._base("chat.completion.chunk"), self.path == "chat/completions"
        if not chat:
            base["object"] = "text_completion"
        for word in self.words:
            said: dict[str, Any] = {"delta": {"role": "assistant", "content": word}} if chat else {"text": word}
            choice = {"index": 0, "finish_reason": None, "logprobs": self._logprobs((word,))} | said
            yield data_of(base | {"choices": [choice]})
        end: dict[str, Any] = {"delta": {}} if chat else {"text": ""}
        yield data_of(base | {"choices": [{"index": 0, "finish_reason": self._reason()} | end]})
        if (self.body.get("stream_options") or {}).get("include_usage"):
            yield data_of(base | {"choices": [], "usage": self._usage()})
        yield b"data: [DONE]\n\n"

    def _message(self) -> dict[str, Any]:
        usage = self._usage()
        counts = {"input_tokens": usage["prompt_tokens"], "output_tokens": usage["completion_tokens"]}
        return {"id": "msg_mock", "type": "message", "role": "assistant", "model": self.model, "usage": counts}

    def _stop(self) -> dict[str, Any]:
        return {"stop_reason": "max_tokens" if self.cut else "end_turn", "stop_sequence": None}

    def _message_events(self) -> Iterator[bytes]:
        message = self._message()
        begun = message | {"content": [], "stop_reason": None, "stop_sequence": None}
        yield named({"type": "message_start", "message": begun})
        yield named({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})
        for word in self.words:
            delta = {"type": "text_delta", "text": word}
            yield named({"type": "content_block_delta", "index": 0, "delta": delta})
        yield named({"type": "content_block_stop", "index": 0})
        yield named({"type": "message_delta", "delta": self._stop(), "usage": message["usage"]})
        yield named({"type": "message_stop"})


def data_of(fields: Body) -> bytes:
    return b"data: " + json.dumps(fields).encode() + b"\n\n"


def named(fields: Body) -> bytes:
    """As the Anthropic API writes events: with their type before their data."""
    return f"event: {fields['type']}\n".encode() + data_of(fields)
