"""What a contract is. Knows no particular one, and no tier."""

from typing import Protocol

from firstpass.exchange import Ask, Consult, Exchange, Finding, Reply, Watch


class Contract(Protocol):
    """A versioned promise about an answer: what a tier is told, and what its reply is held to."""

    @property
    def pinned(self) -> str:
        """`name@version`; the version changes with every change of the wording or of the checks."""
        ...

    def prepare(self, exchange: Exchange, move: Consult) -> Ask:
        """What the tier is asked in one consultation: the messages, and how to decode. May be asked on any thread.

        What the caller set of the decoding stays, but for what the contract itself reads.
        Raises: BadAsk with param "messages" if the contract can not be applied to what was asked.
        """
        ...

    def read(self, exchange: Exchange, move: Consult, reply: Reply) -> str:
        """The answer that the reply to `move` stands for: its own text, or an earlier draft with its edits made.

        exchange: as `prepare` had it. Raises: BadVerdict.
        """
        ...

    def mend(self, exchange: Exchange, reply: Reply) -> Reply | None:
        """The reply with all mended that code alone can mend; what it can not stays, for `check` to find.

        One that was cut off has ended as it should only where code wrote all that it may lack. None where there is
        nothing that code could do.
        """
        ...

    def doomed(self, ask: Ask, text: str, watch: Watch) -> Finding | None:
        """The first fault of a reply so far that no more text undoes, and that nothing that `watch` names puts right.

        text: whole lines. Cheap enough to be asked after each of them. Raises: BadAsk as `prepare` does.
        """
        ...

    def foresee(self, ask: Ask) -> None:
        """Read now, on any thread, what `check` will need: a tier takes longer to answer than that takes.

        Raises nothing; what is wrong with the ask `prepare` says.
        """
        ...

    def signals(self, ask: Ask, reply: Reply) -> dict[str, float]:
        """What a gate looks at: see `gate.signals`. Empty where the contract has no lists and reads no input.

        Raises: BadAsk as `prepare` does.
        """
        ...

    def doubts(self, reply: Reply, floor: float) -> tuple[Finding, ...]:
        """What a verifier's score says of each name: a failure where it is less likely than `floor`, in nats.

        reply: the draft with the verifier's log-probabilities. One without a name fails too: nothing vouches for it.
        """
        ...

    def check(self, ask: Ask, reply: Reply) -> tuple[Finding, ...]:
        """What is wrong with a reply; no finding of severity "fail" means that it keeps the contract.

        Raises: BadAsk as `prepare` does.
        """
        ...
