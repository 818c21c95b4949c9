"""Whether a promise still holds, by audits of accepted answers, looked at after each. Knows no gate and no clock.

The audits bet against the promise: while it holds, nobody's wealth is likely ever to grow large, however often one
looks. Sources: Ville's inequality; Waudby-Smith and Ramdas, Estimating means of bounded random variables by betting,
2024.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from hashlib import sha256

from firstpass.exchange import Judgement, Label
from firstpass.gate.file import Gate

STAKES = (1.0, 2.0, 5.0, 10.0, 20.0)


@dataclass(frozen=True, slots=True)
class Audits:
    """What audits have said so far.

    accepted_risk: the share of accepted answers that the promise allows to be bad, above 0 and below 1.
    wealths: natural logarithms, by stake.
    """

    accepted_risk: float
    heard: int = 0
    bad: int = 0
    wealths: tuple[float, ...] = ()

    @property
    def stakes(self) -> tuple[float, ...]:
        """Those with which no single audit can ruin the bettor."""
        return tuple(stake for stake in STAKES if stake < 1 / self.accepted_risk)

    @property
    def evidence(self) -> float:
        """The mean wealth, 1 at the start: Pr[it ever reaches 1/d] <= d while the promise holds."""
        if not self.wealths:
            return 1.0
        return math.fsum(math.exp(min(wealth, 700.0)) for wealth in self.wealths) / len(self.wealths)

    def after(self, bad: bool) -> "Audits":
        """One more answer, chosen at random among the accepted ones, was looked at."""
        before = self.wealths or (0.0,) * len(self.stakes)
        gains = (math.log1p(stake * (bad - self.accepted_risk)) for stake in self.stakes)
        wealths = tuple(wealth + gain for wealth, gain in zip(before, gains, strict=True))
        return replace(self, heard=self.heard + 1, bad=self.bad + bad, wealths=wealths)

    def alarmed(self, false_alarms: float = 0.01) -> bool:
        """Whether the promise is broken. false_alarms: how likely this is ever said of a promise that holds."""
        return self.evidence >= 1 / false_alarms


def drawn(exchange_id: str, share: float) -> bool:
    """Whether an exchange is one of a random share: by its own random id, so that it can be told again later."""
    return int.from_bytes(sha256(exchange_id.encode()).digest()[:8]) < share * 2**64


class Monitor:
    """The audits of each gate, as labels come in. A promise that was once found broken stays so until the gate goes."""

    def __init__(self, gates: Iterable[Gate], false_alarms: float = 0.01) -> None:
        """A gate without a promise about its accepted answers can not be audited, and is never found broken."""
        risks = {gate.name: gate.promise.accepted_risk for gate in gates}
        self.audits = {name: Audits(risk) for name, risk in risks.items() if risk is not None and risk < 1}
        self._false_alarms = false_alarms
        self._broken: set[str] = set()
        self._heard: set[str] = set()

    def hear(self, judged: Judgement | None, label: Label) -> bool:
        """Whether the label has just shown a promise to be broken. judged: what a gate said of what is labelled.

        Only people's first labels of accepted answers that were drawn count: to label what looks odd says nothing of
        the rest. An edit may be about more than what the promise is about, so it does not count.
        """
        if judged is None or not judged.audit or label.source != "user" or label.exchange in self._heard:
            return False
        if judged.gate not in self.audits or label.verdict == "edit":
            return False
        self._heard.add(label.exchange)
        audits = self.audits[judged.gate] = self.audits[judged.gate].after(label.verdict == "reject")
        if audits.alarmed(self._false_alarms) and judged.gate not in self._broken:
            self._broken.add(judged.gate)
            return True
        return False

    def broken(self, gate: str) -> bool:
        return gate in self._broken
