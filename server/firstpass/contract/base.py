"""What a contract is. Knows no particular one, and no tier."""

from typing import Protocol

from firstpass.exchange import Ask, Consult, Exchange, Finding, Message, Reply, Sampling


class Contract(Protocol):
    """A versioned promise about an answer: what a tier is told, and what its reply is held to."""

    @property
    def name(self) -> str:
        """As a caller writes it in `firstpass.contract`."""
        ...

    @property
    def version(self) -> str:
        """Changes with every change of the wording or of the checks."""
        ...

    def prepare(self, exchange: Exchange, move: Consult) -> tuple[Message, ...]:
        """The messages for one consultation.

        Raises: BadAsk with param "messages" if the contract can not be applied to what was asked.
        """
        ...

    def sampling(self, asked: Sampling) -> Sampling:
        """How to decode: what the caller set, else what suits this contract, and always what its checks read."""
        ...

    def check(self, ask: Ask, reply: Reply) -> tuple[Finding, ...]:
        """What is wrong with a reply; no finding of severity "fail" means that it keeps the contract.

        Raises: BadAsk as `prepare` does.
        """
        ...
