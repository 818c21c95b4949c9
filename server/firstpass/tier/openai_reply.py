"""What an OpenAI endpoint answers, read: a whole reply, or a stream event by event. Knows no connection and no policy.

Sources: the OpenAI API reference; vLLM 0.32, whose `reasoning` and `stop_reason` are beside it. Raises one of NONSENSE
for what is none.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from firstpass.chat import CallPiece, Chunk, Delta, Reasoning, TokenLogprob, ToolCall, Usage
from firstpass.exchange import Ask, Reply
from firstpass.tier.gathered import Gathered
from firstpass.tier.values import count, logprob, text

DONE = b"[DONE]"


def whole_reply(ask: Ask, raw: bytes, seconds: float) -> Reply:
    answer = json.loads(raw)
    if ask.kind == "embedding":
        assert_embeddings(answer)
        return Reply("", text(answer["model"]), None, _usage(answer.get("usage")), seconds, raw=raw)
    texts = [_choice_text(choice) for choice in answer["choices"]]
    first = answer["choices"][0]
    logprobs = _logprobs(first.get("logprobs"))
    if ask.scored:
        texts = [ask.messages[-1].content]
        logprobs = _scored(answer["prompt_logprobs"], texts[0])
    message = first.get("message") or {}
    reasoning = text(message.get("reasoning") or message.get("reasoning_content"))
    return Reply(
        text=texts[0],
        model=text(answer["model"]),
        finish_reason=text(first.get("finish_reason")) or None,
        usage=_usage(answer.get("usage")),
        seconds=seconds,
        logprobs=logprobs,
        others=tuple(texts[1:]),
        raw=raw,
        tool_calls=tuple(_call(call) for call in message.get("tool_calls") or ()),
        reasoning=Reasoning(reasoning) if reasoning else None,
        stop_sequence=_stop_sequence(first),
    )


def assert_embeddings(answer: dict[str, Any]) -> None:
    """Raises: TypeError, KeyError."""
    if not all(isinstance(entry["embedding"], list | str) for entry in answer["data"]):
        raise TypeError("an embedding was expected")


@dataclass(slots=True)
class OpenAIStream(Gathered):
    """Reads a stream's events into one reply. wants_usage: the caller asked for the count that comes at the end."""

    wants_usage: bool = False

    def read(self, event: bytes, data: bytes, seconds: float) -> Chunk:
        """One event of the stream, added; its usage alone is for the caller only where that was asked for."""
        if data == DONE:
            self.done = True
            return Chunk(event, "openai", self.model, last=True)
        fields = json.loads(data)
        self.model = text(fields.get("model")) or self.model
        if fields.get("usage"):
            self.usage = _usage(fields["usage"])
        deltas = tuple(self.add(_delta(choice, len(self.calls)), seconds) for choice in fields["choices"])
        tidied = [_tidy(*pair) for pair in zip(fields["choices"], deltas, strict=True)]
        raw = b"data: " + json.dumps(fields, separators=(",", ":")).encode() + b"\n\n" if any(tidied) else event
        for_caller = bool(fields["choices"]) or self.wants_usage
        return Chunk(raw, "openai", self.model, deltas, self.usage, for_caller=for_caller)


def _delta(choice: dict[str, Any], known: int) -> Delta:
    """known: how many calls have begun before."""
    inner = choice.get("delta") or {}
    said = inner.get("content") if "delta" in choice else choice["text"]
    return Delta(
        choice=count(choice.get("index", 0)),
        text=text(said),
        reasoning=text(inner.get("reasoning") or inner.get("reasoning_content")),
        calls=tuple(_pieces(inner.get("tool_calls") or (), known)),
        logprobs=_logprobs(choice.get("logprobs")),
        finish_reason=text(choice.get("finish_reason")) or None,
        stop_sequence=_stop_sequence(choice),
    )


def _pieces(calls: Iterable[dict[str, Any]], known: int) -> Iterator[CallPiece]:
    """A call without its index is a new one where it has an id, else more of the last."""
    for call in calls:
        function = call.get("function") or {}
        call_id, name = text(call.get("id")) or None, text(function.get("name")) or None
        known += bool(call_id)
        index = call["index"] if "index" in call else max(0, known - 1)
        yield CallPiece(count(index), call_id, name, text(function.get("arguments")))


def _tidy(choice: dict[str, Any], delta: Delta) -> bool:
    """Mends in place what clients fall over, an empty list of calls or one without its index; whether it did.

    Sources: BerriAI/litellm#29286; openai/openai-python pull request 3246.
    """
    inner = choice.get("delta") or {}
    calls = inner.get("tool_calls")
    if calls == []:
        del inner["tool_calls"]
        return True
    bare = [(call, piece) for call, piece in zip(calls or (), delta.calls, strict=True) if "index" not in call]
    for call, piece in bare:
        call["index"] = piece.index
    return bool(bare)


def _call(call: dict[str, Any]) -> ToolCall:
    function = call["function"]
    return ToolCall(text(call.get("id")), text(function["name"]), text(function.get("arguments")))


def _stop_sequence(choice: dict[str, Any]) -> str | None:
    """vLLM says which of the asked ones ended it; a number is a token's."""
    reason = choice.get("stop_reason")
    return text(reason) if isinstance(reason, str) else None


def _choice_text(choice: dict[str, Any]) -> str:
    return text(choice["message"].get("content") if "message" in choice else choice["text"])


def _usage(usage: dict[str, Any] | None) -> Usage | None:
    if not usage:
        return None
    cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens")
    reasoned = (usage.get("completion_tokens_details") or {}).get("reasoning_tokens")
    prompt, completion = count(usage["prompt_tokens"]), count(usage.get("completion_tokens") or 0)
    return Usage(prompt, completion, count(cached or 0), count(reasoned or 0))


def _logprobs(block: dict[str, Any] | None) -> tuple[TokenLogprob, ...]:
    """Both shapes: chat has a list of entries, completions two parallel lists (its first may be null, for echo)."""
    if not block:
        return ()
    if "content" in block:
        return tuple(
            TokenLogprob(*_pair(entry), tuple(map(_pair, entry.get("top_logprobs") or ())))
            for entry in block["content"] or ()
            if entry["logprob"] is not None
        )
    pairs = zip(block["tokens"], block["token_logprobs"], strict=True)
    return tuple(TokenLogprob(text(token), logprob(value)) for token, value in pairs if value is not None)


def _scored(prompt: list[dict[str, Any] | None], said: str) -> tuple[TokenLogprob, ...]:
    """The tokens that spell a text with which the prompt ends; the first of them may have begun before it.

    prompt: vLLM's: at each place tokens by id, the prompt's own first. Raises: ValueError where it ends otherwise.
    """
    tokens, left = [], said
    for place in reversed(prompt):
        if not left:
            break
        entry: dict[str, Any] = next(iter((place or {}).values()), {})
        token = TokenLogprob(text(entry["decoded_token"]), logprob(entry["logprob"]))
        if not left.endswith(token.token) and not token.token.endswith(left):
            raise ValueError("the prompt does not end with the text")
        tokens.append(token)
        left = left.removesuffix(token.token) if left.endswith(token.token) else ""
    if left:
        raise ValueError("the prompt is shorter than the text")
    return tuple(reversed(tokens))


def _pair(entry: dict[str, Any]) -> tuple[str, float]:
    return text(entry["token"]), logprob(entry["logprob"])
