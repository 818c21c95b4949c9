"""How a request is asked so that its answer can be the same again, and why it need not be. Sends nothing."""

from collections.abc import Iterator, Mapping
from typing import Any

from firstpass.exchange import Ask
from firstpass.replay.answer import Answered
from firstpass.replay.asking import TERSE, Again

SEED = 1
STEADYING = ("temperature", "seed")
"""What is said of the decoding where the caller left it open, and left out again where a model does not take it."""

IN_ENGINES = (
    "an engine that answers several requests at once, or finds a prompt's beginning in its cache, adds the same numbers"
    " in another order: of two tokens that are nearly as likely, either may come; --repeat counts it"
)
"""Of every replay, where anything changed."""


def steadied(ask: Ask, asked: Again) -> Mapping[str, Any]:
    """The fields that take the places of the request's own: the likeliest token each time, and a fixed seed.

    A contract says itself how its answers are decoded, so one without a word of the caller's stays as it is. Several
    answers of one request would all be the likeliest, and engines refuse to write that; with thoughts, hosts take no
    temperature.
    """
    said = ask.sampling
    drawn = said.n not in (None, 1) or bool(said.thinking_tokens or said.thinks_adaptively)
    own = ask.contract is not None and said.temperature is None
    cold = {} if drawn or own else {"temperature": 0}
    seeded = asked.path not in TERSE and said.seed is None and not own
    return cold | ({"seed": SEED} if seeded else {})


def unlike_then(ask: Ask, said: Mapping[str, Any]) -> str | None:
    """What of the decoding is otherwise than it was, so that the answer may differ for that alone."""
    if "temperature" not in said or ask.sampling.temperature == said["temperature"]:
        return None
    was = ask.sampling.temperature
    drawn = "without a temperature" if was is None else f"with temperature {was:g}"
    return f"then it was asked {drawn}, now with {said['temperature']:g}: that alone may change an answer"


def doubts(ask: Ask, fields: Mapping[str, Any], answer: Answered) -> Iterator[str]:
    """Why the same request may have another answer next time. fields: of the body that was sent."""
    temperature, contract = fields.get("temperature"), ask.contract
    if ask.sampling.n not in (None, 1):
        yield f"{ask.sampling.n} answers of one request are drawn, and not the likeliest"
    elif temperature is None and contract is None:
        yield "it was asked without a temperature: how its answer is drawn, the model's own default says"
    elif temperature:
        seed = "with a seed" if "seed" in fields else "without a seed"
        yield f"it was asked with temperature {temperature:g}, {seed}"
    if answer.verifier_tokens or answer.route in ("strong", "verified"):
        yield "a verifier had a part in the answer; hosted models promise no answer twice, with or without a seed"
    if answer.experiment is not None:
        yield f"the server made it part of its experiment {answer.experiment}"
    if ask.experiment is not None:
        yield f"then it was in arm {ask.arm} of the experiment {ask.experiment}"
