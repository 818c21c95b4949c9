"""An exchange as JSON text and back. Derived from the dataclasses themselves, so no field can be forgotten."""

from dataclasses import replace

from pydantic import TypeAdapter

from firstpass.chat import Message
from firstpass.exchange import Answer, Ask, Exchange, Refuse, Reply, Step

QUOTING = ("stop", "suffix", "response_format", "logit_bias", "tools", "tool_choice")
"""Fields of `Sampling` that hold a caller's own words."""

_ADAPTER: TypeAdapter[Exchange] = TypeAdapter(Exchange)


def encode(exchange: Exchange) -> str:
    """The exchange without wire bodies and unchosen tokens; without any text where the caller said `store: false`."""
    kept = replace(exchange, steps=tuple(_without_raw(step) for step in exchange.steps))
    if not exchange.ask.store:
        steps = tuple(_wordless(step) for step in kept.steps)
        kept = replace(kept, ask=_wordless_ask(kept.ask), steps=steps, ending=_wordless_ending(kept.ending))
    return _ADAPTER.dump_json(kept).decode()


def encode_forgotten(exchange: Exchange) -> str:
    """As if the caller had said `store: false` from the first."""
    return encode(replace(exchange, ask=replace(exchange.ask, store=False)))


def decode(text: str) -> Exchange:
    """Raises: pydantic.ValidationError (a ValueError) where the text is no exchange."""
    return _ADAPTER.validate_json(text)


def _without_raw(step: Step) -> Step:
    if step.reply is None:
        return step
    logprobs = tuple(replace(token, top=()) for token in step.reply.logprobs)
    return replace(step, reply=replace(step.reply, raw=None, logprobs=logprobs))


def _wordless_ask(ask: Ask) -> Ask:
    messages = tuple(Message(message.role, "") for message in ask.messages)
    sampling = replace(ask.sampling, **dict.fromkeys(QUOTING))
    kept = replace(ask, messages=messages, sampling=sampling, terms=None, forwarded={})
    return replace(kept, user=None, metadata=None)


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
    return replace(reply, text="", others=(), logprobs=(), tool_calls=(), reasoning=None, stop_sequence=None)
