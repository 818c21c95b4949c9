"""Firstpass checks its own repository: the cases beside the tests, asked of a real vLLM with the bundled model."""

import itertools
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from firstpass.cases.judging import Answered, judge
from firstpass.cases.reading import read_cases
from tests.vllm.conftest import Live

pytestmark = pytest.mark.vllm

TESTS = Path(__file__).parents[1]
OWN = TESTS / "firstpass.cases.toml"
CAUGHT = TESTS / "cases" / "caught.cases.toml"


def checked(live: Live, path: Path, *options: str) -> tuple[int, list[dict[str, Any]]]:
    """(the exit status, the cases as --json has them)"""
    done = live.cli("check", str(path), "--json", *options)
    assert done.returncode in (0, 1), done.stderr.decode()
    return done.returncode, json.loads(done.stdout)["cases"]


def test_what_firstpass_says_of_its_own_commits_passes_and_none_of_it_would_pass_for_another(
    live: Live, tmp_path: Path
) -> None:
    status, told = checked(live, OWN, "--repeat", "2", "--junit", str(tmp_path / "junit.xml"))
    unmet = {case["name"]: case["runs"][0]["faults"] for case in told if case["verdict"] != "passed"}
    assert (status, unmet) == (0, {}) and not any(case["unstable"] for case in told)
    suite = ElementTree.parse(tmp_path / "junit.xml").getroot()  # noqa: S314
    assert suite.attrib["tests"] == str(len(told)) and suite.attrib["failures"] == "0"
    answers = {case["name"]: case["runs"][0]["text"] for case in told}
    for case, (name, text) in itertools.product(read_cases(OWN), answers.items()):
        faults = judge(case, Answered(text, 0.0, "repaired", ())).faults
        assert bool(faults) == (name != case.name), (case.name, name)


def test_the_gate_stops_what_the_bundled_model_gets_wrong(live: Live) -> None:
    """Whether it does depends on the model: what is held is that no wrong text passes, and no right one fails."""
    status, (gone, alone) = checked(live, CAUGHT)
    wrong = "no longer own_server" in gone["runs"][0]["text"] or "relied on own_server" in gone["runs"][0]["text"]
    assert (gone["verdict"] == "failed") == wrong and gone["runs"][0]["route"] in ("draft", "repaired")
    listed = all(f"- {name}()" in alone["runs"][0]["text"] for name in ("isascii", "isprintable", "BadSettings"))
    assert alone["verdict"] == ("passed" if listed else "failed")
    assert status == (1 if wrong or not listed else 0)
