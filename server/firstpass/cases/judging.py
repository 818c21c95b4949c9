"""What an answer is worth by its case. It knows no HTTP: an answer is a text, a route, findings and a time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from firstpass.cases import Case
from firstpass.cases.mentions import lines_with, mentions

Verdict = Literal["passed", "failed", "unanswered"]

MOST_QUOTED = 200
"""Characters of an answer's line, in a fault."""


@dataclass(frozen=True, slots=True)
class Answered:
    """failed: what the checks found in it that fails it; None where it does not say. route: likewise.

    seconds: from sending the request to the whole answer.
    """

    text: str
    seconds: float
    route: str | None = None
    failed: tuple[str, ...] | None = None
    exchange: str | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """The server has looked at the request and does not answer it. says: its error's words."""

    says: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Unanswered:
    """There was no answer to judge: no server, one that is broken, or one that does not let this caller in."""

    says: str
    seconds: float


Said = Answered | Refused | Unanswered


@dataclass(frozen=True, slots=True)
class Fault:
    """expects: the field of the case that is not met; of a request that was refused, and of an empty answer, none."""

    expects: str | None
    says: str

    def __str__(self) -> str:
        return f"{self.expects}: {self.says}" if self.expects else self.says


@dataclass(frozen=True, slots=True)
class Run:
    said: Said
    faults: tuple[Fault, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a case. runs: at least one."""

    case: Case
    runs: tuple[Run, ...]

    @property
    def verdict(self) -> Verdict:
        """One run that fails is enough; one without an answer says that nobody knows."""
        if any(run.faults for run in self.runs):
            return "failed"
        return "unanswered" if any(isinstance(run.said, Unanswered) for run in self.runs) else "passed"

    @property
    def unstable(self) -> bool:
        """Whether the same request was answered in more than one way."""
        return len({_content(run.said) for run in self.runs if not isinstance(run.said, Unanswered)}) > 1

    @property
    def told(self) -> Run:
        """The run that says most of what is wrong."""
        unmet = [run for run in self.runs if run.faults]
        lost = [run for run in self.runs if isinstance(run.said, Unanswered)]
        return (unmet or lost or list(self.runs))[0]

    @property
    def seconds(self) -> float:
        """Of all runs."""
        return sum(run.said.seconds for run in self.runs)


def judge(case: Case, said: Said) -> Run:
    """An empty answer fails whatever is expected: it mentions nothing that it must not, and is no answer."""
    match said:
        case Refused():
            return Run(said, (Fault(None, f"the server refuses it: {said.says}"),))
        case Unanswered():
            return Run(said, ())
        case Answered() if not said.text.strip():
            return Run(said, (Fault(None, "the answer is empty"),))
    return Run(said, tuple(_faults(case, said)))


def _faults(case: Case, said: Answered) -> Iterator[Fault]:
    for word in case.must_mention:
        if not mentions(said.text, word):
            yield Fault("must_mention", f"the answer does not mention {word!r}")
    for word in case.must_not_mention:
        if lines := lines_with(said.text, word):
            yield Fault("must_not_mention", f"the answer mentions {word!r}: {_quoted(lines)}")
    if case.expect_route and said.route not in case.expect_route:
        came = f"the answer came as {said.route}" if said.route else "the answer does not say by which route it came"
        yield Fault("expect_route", f"{came}, and {' or '.join(case.expect_route)} is allowed")
    if case.expect_checks == "passed":
        yield from _unchecked(said)
    if case.max_seconds is not None and said.seconds > case.max_seconds:
        yield Fault("max_seconds", f"the answer took {said.seconds:.2f} s, and {case.max_seconds:g} s are allowed")


def _unchecked(said: Answered) -> Iterator[Fault]:
    if said.failed is None:
        yield Fault("expect_checks", "the answer does not say what its checks found")
    for finding in said.failed or ():
        yield Fault("expect_checks", finding)


def _quoted(lines: Sequence[str]) -> str:
    more = f" and {len(lines) - 1} more" if len(lines) > 1 else ""
    line = lines[0] if len(lines[0]) <= MOST_QUOTED else f"{lines[0][:MOST_QUOTED]}..."
    return f'"{line}"{more}'


def _content(said: Said) -> tuple[str, ...]:
    if isinstance(said, Answered):
        return (said.text, said.route or "")
    return (said.says,)
