"""The loop: ask the policy for a move, carry it out, check the reply, until the exchange ends.

It knows no HTTP, model, database, clock or event loop; all of these come in as plain callables and Protocols.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

from firstpass.contract import Contract
from firstpass.contract.judging import judged, mended
from firstpass.errors import STOPPED, Abandoned, Failure, FirstpassError, Part, Stopping
from firstpass.exchange import (
    ESCALATED,
    Ask,
    Consult,
    Exchange,
    Kind,
    Mend,
    Move,
    Refuse,
    Reply,
    Step,
    TierName,
)
from firstpass.listening import Sink, StepListener, watcher
from firstpass.policy import Policy
from firstpass.spans import UNHEARD, Spans
from firstpass.tier import Tier

OPERATIONS: Mapping[Kind, str] = {"chat": "chat", "completion": "text_completion", "embedding": "embeddings"}
"""What OpenTelemetry's conventions call them."""
SHORT_CHARACTERS = 4_096
"""Of a request; a diff of that size is read in half a millisecond."""

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Begun(Awaitable[T_co], Protocol[T_co]):
    """Work that goes on elsewhere."""

    def cancel(self) -> bool:
        """Nobody waits for it any more: if it has not begun, it never does."""
        ...


class Aside(Protocol):
    """Begins some work where it holds up nobody, on another thread, and gives its result to be awaited."""

    def __call__(self, work: Callable[..., T], /, *args: object) -> Begun[T]: ...


@dataclass(frozen=True, slots=True)
class Parts:
    """What a cascade is made of. `clock` gives monotonic seconds; `spans` hears what is being done."""

    policy: Policy
    tiers: Mapping[TierName, Tier]
    contracts: Mapping[str, Contract]
    clock: Callable[[], float]
    aside: Aside
    spans: Spans = UNHEARD


async def run(ask: Ask, parts: Parts, keep: Callable[[Exchange], None], sink: Sink | None = None) -> Exchange:
    """Carry `ask` to its end.

    keep: called exactly once with the ended exchange, also when the caller goes away in the middle.
    sink: hears a reply that may stream as it comes; None asks every tier for whole replies.
    """
    exchange, started, listener = Exchange(ask), parts.clock(), None
    part: Part = "policy"
    try:
        while isinstance(move := await next_move(exchange, parts), Consult | Mend):
            part = "contract" if isinstance(move, Mend) else move.tier
            if isinstance(move, Consult):
                exchange = replace(exchange, ask=exchange.ask.directed(move.engine, move.verifier))
            watched = watcher(exchange.ask, move, parts.contracts, parts.aside)
            listener = StepListener(move, sink if move.streams else None, watched)
            exchange = exchange.grown(await _step(exchange, move, parts, listener))
            listener, part = None, "policy"
    except BaseException as stop:
        failure = _why(stop, part)
        if listener is not None:
            exchange = exchange.grown(listener.step(failure=failure))
        keep(exchange.ended(Refuse(failure), parts.clock() - started))
        raise
    exchange = exchange.ended(move, parts.clock() - started)
    keep(exchange)
    return exchange


async def next_move(exchange: Exchange, parts: Parts) -> Move:
    """Rules and gates may read the whole text."""
    if sum(len(message.content) for message in exchange.ask.messages) > SHORT_CHARACTERS:
        return await parts.aside(parts.policy.next, exchange)
    return parts.policy.next(exchange)


async def _step(exchange: Exchange, move: Consult | Mend, parts: Parts, listener: StepListener) -> Step:
    if isinstance(move, Consult):
        return await _consult(exchange, move, parts, listener)
    with parts.spans("mend"):
        return await _mended(exchange, move, parts)


def _why(stop: BaseException, part: Part) -> Failure:
    """A bug of ours is recorded as one; what is no Exception is the caller's leaving, or the server's end."""
    if isinstance(stop, Exception):
        return FirstpassError(f"internal error: {type(stop).__name__}", part=part).failure
    if stop.args == (STOPPED,):
        return Stopping(STOPPED, part=part).failure
    return Abandoned("the caller went away", part=part).failure


async def _mended(exchange: Exchange, move: Mend, parts: Parts) -> Step:
    """One step without a tier: what code makes of an earlier step's answer, and what the checks find on that."""
    ask = exchange.ask
    assert ask.contract is not None, "only an answer to a contract is mended"
    began = parts.clock()
    try:
        text, findings = await parts.aside(mended, parts.contracts[ask.contract], exchange, move)
    except FirstpassError as error:
        return Step(move, failure=error.failure)
    step = Step(move, checks_seconds=parts.clock() - began)
    return step if text is None else replace(step, findings=(*findings, *ask.notes), edited=text)


async def _consult(exchange: Exchange, move: Consult, parts: Parts, listener: StepListener) -> Step:
    """One step: what the tier said and what the checks found. A failure is part of the step, not an exception."""
    ask, reply = replace(exchange.ask, why=move.purpose), None
    contract = parts.contracts[ask.contract] if ask.contract is not None else None
    try:
        if contract is None:
            return listener.step(reply=await _asked(ask, move, parts, listener), findings=ask.notes)
        with parts.spans("evidence"):
            question = replace(await parts.aside(contract.prepare, exchange, move), why=move.purpose)
        foreseen = parts.aside(contract.foresee, ask)
        try:
            reply = await _asked(question, move, parts, listener)
            await foreseen
        finally:
            foreseen.cancel()
        if listener.fault is not None:
            return listener.step(reply=replace(reply, finish_reason=ESCALATED), findings=(listener.fault,))
        began = parts.clock()
        with parts.spans("checks") as note:
            text, findings, signals = await parts.aside(judged, contract, exchange, move, reply)
            note("firstpass.findings", len(findings))
    except FirstpassError as error:
        return listener.step(reply=reply, failure=error.failure)
    edited = None if text == reply.text else text
    step = replace(listener.step(reply=reply), checks_seconds=parts.clock() - began)
    return replace(step, findings=(*findings, *ask.notes), edited=edited, signals=signals)


async def _asked(ask: Ask, move: Consult, parts: Parts, listener: StepListener) -> Reply:
    """Named as OpenTelemetry's conventions for generative AI have it, and as vLLM names its time to the first token."""
    with parts.spans(f"{OPERATIONS[ask.kind]} {move.tier}") as note:
        note("gen_ai.operation.name", OPERATIONS[ask.kind])
        note("firstpass.purpose", move.purpose)
        reply = await parts.tiers[move.tier].reply(ask, listener)
        if reply.first_token_seconds is not None:
            note("gen_ai.latency.time_to_first_token", reply.first_token_seconds)
        if reply.usage is not None:
            note("gen_ai.usage.input_tokens", reply.usage.prompt_tokens)
            note("gen_ai.usage.output_tokens", reply.usage.completion_tokens)
        return reply
