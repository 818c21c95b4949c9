"""Whether a promise still holds, by audits of accepted answers, looked at after each. Knows no gate and no clock.

The audits bet against the promise: while it holds, nobody's wealth is likely ever to grow large, however often one
looks. Sources: Ville's inequality; Waudby-Smith and Ramdas, Estimating means of bounded random variables by betting,
2024.
"""

import math
from dataclasses import dataclass, replace

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
