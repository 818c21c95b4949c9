"""Recorded exchanges as a workload: what was asked and when, as OpenAI requests. Reads no store and sends nothing.

A request goes nowhere on its second way where it could not go on its first one: its ceiling is written with it.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from firstpass.bench.load.workload import OF_THE_ARM, Line
from firstpass.chat import Abilities
from firstpass.dialect.openai.write_request import body_of
from firstpass.exchange import Ask, Exchange
from firstpass.store import Damaged


def lines(exchanges: Iterable[Exchange | Damaged]) -> tuple[list[Line], Mapping[str, int]]:
    """exchanges: in the order in which they came. Returns: lines, and how many were left out by the reason."""
    asks, left_out = list[Ask](), Counter[str]()
    for exchange in exchanges:
        if why := _unfit(exchange):
            left_out[why] += 1
        elif isinstance(exchange, Exchange):
            asks.append(exchange.ask)
    begin = asks[0].received_unix if asks else 0.0
    return [Line(body(ask), ask.received_unix - begin) for ask in asks], left_out


def _unfit(exchange: Exchange | Damaged) -> str:
    if isinstance(exchange, Damaged):
        return "damaged"
    ask = exchange.ask
    if not ask.store:
        return "its words are not in the record"
    if ask.kind != "chat":
        return "no chat"
    return "a shadow of another one" if ask.shadows is not None else ""


def body(ask: Ask) -> Mapping[str, Any]:
    """As its caller would have written it for the OpenAI API, without what an arm sets."""
    fields = json.loads(body_of(ask, "", Abilities(), stream=False, watched=False, max_tokens_name=ask.limit_name))
    said = {name: value for name, value in fields.items() if name not in OF_THE_ARM}
    options = {"contract": ask.contract, "repository": ask.repository, "optimistic": ask.optimistic or None}
    ceiling = {} if ask.ceiling == "any" else {"egress": ask.ceiling}
    ours = ceiling | {name: value for name, value in options.items() if value is not None}
    return said | ({"firstpass": ours} if ours else {})
