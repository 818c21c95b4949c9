"""`firstpass eval` against whole fronts with scripted models: the table, the files, the status, the errors."""

import json
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from fastapi import HTTPException

from firstpass.store.sqlite import SqliteStore
from tests.conftest import Front, serving
from tests.doubles import DIFF, NAMES, STRAYS, Answerer, judges, openai_app
from tests.web.test_cli import firstpass

RIGHT = 4
"""Of the labelled changes below, the drafts of so many are right."""


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    """Six changes of two repositories; the draft of each names launchRocket where its path says so."""
    file = tmp_path / "changes.jsonl"
    with file.open("w") as out:
        for number in range(6):
            diff = DIFF if number < RIGHT else DIFF.replace("auth.py", "rocket.py")
            row = {"repo": f"shop-{number % 2}", "sha": str(number), "diff": diff, "required": ["createSession"]}
            out.write(json.dumps(row) + "\n")
    return file


def drafts(body: dict[str, Any]) -> str:
    return STRAYS if "rocket.py" in body["messages"][-1]["content"] else NAMES


Start = Callable[..., Any]


@pytest.fixture
def both(front: Front) -> Start:
    """A front whose verifier mends every draft, and answers rightly when it is asked alone."""

    @contextmanager
    def start(draft: Answerer = drafts, **sections: Any) -> Iterator[str]:
        def stronger(body: dict[str, Any]) -> str:
            return judges(NAMES)(body) if body["messages"][-1]["content"].startswith("nonce: ") else NAMES

        with serving(openai_app(stronger)) as url:
            verifier = {"url": f"{url}/v1", "model": "stronger", "hosted": False}
            with front(draft, verifier=verifier, **sections) as client:
                yield str(client.base_url)

    return start


def evaluated(*arguments: str, out: Path) -> subprocess.CompletedProcess[bytes]:
    contract = () if "--contract" in arguments else ("--contract", "pr-summary@3")
    return firstpass("eval", *arguments, *contract, "--out", str(out))


class Page(HTMLParser):
    """The tags of a page, and the addresses that it would fetch."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.fetched: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.fetched += [value or "" for name, value in attrs if name in ("src", "href")]


def test_three_arms_are_measured_and_reported(both: Start, labelled: Path, tmp_path: Path) -> None:
    prices = ("--price-in", "3", "--price-out", "15")
    with both() as url:
        done = evaluated(str(labelled), "--url", url, *prices, "--require", "pass>=0.98", out=tmp_path / "run")
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "run/results.json").read_text())
    figures = {arm: {name: one["value"] for name, one in it["figures"].items()} for arm, it in result["arms"].items()}
    assert [figures[arm]["pass"] for arm in ("local", "strong", "cascade")] == [RIGHT / 6, 1.0, 1.0]
    assert figures["local"]["escalations"] == 0 and figures["cascade"]["escalations"] == pytest.approx(2 / 6)
    assert figures["local"]["hosted_tokens"] == 0 and figures["strong"]["hosted_tokens"] == 11 + 13
    assert figures["cascade"]["hosted_tokens"] == pytest.approx(24 * 2 / 6)
    assert figures["strong"]["cost_usd"] == pytest.approx((11 * 3 + 13 * 15) / 1e6)
    assert result["contract"] == "pr-summary@3" and result["intervals"] == "95%, bootstrap over 2 repositories"
    assert result["arms"]["strong"]["models"] == ["stronger"]
    ratio = next(one for one in result["comparisons"] if (one["other"], one["metric"]) == ("strong", "hosted_tokens"))
    assert ratio["figure"]["value"] == pytest.approx(1 / 3)
    lines = [json.loads(line) for line in (tmp_path / "run/outcomes.jsonl").read_text().splitlines()]
    assert len(lines) == 18 and {line["route"] for line in lines} == {"draft", "strong", "unverified", "verified"}
    printed = done.stdout.decode()
    assert "contract pass" in printed and "66.7% (" in printed and "cascade less strong" in printed
    assert "`pass>=0.98`: met (1)" in done.stderr.decode()


def test_every_answer_is_labelled_in_the_record(front: Front, labelled: Path, tmp_path: Path) -> None:
    with front(drafts) as client:
        done = evaluated(str(labelled), "--url", str(client.base_url), "--arm", "local", out=tmp_path / "run")
        assert done.returncode == 0, done.stderr
    store = SqliteStore(tmp_path / "data" / "firstpass.sqlite")
    labels = [label for _, label in store.labelled("eval")]
    store.close()
    assert Counter((label.verdict, label.source) for label in labels) == {("accept", "eval"): 4, ("reject", "eval"): 2}


def test_the_report_is_markdown_and_one_page_that_fetches_nothing(both: Start, labelled: Path, tmp_path: Path) -> None:
    with both() as url:
        assert evaluated(str(labelled), "--url", url, out=tmp_path / "run").returncode == 0
    text = (tmp_path / "run/report.md").read_text()
    assert "| contract pass | 66.7% (" in text and "| shop-0 | 3 | 66.7% | 100.0% | 100.0% |" in text
    assert "verifier's cost" not in text, "no price was given"
    page = Page((tmp_path / "run/report.html").read_text())
    assert page.tags.count("svg") == 2 and page.tags.count("path") == 3 and page.tags.count("rect") == 3
    assert page.fetched == [] and "script" not in page.tags


def test_a_requirement_that_is_not_met_ends_with_status_1(both: Start, labelled: Path, tmp_path: Path) -> None:
    with both() as url:
        required = ("--require", "local.pass>=0.98", "--require", "pass>=0.98")
        done = evaluated(str(labelled), "--url", url, *required, out=tmp_path / "run")
    said = done.stderr.decode()
    assert done.returncode == 1 and "`local.pass>=0.98`: not met (0.6667)" in said and "`pass>=0.98`: met" in said
    assert [one["met"] for one in json.loads((tmp_path / "run/results.json").read_text())["requirements"]] == [
        False,
        True,
    ]


def test_an_arm_that_may_not_be_asked_is_left_out_or_an_error(front: Front, labelled: Path, tmp_path: Path) -> None:
    with front(drafts) as client:
        url = str(client.base_url)
        done = evaluated(str(labelled), "--url", url, "--json", out=tmp_path / "run")
        wanted = evaluated(str(labelled), "--url", url, "--arm", "strong", out=tmp_path / "other")
    assert done.returncode == 0 and b"without the arm strong: 404 unknown model 'strong'" in done.stderr
    result = json.loads(done.stdout)
    assert list(result["arms"]) == ["local", "cascade"]
    assert result["arms"]["cascade"]["figures"]["pass"]["value"] == pytest.approx(RIGHT / 6)
    assert wanted.returncode == 1 and b"the arm strong can not be asked: 404 unknown model" in wanted.stderr


def test_an_arm_of_one_s_own_asks_for_any_model(both: Start, labelled: Path, tmp_path: Path) -> None:
    with both() as url:
        arms = ("--arm", "fast=external", "--arm", "cascade")
        done = evaluated(str(labelled), "--url", url, *arms, "--repo", "shop-1", "--json", out=tmp_path / "run")
    result = json.loads(done.stdout)
    assert result["cases"] == 3 and result["arms"]["fast"]["asked_for"] == "external"
    assert result["intervals"] == "95%, bootstrap over 3 commits"


def test_what_gets_no_answer_is_counted_and_does_not_pass(both: Start, labelled: Path, tmp_path: Path) -> None:
    def fails(body: dict[str, Any]) -> str:
        if "rocket.py" in body["messages"][-1]["content"]:
            raise HTTPException(500, "out of fuel")
        return NAMES

    with both(fails) as url:
        done = evaluated(str(labelled), "--url", url, "--arm", "local", "--json", out=tmp_path / "run")
    local = json.loads(done.stdout)["arms"]["local"]
    assert local["figures"]["errors"]["value"] == pytest.approx(2 / 6) == 1 - local["figures"]["pass"]["value"]
    assert list(local["errors"].values()) == [2]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--arm", "strongest"], "--arm 'strongest': must be local, strong, cascade or NAME=MODEL"),
        (["--arm", "local", "--arm", "local"], "--arm local: given twice"),
        (["--require", "quality>=1"], "no figure quality"),
        (["--price-in", "3"], "--price-in and --price-out belong together"),
        (["--contract", "haiku"], "there is no contract"),
        (["--contract", "free"], "it reads no diff"),
        (["--repo", "nowhere"], "no change to ask about"),
        (["--most-bytes", "10"], "6: its diff has more than 10 bytes"),
    ],
)
def test_what_can_not_be_measured_is_a_line_that_says_why(
    both: Start, labelled: Path, tmp_path: Path, arguments: list[str], words: str
) -> None:
    with both() as url:
        done = evaluated(str(labelled), "--url", url, *arguments, out=tmp_path / "run")
    said = " ".join(done.stderr.decode().split())
    assert done.returncode == 1 and words in said and "Traceback" not in said


def test_no_server_is_a_line_too(labelled: Path, tmp_path: Path) -> None:
    done = evaluated(str(labelled), "--url", "http://127.0.0.1:9", out=tmp_path / "run")
    assert done.returncode == 1 and b"no answer from" in done.stderr and b"Traceback" not in done.stderr


def test_without_a_url_it_serves_for_itself_and_stops(labelled: Path, tmp_path: Path) -> None:
    with serving(openai_app(drafts)) as engine:
        config = tmp_path / "settings.toml"
        config.write_text(
            f'[server]\ndata_dir = "{tmp_path / "data"}"\n[engine]\nkind = "external"\nurl = "{engine}/v1"\n'
        )
        done = evaluated(str(labelled), "--config", str(config), "--json", out=tmp_path / "run")
        listed = firstpass("history", "--json", "--config", str(config))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["arms"]["local"]["figures"]["pass"]["value"] == pytest.approx(RIGHT / 6)
    kept = json.loads(listed.stdout)
    assert len({exchange["ask"]["metadata"]["eval"] for exchange in kept}) == 1 and len(kept) > 12
