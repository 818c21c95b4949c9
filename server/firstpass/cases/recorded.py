"""A case from a recorded exchange, which asks the same again. It knows no store and no file."""

import json

from firstpass.cases import SEED, Case, Input
from firstpass.chat import Abilities
from firstpass.dialect.openai.write_request import body_of
from firstpass.errors import BadCases
from firstpass.exchange import Ask, Exchange

ELSEWHERE = ("model", "messages", "max_tokens", "max_completion_tokens", "temperature", "seed", "n")
"""Fields of a request that are a case's own, or that it has none for: one answer is judged."""


def case_of_exchange(exchange: Exchange, name: str | None = None) -> Case:
    """It expects no more than the checks of its contract, and goes nowhere where the exchange could not go.

    Without a name it is called as the exchange. Raises: BadCases where it can not be asked again.
    """
    ask = exchange.ask
    if why := _unfit(ask):
        raise BadCases(f"exchange {ask.id}: {why}")
    whole = json.loads(body_of(ask, "", Abilities(), stream=False, watched=False, max_tokens_name="max_tokens"))
    return Case(
        name=ask.id if name is None else name,
        asked=_asked(ask, whole["messages"]),
        model=ask.model,
        contract=ask.contract,
        expect_checks="passed" if ask.contract else "any",
        egress=None if ask.ceiling == "any" else ask.ceiling,
        repository=ask.repository,
        max_tokens=ask.sampling.max_tokens,
        temperature=0.0 if ask.sampling.temperature is None else ask.sampling.temperature,
        seed=SEED if ask.sampling.seed is None else ask.sampling.seed,
        body={field: value for field, value in whole.items() if field not in ELSEWHERE},
    )


def _unfit(ask: Ask) -> str:
    if not ask.store:
        return "its words are not in the record; it was asked with store: false, or was forgotten"
    if ask.kind != "chat":
        return f"a case is a chat, and this is {'an' if ask.kind == 'embedding' else 'a'} {ask.kind}"
    if ask.continues:
        return "it wants an answer that goes on where its last message ends, which a case can not say"
    return ""


def _asked(ask: Ask, messages: list[dict[str, object]]) -> Input:
    """A contract with one message reads a diff, but for those that take any message."""
    only = ask.messages[0] if len(ask.messages) == 1 else None
    if only is None or only.role != "user" or only.images or only.name or not only.content.strip():
        told = ({field: value for field, value in one.items() if value is not None} for one in messages)
        return Input("messages", messages=tuple(told))
    is_diff = ask.contract is not None and not ask.contract.startswith("free@")
    return Input("diff" if is_diff else "prompt", only.content)
