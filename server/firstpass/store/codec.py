"""An exchange as JSON text and back. Derived from the dataclasses themselves, so no field can be forgotten."""

from dataclasses import dataclass, replace

from pydantic import TypeAdapter

from firstpass.chat import Message
from firstpass.exchange import OWN_NAMES, Answer, Ask, Exchange, Judgement, Refuse, Reply, Step

QUOTING = (
    *("stop", "suffix", "response_format", "logit_bias", "tools", "tool_choice", "reasoning_effort"),
    "chat_template_kwargs",
)
"""Fields of `Sampling` that hold a caller's own words."""

AUDITED = '"audit":true'
"""What stands in the text of each exchange whose judgement is an audit; in a caller's words its quotes are escaped."""


@dataclass(frozen=True, slots=True)
class _Move:
    judged: Judgement | None = None


@dataclass(frozen=True, slots=True)
class _Step:
    move: _Move


@dataclass(frozen=True, slots=True)
class _Judged:
    """As much of an exchange as says what a gate said."""

    steps: tuple[_Step, ...]
    ending: _Move | None


_ADAPTER: TypeAdapter[Exchange] = TypeAdapter(Exchange)
_JUDGED: TypeAdapter[_Judged] = TypeAdapter(_Judged)


def kept(exchange: Exchange) -> Exchange:
    """What the record keeps: no wire bodies and unchosen tokens, and no words where the caller said `store: false`."""
    exchange = replace(exchange, steps=tuple(_without_raw(step) for step in exchange.steps))
    if exchange.ask.store:
        return exchange
    steps = tuple(_wordless(step) for step in exchange.steps)
    return replace(exchange, ask=_wordless_ask(exchange.ask), steps=steps, ending=_wordless_ending(exchange.ending))


def forgotten(exchange: Exchange) -> Exchange:
    """As if the caller had said `store: false` from the first."""
    return kept(replace(exchange, ask=replace(exchange.ask, store=False)))


def encode(exchange: Exchange) -> str:
    return _ADAPTER.dump_json(exchange).decode()


def decode(text: str) -> Exchange:
    """Raises: pydantic.ValidationError (a ValueError) where the text is no exchange."""
    return _ADAPTER.validate_json(text)


def judgement(text: str) -> Judgement | None:
    """`Exchange.judged`, without the rest. Raises: pydantic.ValidationError (a ValueError)."""
    exchange = _JUDGED.validate_json(text)
    moves = [*(step.move for step in exchange.steps), *filter(None, [exchange.ending])]
    return next((move.judged for move in moves if move.judged is not None), None)


def _without_raw(step: Step) -> Step:
    if step.reply is None:
        return step
    logprobs = tuple(replace(token, top=(), top_octets=()) for token in step.reply.logprobs)
    return replace(step, reply=replace(step.reply, raw=None, logprobs=logprobs))


def _wordless_ask(ask: Ask) -> Ask:
    """Stays: by which key it was asked and when, what kind of answer under which limits, and how many turns.

    A model's name is the caller's own text where an alias has a `*` or nothing here has the name.
    """
    messages = tuple(Message(message.role, "") for message in ask.messages)
    sampling = replace(ask.sampling, **dict.fromkeys(QUOTING))
    ask = replace(ask, messages=messages, sampling=sampling, terms=None, forwarded={})
    return replace(ask, model=OWN_NAMES[ask.target], session=None, thread=None, user=None, metadata=None)


def _wordless_ending(ending: Answer | Refuse | None) -> Answer | Refuse | None:
    return Refuse(replace(ending.failure, message="")) if isinstance(ending, Refuse) else ending


def _wordless(step: Step) -> Step:
    """Counts, times and the names of the checks stay; everything that quotes the request or the reply goes."""
    findings = tuple(replace(finding, message="", subject=None) for finding in step.findings)
    reply = _wordless_reply(step.reply) if step.reply else None
    failure = replace(step.failure, message="") if step.failure else None
    edited = None if step.edited is None else ""
    return replace(step, reply=reply, findings=findings, failure=failure, edited=edited)


def _wordless_reply(reply: Reply) -> Reply:
    return replace(
        reply, text="", others=(), logprobs=(), tool_calls=(), reasoning=None, stop_sequence=None, refusal=None
    )
