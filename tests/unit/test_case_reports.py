"""What came of cases, as services and people read it: every format holds what a hostile answer puts into it."""

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstpass.cases import Case, Input, Place
from firstpass.cases.judging import Answered, Outcome, Refused, Said, Unanswered, judge
from firstpass.cases.report import as_json, as_markdown, rows, summary, told
from firstpass.cases.services import code_quality, github, junit

MADE = 1_798_000_000.0
HOSTILE = "::error::no\r\n##[add-mask]x %0A </testcase> ]]> | **b** ``` \x1b[31m \x00 \ufffe rollback"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Of a file in a repository."""
    (tmp_path / ".git").mkdir()
    (tmp_path / "tests").mkdir()
    return Place(str(tmp_path / "tests" / "a,b.toml"), 7)


def outcome(place: Place, said: Said, name: str = "no rollback", *more: Said) -> Outcome:
    case = Case(name, Input("prompt", "a"), place, must_not_mention=("rollback",))
    return Outcome(case, tuple(judge(case, one) for one in (said, *more)))


@pytest.fixture
def outcomes(place: Place) -> list[Outcome]:
    return [
        outcome(place, Answered("Fine.", 0.25, "draft", (), "ex_1"), "good"),
        outcome(place, Answered(HOSTILE, 1.5, "unverified", ("omitted: f",), "ex_2"), "bad: 100%, <b>"),
        outcome(place, Refused("no such contract", 0.1), "refused"),
        outcome(place, Unanswered("ConnectError", 0.0), "lost"),
        outcome(place, Answered("Fine.", 0.25, "draft"), "wavering", Answered("Fine!", 0.25, "draft")),
    ]


ATTRIBUTES = {
    "testsuites": ({"name", "tests", "failures", "errors", "time"}, set[str]()),
    "testsuite": (
        {"name", "tests", "failures", "errors", "time", "skipped", "timestamp", "file"},
        {"name", "tests", "failures", "errors"},
    ),
    "testcase": ({"name", "classname", "time"}, {"name"}),
    "failure": ({"message", "type"}, set[str]()),
    "error": ({"message", "type"}, set[str]()),
    "system-out": (set[str](), set[str]()),
    "system-err": (set[str](), set[str]()),
}
"""By element: the attributes that we write, which junit-10.xsd (of Jenkins's xUnit plugin) allows, and those that it
wants. It allows no `file` on a test case."""

WITHIN = {
    "testsuites": {"testsuite"},
    "testsuite": {"testcase"},
    "testcase": {"failure", "error", "system-out", "system-err"},
}


def hold_to_schema(element: ElementTree.Element) -> None:
    """As junit-10.xsd has it, for the part of it that we write."""
    allowed, wanted = ATTRIBUTES[element.tag]
    assert wanted <= set(element.keys()) <= allowed, element.tag
    if "time" in element.keys() and element.tag != "testcase":  # noqa: SIM118
        assert re.fullmatch(r"[0-9]+\.[0-9]{3}", element.attrib["time"])
    for child in element:
        assert child.tag in WITHIN.get(element.tag, ())
        hold_to_schema(child)


def read(document: str) -> ElementTree.Element:
    return ElementTree.fromstring(document.encode())  # noqa: S314


def test_junit_has_a_failure_an_error_and_what_was_said(outcomes: list[Outcome]) -> None:
    root = read(junit(outcomes, MADE))
    hold_to_schema(root)
    (suite,) = root
    assert suite.attrib["name"] == "tests/a,b.toml" and suite.attrib["timestamp"] == "2026-12-23T04:26:40"
    assert [root.attrib[name] for name in ("tests", "failures", "errors", "time")] == ["5", "2", "1", "2.350"]
    good, bad, refused, lost, wavering = suite
    assert [child.tag for child in good] == ["system-out"] and good[0].text == "Fine."
    assert bad[0].tag == "failure" and bad.attrib["name"] == "bad: 100%, <b>"
    assert bad[0].attrib["message"].startswith("must_not_mention: the answer mentions 'rollback'")
    text = bad[0].text or ""
    assert "tests/a,b.toml:7" in text and "</testcase> ]]>" in text and "\ufffd[31m \ufffd \ufffd" in text
    assert refused[0].attrib["message"] == "the server refuses it: no such contract"
    assert lost[0].tag == "error" and lost[0].attrib["message"] == "no answer: ConnectError"
    assert [child.tag for child in wavering] == ["system-out", "system-err"]


@given(st.text(), st.text(min_size=1))
def test_junit_is_xml_whatever_was_said(text: str, name: str) -> None:
    place = Place(str(Path(__file__)), 1)
    root = read(junit([outcome(place, Answered(f"{text} rollback", 0), name)], MADE))
    hold_to_schema(root)
    assert root[0][0][0].tag == "failure"


def commands(outcomes: list[Outcome]) -> list[str]:
    return list(github(outcomes))


def test_an_annotation_is_one_line_that_says_where_and_what(outcomes: list[Outcome]) -> None:
    bad, refused, lost, wavering = commands(outcomes)
    head = "::error file=tests/a%2Cb.toml,line=7,title=firstpass check%3A bad%3A 100%25%2C <b>::must_not_mention: "
    assert bad.startswith(head) and "\n" not in bad and "\r" not in bad and "%250A" in bad
    assert refused.endswith("::the server refuses it: no such contract")
    assert lost.startswith("::error ") and lost.endswith("::no answer: ConnectError")
    assert wavering.startswith("::warning ") and "2 runs" in wavering


@given(st.text(), st.text())
def test_an_annotation_can_be_read_back(text: str, name: str) -> None:
    place = Place(str(Path(__file__)), 1)
    (command,) = commands([outcome(place, Refused(text, 0), name)])
    found = re.fullmatch(r"::error file=([^,:]*),line=1,title=([^,:]*)::(.*)", command, re.S)
    assert found is not None and "\n" not in command and "\r" not in command
    assert unescaped(found[2]) == f"firstpass check: {name}"
    assert unescaped(found[3]) == f"the server refuses it: {text}"


def unescaped(text: str) -> str:
    """As the runner does it: %25 last."""
    for code, mark in (("%2C", ","), ("%3A", ":"), ("%0A", "\n"), ("%0D", "\r"), ("%25", "%")):
        text = text.replace(code, mark)
    return text


def test_code_quality_is_an_issue_for_each_case_that_did_not_pass(outcomes: list[Outcome]) -> None:
    issues: list[dict[str, Any]] = json.loads(code_quality(outcomes))
    assert [issue["severity"] for issue in issues] == ["major", "major", "major", "minor"]
    assert all(issue["location"] == {"path": "tests/a,b.toml", "lines": {"begin": 7}} for issue in issues)
    assert all(issue["description"] and issue["check_name"].startswith("firstpass-check-") for issue in issues)
    assert len({issue["fingerprint"] for issue in issues}) == 4
    assert json.loads(code_quality(outcomes)) == issues and json.loads(code_quality(outcomes[:1])) == []


def test_json_has_every_run_and_no_command_for_the_runner(outcomes: list[Outcome]) -> None:
    text = as_json(outcomes, "http://here")
    assert "##[" not in text
    told = json.loads(text)
    counted = [told[name] for name in ("passed", "failed", "unanswered", "unstable")]
    assert counted == [2, 2, 1, 1] and told["url"] == "http://here"
    bad = told["cases"][1]
    assert (bad["file"], bad["line"], bad["verdict"]) == ("tests/a,b.toml", 7, "failed")
    assert bad["runs"][0]["text"] == HOSTILE and bad["runs"][0]["faults"][0]["expects"] == "must_not_mention"
    assert told["cases"][3]["runs"][0]["error"] == "ConnectError" and len(told["cases"][4]["runs"]) == 2


def test_a_summary_counts_and_a_table_says_of_each_how_it_went(outcomes: list[Outcome]) -> None:
    assert summary(outcomes) == "2 of 5 cases passed, 2 failed, 1 had no answer, 1 unstable"
    assert summary(outcomes[:1]) == "1 of 1 case passed"
    assert list(rows(outcomes))[1:] == [
        ("good", "passed", "draft", "0.25"),
        ("bad: 100%, <b>", "failed", "unverified", "1.50"),
        ("refused", "failed", "-", "0.10"),
        ("lost", "unanswered", "-", "0.00"),
        ("wavering", "passed, unstable", "draft", "0.25"),
    ]


def test_what_was_said_is_shown_with_a_mark_before_each_line_and_not_without_end(place: Place) -> None:
    text = told(outcome(place, Answered("rollback\n" * 2_000, 1.0, "draft", None, "ex_1")))
    assert text.startswith("tests/a,b.toml:7\nmust_not_mention: ")
    assert "the answer (route draft, 1.00 s, exchange ex_1):\n| rollback\n| rollback\n" in text
    assert text.endswith("| [13999 more characters]")


def test_markdown_shows_what_was_said_as_it_is(outcomes: list[Outcome]) -> None:
    text = as_markdown(outcomes)
    row = next(line for line in text.split("\n") if line.startswith("| bad"))
    assert row == "| bad: 100%, &#60;b&#62; | failed | unverified | 1.50 |"
    assert "\n````text\ntests/a,b.toml:7\nmust_not_mention" in text and text.count("\n````\n") == 1


@pytest.mark.parametrize("words", ["rollback ", "rollback \u6f22\u5b57 "])
def test_markdown_stays_within_what_is_shown(place: Place, words: str) -> None:
    """In bytes, which are more than characters, and with a table that is too long alone."""
    many = [outcome(place, Answered(words * 1_000, 1.0), str(number)) for number in range(300)]
    lengthy = [outcome(place, Answered("Fine.", 1.0), f"{words * 20}{number}") for number in range(3_000)]
    for cases in (many, lengthy):
        text = as_markdown(cases)
        assert len(text.encode()) < 501_000 and text.endswith("More than fits here is in the job's log.\n")
