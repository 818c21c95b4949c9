"""What became of cases, as the services of a repository read it: JUnit XML, GitHub's workflow commands, GitLab's code
quality report. It knows no HTTP and writes no file.

Sources: the schema junit-10 of Jenkins's xUnit plugin; GitHub's page on workflow commands and its runner's parser;
GitLab's pages on unit test reports and on the code quality report.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby
from xml.etree import ElementTree

from firstpass.cases.judging import Outcome
from firstpass.cases.report import answer, counts, faults, instability, told, where

MOST_ANNOTATION = 3_000
"""Characters. GitHub shows ten errors of a step at most, and cuts what is long."""

_NOT_XML = re.compile(r"[^\t\n\r\x20-\uD7FF\uE000-\uFFFD\U00010000-\U0010FFFF]")
"""XML 1.0, production 2 (Char): everything else no document may have, not even escaped."""


def junit(outcomes: Sequence[Outcome], made_unix: float) -> str:
    """A suite for each file of cases. A failed case has a failure, one without an answer an error."""
    root = ElementTree.Element("testsuites", {"name": "firstpass check"} | _numbers(outcomes))
    made = datetime.fromtimestamp(made_unix, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    for file, group in groupby(outcomes, lambda one: where(one.case)[0]):
        members = list(group)
        fields = {"name": _clean(file), "file": _clean(file), "timestamp": made, "skipped": "0"}
        suite = ElementTree.SubElement(root, "testsuite", fields | _numbers(members))
        for one in members:
            suite.append(_testcase(one, file))
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _numbers(outcomes: Sequence[Outcome]) -> dict[str, str]:
    number = counts(outcomes)
    counted = {"tests": len(outcomes), "failures": number["failed"], "errors": number["unanswered"]}
    seconds = sum(one.seconds for one in outcomes)
    return {name: str(value) for name, value in counted.items()} | {"time": f"{seconds:.3f}"}


def _testcase(outcome: Outcome, file: str) -> ElementTree.Element:
    fields = {"name": _clean(outcome.case.name), "classname": _clean(file), "time": f"{outcome.seconds:.3f}"}
    case = ElementTree.Element("testcase", fields)
    if outcome.verdict != "passed":
        failed = outcome.verdict == "failed"
        about = {"message": _clean("; ".join(faults(outcome))), "type": outcome.verdict}
        ElementTree.SubElement(case, "failure" if failed else "error", about).text = _clean(told(outcome))
    elif said := answer(outcome.told):
        ElementTree.SubElement(case, "system-out").text = _clean(said)
    if outcome.unstable:
        ElementTree.SubElement(case, "system-err").text = _clean(instability(outcome))
    return case


def _clean(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)


def github(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """A command for each case that did not pass, or whose runs differ."""
    for one in outcomes:
        lines = [*faults(one), *([instability(one)] if one.unstable else [])]
        if not lines:
            continue
        level = "warning" if one.verdict == "passed" else "error"
        path, line = where(one.case)
        fields = {"file": path, "line": str(line), "title": f"firstpass check: {one.case.name}"}
        said = ",".join(f"{name}={_property(value)}" for name, value in fields.items())
        yield f"::{level} {said}::{_data(_bounded(lines))}"


def _bounded(lines: Sequence[str]) -> str:
    text = "\n".join(lines)
    return text if len(text) <= MOST_ANNOTATION else f"{text[:MOST_ANNOTATION]}..."


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def code_quality(outcomes: Sequence[Outcome]) -> str:
    """An issue for each case that did not pass; a service knows it again by its fingerprint."""
    return json.dumps([issue for one in outcomes if (issue := _issue(one))], indent=1)


def _issue(outcome: Outcome) -> dict[str, object] | None:
    lines = [*faults(outcome), *([instability(outcome)] if outcome.unstable else [])]
    if not lines:
        return None
    path, line = where(outcome.case)
    known = hashlib.sha256(f"{path}\n{outcome.case.name}\n{outcome.verdict}".encode()).hexdigest()
    return {
        "description": f"firstpass check, {outcome.case.name}: {'; '.join(lines)}"[:MOST_ANNOTATION],
        "check_name": f"firstpass-check-{outcome.verdict}",
        "fingerprint": known,
        "severity": "minor" if outcome.verdict == "passed" else "major",
        "location": {"path": path, "lines": {"begin": line}},
    }
