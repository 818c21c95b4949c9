"""An exchange as JSON text and back. Derived from the dataclasses themselves, so no field can be forgotten."""

from dataclasses import replace

from pydantic import TypeAdapter

from firstpass.exchange import Ask, Exchange, Message, Step

_ADAPTER: TypeAdapter[Exchange] = TypeAdapter(Exchange)


def encode(exchange: Exchange) -> str:
    """The exchange without wire bodies, and without any text where the caller said `store: false`."""
    kept = replace(exchange, steps=tuple(_without_raw(step) for step in exchange.steps))
    if not exchange.ask.store:
        kept = replace(kept, ask=_wordless_ask(kept.ask), steps=tuple(_wordless(step) for step in kept.steps))
    return _ADAPTER.dump_json(kept).decode()


def decode(text: str) -> Exchange:
    """Raises: pydantic.ValidationError (a ValueError) where the text is no exchange."""
    return _ADAPTER.validate_json(text)


def _without_raw(step: Step) -> Step:
    return replace(step, reply=replace(step.reply, raw=None)) if step.reply else step


def _wordless_ask(ask: Ask) -> Ask:
    return replace(ask, messages=tuple(Message(message.role, "") for message in ask.messages), metadata=None)


def _wordless(step: Step) -> Step:
    """Counts, times and the names of the checks stay; everything that quotes the request or the reply goes."""
    findings = tuple(replace(finding, message="", subject=None) for finding in step.findings)
    reply = replace(step.reply, text="", others=(), logprobs=()) if step.reply else None
    failure = replace(step.failure, message="") if step.failure else None
    return replace(step, reply=reply, findings=findings, failure=failure)
