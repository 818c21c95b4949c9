"""What became of cases, as rows, as text for people, as JSON and as Markdown. It knows no HTTP and no terminal."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from firstpass.cases import Case
from firstpass.cases.inputs import repository_of
from firstpass.cases.judging import Answered, Outcome, Run, Unanswered, Verdict

MOST_SHOWN = 4_000
"""Characters of an answer; the rest is in the record, and in the JSON."""

MOST_MARKDOWN = 500_000
"""Bytes. GitHub shows no summary of a step above 1 MiB, of all that wrote one together."""

HEAD = ("case", "verdict", "route", "seconds")

_BACKTICKS = re.compile(r"`+")


def rows(outcomes: Sequence[Outcome]) -> Iterator[Sequence[str]]:
    """The first is the head."""
    yield HEAD
    for one in outcomes:
        yield one.case.name, _word(one), _routes(one), f"{one.seconds / len(one.runs):.2f}"


def _word(outcome: Outcome) -> str:
    return f"{outcome.verdict}, unstable" if outcome.unstable else outcome.verdict


def _routes(outcome: Outcome) -> str:
    routes = (run.said.route or "?" for run in outcome.runs if isinstance(run.said, Answered))
    return ", ".join(dict.fromkeys(routes)) or "-"


def counts(outcomes: Sequence[Outcome]) -> Counter[Verdict]:
    return Counter(one.verdict for one in outcomes)


def summary(outcomes: Sequence[Outcome]) -> str:
    """One sentence."""
    number = counts(outcomes)
    unstable = sum(one.unstable for one in outcomes)
    parts = [f"{number['passed']} of {len(outcomes)} {'case' if len(outcomes) == 1 else 'cases'} passed"]
    parts += [f"{number['failed']} failed"] if number["failed"] else []
    parts += [f"{number['unanswered']} had no answer"] if number["unanswered"] else []
    parts += [f"{unstable} unstable"] if unstable else []
    return ", ".join(parts)


def where(case: Case) -> tuple[str, int]:
    """(the path within the repository, the line) at which a service that reads the repository finds the case."""
    assert case.place is not None, "a case that is checked was read"
    path = Path(case.place.path).resolve()
    return path.relative_to(repository_of(path)).as_posix(), case.place.line


def faults(outcome: Outcome) -> list[str]:
    """What is wrong, a line each; nothing of a case that passed."""
    run = outcome.told
    if isinstance(run.said, Unanswered):
        return [f"no answer: {run.said.says}"]
    lines = [str(fault) for fault in run.faults]
    if lines and len(outcome.runs) > 1:
        lines.append(f"{sum(bool(one.faults) for one in outcome.runs)} of {len(outcome.runs)} runs failed")
    return lines


def instability(outcome: Outcome) -> str:
    """Empty of a case whose runs are alike."""
    return f"{len(outcome.runs)} runs of the same request had different answers" if outcome.unstable else ""


def answer(run: Run) -> str:
    """What was said, shortened; empty where nothing was."""
    if not isinstance(run.said, Answered):
        return ""
    text = run.said.text.strip("\n")
    more = len(text) - MOST_SHOWN
    return text if more <= 0 else f"{text[:MOST_SHOWN]}\n[{more} more characters]"


def how(run: Run) -> str:
    """How the answer was made, in a few words."""
    if not isinstance(run.said, Answered):
        return ""
    exchange = f", exchange {run.said.exchange}" if run.said.exchange else ""
    return f"route {run.said.route or 'not said'}, {run.said.seconds:.2f} s{exchange}"


def told(outcome: Outcome) -> str:
    """A case that did not pass: where it is, what was wanted, and what was said."""
    path, line = where(outcome.case)
    lines = [f"{path}:{line}", *faults(outcome)]
    lines += [instability(outcome)] if outcome.unstable else []
    if said := answer(outcome.told):
        lines += [f"the answer ({how(outcome.told)}):", *(f"| {one}" for one in said.split("\n"))]
    return "\n".join(lines)


def as_json(outcomes: Sequence[Outcome], url: str) -> str:
    number = counts(outcomes)
    body = {
        "object": "check",
        "url": url,
        "passed": number["passed"],
        "failed": number["failed"],
        "unanswered": number["unanswered"],
        "unstable": sum(one.unstable for one in outcomes),
        "cases": list(map(_fields, outcomes)),
    }
    return json.dumps(body, indent=1).replace("##[", "##\\u005b")  # An old command of GitHub's, wherever it stands.


def _fields(outcome: Outcome) -> dict[str, Any]:
    path, line = where(outcome.case)
    own = {"name": outcome.case.name, "file": path, "line": line, "verdict": outcome.verdict}
    return own | {"unstable": outcome.unstable, "runs": list(map(_run, outcome.runs))}


def _run(run: Run) -> dict[str, Any]:
    said = run.said
    unmet = [{"expects": fault.expects, "says": fault.says} for fault in run.faults]
    if isinstance(said, Answered):
        came = {"exchange": said.exchange, "route": said.route, "text": said.text, "error": None}
    else:
        came = {"exchange": None, "route": None, "text": None, "error": said.says}
    return came | {"seconds": round(said.seconds, 3), "faults": unmet}


def as_markdown(outcomes: Sequence[Outcome]) -> str:
    """A table, and below it what is wrong with each case that did not pass. Nothing in it is read as markup."""
    lines = ["### firstpass check", "", f"{summary(outcomes)}.", ""]
    head, *body = rows(outcomes)
    lines += [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    left = MOST_MARKDOWN
    for part in (*(f"| {' | '.join(map(_cell, row))} |" for row in body), *_told_apart(outcomes)):
        left -= len(part.encode()) + 1
        if left < 0:
            return "\n".join((*lines, "", "More than fits here is in the job's log.", ""))
        lines.append(part)
    return "\n".join(lines) + "\n"


def _told_apart(outcomes: Sequence[Outcome]) -> Iterator[str]:
    for outcome in outcomes:
        if outcome.verdict != "passed" or outcome.unstable:
            yield f"\n**{_cell(outcome.case.name)}**\n\n{_fenced(told(outcome))}"


def _cell(text: str) -> str:
    """Of one line, and without what Markdown, HTML or a table would read."""
    return re.sub(r"([\\`*_{}\[\]()#+!|<>~&@-])", lambda mark: f"&#{ord(mark[1])};", " ".join(text.split()))


def _fenced(text: str) -> str:
    longest = max((len(ticks) for ticks in _BACKTICKS.findall(text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{text}\n{fence}"
