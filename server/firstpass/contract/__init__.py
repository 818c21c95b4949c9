"""Versioned prompt contracts: what a tier is told, and what its reply is held to. Knows no tier and no network."""

from importlib import import_module
from typing import cast

from firstpass.contract.base import Contract
from firstpass.errors import BadAsk

__all__ = ["NAMES", "Contract", "contract"]

_BUILT_IN = {"pr-summary": ("firstpass.contract.pr_summary", "PrSummary")}
NAMES = tuple(_BUILT_IN)


def contract(name: str) -> Contract:
    """The contract of that name, imported at its first use.

    Raises: BadAsk with param "firstpass.contract" if there is none; the message lists those that there are.
    """
    if name not in _BUILT_IN:
        known = ", ".join(NAMES)
        text = f"There is no contract {name[:80]!r}. Known contracts: {known}."
        raise BadAsk(text, part="contract", param="firstpass.contract")
    module, kind = _BUILT_IN[name]
    return cast(Contract, getattr(import_module(module), kind)())
