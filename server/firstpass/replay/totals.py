"""What a replay came to, arm by arm. It compares nothing itself."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from firstpass.bench.figures import Price, percentile
from firstpass.replay.answer import Answered
from firstpass.replay.compare import Change


@dataclass(frozen=True, slots=True)
class Arm:
    """Whom all is asked again. None leaves the model, or the contract, to each exchange. place: of its server."""

    name: str
    place: str
    model: str | None = None
    contract: str | None = None

    @property
    def told(self) -> str:
        asked = self.model or "each one's own model"
        return f"{asked}{f' with {self.contract}' if self.contract else ''} at {self.place}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One exchange in one arm. title: of what was asked. after: of the repeats, the answer that came most often.

    repeats: how many answers there are. alike: how many of them are as `after` is. worse: how many are worse than what
    was before. doubts: why the answer may be another one next time. lost: what of the request could not be said again.
    sent: how it was decoded otherwise.
    """

    exchange: str
    arm: str
    title: str
    model: str
    before: Answered
    after: Answered
    change: Change
    repeats: int = 1
    alike: int = 1
    worse: int = 0
    doubts: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    sent: tuple[str, ...] = ()

    @property
    def steady(self) -> bool:
        """Whether all repeats had the same answer."""
        return self.alike == self.repeats

    @property
    def lost_told(self) -> tuple[str, ...]:
        return tuple(f"asked without {one}" for one in self.lost)


@dataclass(frozen=True, slots=True)
class Skipped:
    """What was not asked again. arm: None where it was asked in none."""

    exchange: str
    why: str
    arm: str | None = None


@dataclass(frozen=True, slots=True)
class Totals:
    """Of one arm. Pairs are exchanges; each number is of these, but for tokens, US dollars and seconds, which are sums.

    checked: pairs of which checks say something. errors: no answer now. steady: all answers of the repeats are alike.
    worse_once: in any of the repeats.
    chance: how likely better and worse are to differ by so much where neither is likelier, two-sided (the exact sign
    test; McNemar's, on pairs). Seconds are medians of the pairs that have both.
    """

    pairs: int
    same: int
    checked: int
    better: int
    worse: int
    errors: int
    steady: int
    worse_once: int
    repeats: int
    tokens_before: tuple[int, int]
    tokens_after: tuple[int, int]
    verifier_tokens_before: tuple[int, int]
    verifier_tokens_after: tuple[int, int]
    usd_before: float | None
    usd_after: float | None
    p50_seconds_before: float | None
    p50_seconds_after: float | None
    chance: float

    @property
    def changed(self) -> int:
        return self.pairs - self.same


def totals(outcomes: Sequence[Outcome], price: Price | None) -> Totals:
    """outcomes: of one arm. Tokens, cost and seconds are of the pairs where both sides have an answer."""
    verdicts = [one.change.verdict for one in outcomes]
    whole = [one for one in outcomes if not one.before.error and not one.after.error]
    before, after = [one.before for one in whole], [one.after for one in whole]
    by_verifiers = [_sum(one.verifier_tokens or (0, 0) for one in side) for side in (before, after)]
    timed = [(one.before.seconds, one.after.seconds) for one in whole if one.before.seconds and one.after.seconds]
    better, worse = verdicts.count("better"), verdicts.count("worse")
    return Totals(
        pairs=len(outcomes),
        same=sum(one.change.same for one in outcomes),
        checked=sum(verdict is not None for verdict in verdicts),
        better=better,
        worse=worse,
        errors=sum(bool(one.after.error) for one in outcomes),
        steady=sum(one.steady for one in outcomes),
        worse_once=sum(one.worse > 0 for one in outcomes),
        repeats=max((one.repeats for one in outcomes), default=1),
        tokens_before=_sum(one.tokens for one in before),
        tokens_after=_sum(one.tokens for one in after),
        verifier_tokens_before=by_verifiers[0],
        verifier_tokens_after=by_verifiers[1],
        usd_before=cost(by_verifiers[0], price),
        usd_after=cost(by_verifiers[1], price),
        p50_seconds_before=_median(old for old, _ in timed),
        p50_seconds_after=_median(new for _, new in timed),
        chance=sign_test(better, worse),
    )


def cost(tokens: tuple[int, int] | None, price: Price | None) -> float | None:
    """In US dollars, of a verifier's tokens; nothing is paid for others."""
    if price is None:
        return None
    read, written = tokens or (0, 0)
    return (read * price.tokens_in + written * price.tokens_out) / 1e6


def sign_test(better: int, worse: int) -> float:
    """Two-sided, exact: the probability of a split of so many that is at least as uneven. 1 where there is none."""
    number = better + worse
    tail = sum(math.comb(number, k) for k in range(min(better, worse) + 1))
    return min(1.0, 2 * tail / 2**number) if number else 1.0


def answered(arm: Arm, outcomes: Iterable[Outcome]) -> bool:
    """Whether there is anything to tell of the arm: where it is as silent as what it is held against, there is not."""
    return any(one.arm == arm.name and not (one.before.error and one.after.error) for one in outcomes)


def fails(outcomes: Iterable[Outcome], on: str) -> bool:
    """Whether anything is as `--fail-on` says, in any of its repeats: changed, which worse is too, or worse."""
    seen: dict[str, Callable[[Outcome], bool]] = {
        "changed": lambda one: not (one.change.same and one.steady),
        "worse": lambda one: one.change.verdict == "worse" or one.worse > 0,
    }
    return any(map(seen[on], outcomes))


def _sum(pairs: Iterable[tuple[int, int]]) -> tuple[int, int]:
    read = written = 0
    for one, other in pairs:
        read, written = read + one, written + other
    return read, written


def _median(values: Iterable[float]) -> float | None:
    ordered = sorted(values)
    return percentile(ordered, 0.5) if ordered else None
