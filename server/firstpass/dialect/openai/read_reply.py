"""What an OpenAI endpoint answers, read: a whole reply, or a stream event by event. Knows no connection and no policy.

Sources: the OpenAI API reference; vLLM 0.32, whose `reasoning` and `stop_reason` are beside it. Raises one of NONSENSE
for what is none.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from firstpass.chat import CallPiece, Chunk, Delta, Reasoning, TokenLogprob, ToolCall, Usage
from firstpass.dialect import render
from firstpass.dialect.gathered import Gathered
from firstpass.dialect.openai.calls import CallReader, as_sent, says, unlike
from firstpass.dialect.openai.embeddings import in_form
from firstpass.dialect.openai.llama_cpp import in_lists, without_beginning
from firstpass.dialect.values import ErrorEvent, arguments, count, logprob, octets, parsed, text, wire_error
from firstpass.exchange import Ask, Reply

DONE = b"[DONE]"

BASE = ("id", "object", "created", "model", "system_fingerprint")
"""What all events of a stream say alike."""

WORDS = frozenset({"content", "role"})
"""Nearly every event of a stream has nothing else in it, and is read without a look for more."""


def whole_reply(ask: Ask, raw: bytes, seconds: float) -> Reply:
    answer = parsed(raw)
    if ask.kind == "embedding":
        raw = in_form(answer, raw, ask.sampling.encoding_format or "float")
        return Reply("", text(answer["model"]), None, _usage(answer.get("usage")), seconds, raw=raw)
    raw = _mended(answer, raw, call_prefix(ask))
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
        refusal=text(message.get("refusal")) or None,
    )


def whole_from_llama(ask: Ask, raw: bytes, seconds: float) -> Reply:
    """llama.cpp says the beginning again that a reply goes on from, in whole replies alone."""
    return whole_reply(ask, without_beginning(raw, ask.messages[-1].content) if ask.continues else raw, seconds)


def call_prefix(ask: Ask) -> str:
    """Of the ids of calls to which a model gave none: results come back by them."""
    return f"call_{ask.id}"


def _mended(answer: dict[str, Any], raw: bytes, prefix: str) -> bytes:
    """The body with arguments and an id of its own for every call, mended in place; as it came where none lacks them.

    And with a completion's log-probabilities in lists. Source: openai/openai-agents-js#664.
    """
    changed = False
    for choice in answer["choices"]:
        if _as_a_chat_s(choice):
            choice["logprobs"], _ = in_lists(choice["logprobs"], 0)
            changed = True
        taken: set[str] = set()
        for at, call in enumerate((choice.get("message") or {}).get("tool_calls") or ()):
            given, function = text(call.get("id")), call["function"]
            own, whole = unlike(given or f"{prefix}_{at}", at, taken), arguments(function.get("arguments"))
            changed |= own != given or function.get("arguments") != whole
            call |= {"id": own} if own != given else {}
            function["arguments"] = whole
            taken.add(own)
    return render.dump(answer) if changed else raw


@dataclass(slots=True)
class OpenAIStream(Gathered):
    """Reads a stream's events into one reply. wants_usage: the caller asked for the count that comes at the end.

    tools: the names of those that the model may call. prefix: of the ids of calls to which it gives none.
    """

    wants_usage: bool = False
    tools: Collection[str] = ()
    prefix: str = ""
    readers: dict[int, CallReader] = field(default_factory=dict)
    base: dict[str, Any] = field(default_factory=dict)
    characters: dict[int, int] = field(default_factory=dict)

    def read(self, event: bytes, data: bytes, seconds: float) -> Chunk:
        """One event of the stream, added; its usage alone is for the caller only where that was asked for.

        Raises: ErrorEvent.
        """
        if data == DONE:
            return self.close(seconds, event)
        fields = parsed(data)
        if fields.get("error") or fields.get("object") == "error":
            raise ErrorEvent(wire_error(data))
        self.model = text(fields.get("model")) or self.model
        if fields.get("usage"):
            self.usage = _usage(fields["usage"])
        deltas, tidied = [], False
        for choice in fields["choices"]:
            delta = self._delta(choice)
            tidied |= _tidy(choice, delta.calls) or self._listed(choice, delta.choice)
            deltas.append(self.add(delta, seconds))
        self.base = {name: fields[name] for name in BASE if name in fields}
        raw = render.event(fields) if tidied else event
        for_caller = bool(fields["choices"]) or self.wants_usage
        return Chunk(raw, "openai", self.model, tuple(deltas), self.usage, for_caller=for_caller)

    def close(self, seconds: float, event: bytes = b"data: [DONE]\n\n") -> Chunk:
        """The end, as it came or as it would have: with it comes what calls still lack."""
        self.done = True
        pieces = ((number, reader.end()) for number, reader in sorted(self.readers.items()))
        deltas = tuple(Delta(number, calls=tuple(calls)) for number, calls in pieces if calls)
        for delta in deltas:
            self.add(delta, seconds)
        choices = [{"index": one.choice, "delta": {"tool_calls": list(map(as_sent, one.calls))}} for one in deltas]
        rest = render.event(self.base | {"choices": [choice | {"finish_reason": None} for choice in choices]})
        return Chunk((rest if choices else b"") + event, "openai", self.model, deltas, self.usage, last=True)

    def _delta(self, choice: dict[str, Any]) -> Delta:
        inner, number = choice.get("delta") or {}, count(choice.get("index") or 0)
        more = choice.get("finish_reason") or choice.get("logprobs") or number in self.readers
        if not more and "delta" in choice and inner.keys() <= WORDS:
            return Delta(number, text(inner.get("content")))
        finish_reason = text(choice.get("finish_reason")) or None
        return Delta(
            choice=number,
            text=text(inner.get("content") if "delta" in choice else choice["text"]),
            refusal=text(inner.get("refusal")),
            reasoning=text(inner.get("reasoning") or inner.get("reasoning_content")),
            calls=tuple(self._pieces(number, inner.get("tool_calls") or (), ended=finish_reason is not None)),
            logprobs=_logprobs(choice.get("logprobs")),
            finish_reason=finish_reason,
            stop_sequence=_stop_sequence(choice),
        )

    def _listed(self, choice: dict[str, Any], number: int) -> bool:
        """Puts log-probabilities of a completion into lists, in place; whether there were any."""
        if not _as_a_chat_s(choice):
            return False
        choice["logprobs"], end = in_lists(choice["logprobs"], self.characters.get(number, 0))
        self.characters[number] = end
        return True

    def _pieces(self, number: int, calls: Sequence[dict[str, Any]], *, ended: bool) -> list[CallPiece]:
        if not calls and number not in self.readers:
            return []
        reader = self.readers.setdefault(number, CallReader(self.tools, self.prefix))
        return reader.read(calls) + (reader.end() if ended else [])


def _as_a_chat_s(choice: dict[str, Any]) -> bool:
    """Whether a completion's log-probabilities have the shape of a chat's, as llama.cpp writes them."""
    return "text" in choice and "content" in (choice.get("logprobs") or {})


def _tidy(choice: dict[str, Any], pieces: Sequence[CallPiece]) -> bool:
    """Mends in place calls that clients would read otherwise than we do, or fall over; whether it did.

    Sources: BerriAI/litellm#29286; openai/openai-python pull request 3246.
    """
    inner = choice.get("delta") or {}
    calls = inner.get("tool_calls")
    if calls is None and not pieces:
        return False
    if calls and len(calls) == len(pieces) and all(map(says, calls, pieces)):
        return False
    if not pieces:
        del inner["tool_calls"]
    else:
        choice["delta"] = inner | {"tool_calls": list(map(as_sent, pieces))}
    return True


def _call(call: dict[str, Any]) -> ToolCall:
    function = call["function"]
    return ToolCall(text(call.get("id")), text(function["name"]), arguments(function.get("arguments")))


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
        return tuple(_token(entry) for entry in block["content"] or () if entry["logprob"] is not None)
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


def _token(entry: dict[str, Any]) -> TokenLogprob:
    """ollama/ollama#13497: half a character is a token too, whose text says less than its bytes."""
    others = entry.get("top_logprobs") or ()
    spelt = [octets(other.get("bytes")) for other in others]
    known = tuple(spelt) if any(one is not None for one in spelt) else ()
    return TokenLogprob(*_pair(entry), tuple(map(_pair, others)), octets(entry.get("bytes")), known)


def _pair(entry: dict[str, Any]) -> tuple[str, float]:
    return text(entry["token"]), logprob(entry["logprob"])
