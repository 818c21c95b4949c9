"""Policies: pure functions from the exchange so far to the next move. They know no model, no network and no clock."""

from typing import Protocol

from firstpass.exchange import Exchange, Move


class Policy(Protocol):
    """Total and deterministic: the same exchange always gives the same move."""

    def next(self, exchange: Exchange) -> Move: ...
