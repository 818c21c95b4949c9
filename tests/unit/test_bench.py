"""Evaluations: labels from real git repositories, what an answer is worth, figures, intervals and requirements."""

import json
import math
import random
import subprocess
from pathlib import Path

import pytest

from firstpass.bench.cases import Case, case_of, read_labelled
from firstpass.bench.figures import Figure, Figures, Price, figures_of, percentile
from firstpass.bench.history import History
from firstpass.bench.require import requirement
from firstpass.bench.runner import Outcome
from firstpass.bench.score import Score, score_of
from firstpass.contract import shipped
from firstpass.errors import BadLabels
from tests.doubles import DIFF, NAMES, OMITS, STRAYS

FORM = shipped("pr-summary@3").files.form
CASE = case_of("shop", "1", DIFF, ["createSession"], [])


class Repository:
    """A git repository on the disk, a commit at a time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self._git("init", "--quiet")

    def commit(self, subject: str, **files: str | None) -> None:
        """files: by path with `__` for a slash and `_py` for its suffix; None takes a file away."""
        for name, text in files.items():
            path = self.folder / ".".join(name.replace("__", "/").rsplit("_", 1))
            path.parent.mkdir(exist_ok=True)
            path.unlink() if text is None else path.write_text(text)
        self._git("add", "--all")
        self._git("-c", "user.name=t", "-c", "user.email=t@t", "commit", "--quiet", "-m", subject)

    def _git(self, *arguments: str) -> None:
        subprocess.run(["git", "-C", str(self.folder), *arguments], check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "shop")


def labelled(repository: Repository, most_bytes: int = 8000) -> list[Case]:
    return list(History(repository.folder, most_bytes, "shop").cases())


def test_a_commit_is_labelled_by_its_whole_files(repository: Repository) -> None:
    text = '"""\nSay open() and close().\n\n\n\n\n"""\n\n\ndef f(x):\n    return x\n'
    repository.commit("first", shop_py=text)
    repository.commit(
        "second",
        shop_py=text.replace("Say", "Say to(you)\nand say").replace("return x", "# TODO: ask Ann\n    return pay(x)"),
    )
    newest, oldest = labelled(repository)
    assert newest.required == {"pay"}, "to(you) stands in a docstring, which the hunk alone does not show"
    assert newest.todos == {"ask ann"} and newest.repository == "shop" and "pay" in newest.names
    assert oldest.required == frozenset() and oldest.diff.startswith("diff --git a/shop.py b/shop.py")


def test_a_call_that_moved_is_not_new(repository: Repository) -> None:
    repository.commit("first", old_py="def f():\n    go()\n    run()\n")
    repository.commit("second", old_py="def f():\n    run()\n", new_py="def g():\n    go()\n    fly()\n")
    assert labelled(repository)[0].required == {"fly"}


def test_a_marker_counts_only_in_a_comment(repository: Repository) -> None:
    repository.commit("first", a_js='// TODO(ann): first.\nconst s = "TODO: second";\n/* FIXME third */\n')
    assert labelled(repository)[0].todos == {"first", "third"}


def test_what_can_not_be_labelled_is_counted_by_its_reason(repository: Repository) -> None:
    repository.commit("text", notes_txt="hello")
    repository.commit("broken", broken_py="def f(:\n    (go(\n")
    repository.commit("long", long_py="x = 1\n" * 2000)
    repository.commit("good", good_py="go()\n")
    history = History(repository.folder, 8000, "shop")
    assert [case.required for case in history.cases()] == [{"go"}]
    assert history.left_out == {
        "it changes no code in a language that can be read": 1,
        "a changed line does not parse": 1,
        "its diff has more than 8000 bytes": 1,
    }


def test_a_repository_may_be_read_in_part(repository: Repository) -> None:
    for number in range(5):
        repository.commit(f"commit {number}", good_py=f"go{number}()\n")
    assert next(History(repository.folder, 8000, "shop").cases()).required == {"go4"}


def test_what_is_no_repository_is_an_error_in_git_s_words(tmp_path: Path) -> None:
    with pytest.raises(BadLabels, match="not a git repository"):
        list(History(tmp_path, 8000, "none").cases())


def test_a_labelled_file_is_read_and_a_fault_in_it_is_named(tmp_path: Path) -> None:
    file = tmp_path / "own.jsonl"
    file.write_text(json.dumps({"diff": DIFF, "required": ["createSession"], "identifiers": ["user"]}) + "\n\n")
    (case,) = read_labelled(file, "own")
    assert case.required == {"createSession"} and case.names == {"user", "auth", "py"}
    assert (case.repository, case.commit) == ("own", "1")
    for line, words in (
        ({"diff": DIFF}, "line 2: required: Field required"),
        ({"diff": DIFF, "required": "createSession"}, "line 2: required: Input should be a valid array"),
        ({"diff": DIFF, "required": [], "call": []}, "line 2: call: Extra inputs"),
    ):
        file.write_text(json.dumps({"diff": DIFF, "required": []}) + "\n" + json.dumps(line))
        with pytest.raises(BadLabels, match=words):
            list(read_labelled(file, "own"))


@pytest.mark.parametrize(
    ("text", "structured", "prose"),
    [
        (NAMES, True, True),
        (OMITS, False, True),
        (STRAYS, True, False),
        (NAMES.replace("- createSession()", "- createSession()\n- destroy()"), False, True),
        (NAMES.replace("- createSession()", "- createSession()\n- check()"), True, True),
        (NAMES.replace("TODOs:\n- none", "TODOs:\n- Ask Ann"), False, True),
        (NAMES.replace("Create a session at login.", ""), False, True),
        ("", False, True),
    ],
)
def test_an_answer_passes_if_all_is_there_and_nothing_is_invented(text: str, structured: bool, prose: bool) -> None:
    score = score_of(CASE, text, FORM)
    assert (score.structured, score.prose, score.passed) == (structured, prose, structured and prose)


def test_a_todo_is_found_in_any_case_and_one_of_the_diff_is_not_invented() -> None:
    case = case_of("shop", "1", DIFF + "+    # TODO: Ask Ann\n", ["createSession"], ["Ask Ann"])
    assert score_of(case, NAMES, FORM).omitted_todos == 1
    found = score_of(case, NAMES.replace("TODOs:\n- none", "TODOs:\n- ask Ann."), FORM)
    assert (found.todos, found.omitted_todos, found.invented_todos) == (1, 0, 0)


def test_a_form_without_a_list_of_calls_is_not_asked_for_calls() -> None:
    score = score_of(CASE, "Open a session\n\nSee launchRocket().", shipped("commit-message@1").files.form)
    assert (score.required, score.omitted, score.invented_mentions) == (0, 0, 1) and not score.prose


def outcome(arm: str, number: int, *, passed: bool = True, seconds: float = 0.1, tokens: int = 0) -> Outcome:
    score = Score(required=2, omitted=0 if passed else 1, calls=2)
    return Outcome(arm, number, seconds, score, verifier_tokens_in=tokens, escalated=bool(tokens))


def cases(repositories: int, each: int) -> list[Case]:
    return [case_of(f"r{number % repositories}", str(number), DIFF, [], []) for number in range(repositories * each)]


def measured(outcomes: list[Outcome], price: Price | None = None, repositories: int = 4) -> Figures:
    return figures_of(cases(repositories, 10), outcomes, price, "cascade")


def test_figures_are_shares_of_what_was_asked() -> None:
    outcomes = [outcome("cascade", number, passed=number % 4 != 0, tokens=100 * (number < 10)) for number in range(40)]
    outcomes[39] = Outcome("cascade", 39, 9.0, Score(required=2, omitted=2), error="503 not running")
    figures = measured(outcomes, Price(10.0, 30.0)).arms["cascade"]
    assert figures["pass"].value == 29 / 40 and figures["omissions"].value == 12 / 80
    assert figures["escalations"].value == 0.25 and figures["hosted_tokens"].value == 25
    assert figures["cost_usd"].value == pytest.approx(25 * 10 / 1e6) and figures["errors"].value == 1 / 40
    assert figures["p50_ms"].value == figures["p99_ms"].value == 100, "what got no answer has no latency"
    assert math.isnan(figures["omissions_todos"].value)


def test_an_interval_over_repositories_is_wider_than_one_over_commits_that_are_alike() -> None:
    """All commits of two of eight repositories fail: what one repository says, its other commits say too."""
    every = cases(8, 10)
    outcomes = [outcome("local", number, passed=number % 8 > 1) for number in range(80)]
    by_repository = figures_of(every, outcomes, None, "cascade")
    alone = [Case("one", case.commit, case.diff, case.required, case.todos, case.names) for case in every]
    by_commit = figures_of(alone, outcomes, None, "cascade")
    wide, narrow = (figures.arms["local"]["pass"] for figures in (by_repository, by_commit))
    assert (by_repository.over, by_repository.units) == ("repositories", 8)
    assert (by_commit.over, by_commit.units) == ("commits", 80)
    assert wide.value == narrow.value == 0.75 and wide.high - wide.low > 2 * (narrow.high - narrow.low)


def test_what_two_arms_share_cancels_out_of_their_comparison() -> None:
    seconds = [random.Random(number).uniform(0.1, 5.0) for number in range(40)]
    outcomes = [outcome("local", number, seconds=seconds[number]) for number in range(40)]
    outcomes += [outcome("cascade", number, seconds=seconds[number] + 0.005, tokens=10) for number in range(40)]
    outcomes += [outcome("strong", number, tokens=100) for number in range(40)]
    figures = measured(outcomes)
    found = {(one.other, one.metric, one.kind): one.figure for one in figures.comparisons}
    slower, tokens = found["local", "p50_ms", "difference"], found["strong", "hosted_tokens", "ratio"]
    assert [slower.value, slower.low, slower.high] == pytest.approx([5, 5, 5], abs=1e-6)
    assert [tokens.value, tokens.low, tokens.high] == [0.1, 0.1, 0.1]
    assert math.isnan(found["local", "hosted_tokens", "ratio"].value)
    assert figures.arms["local"]["p50_ms"].high - figures.arms["local"]["p50_ms"].low > 100


def test_percentiles_lie_between_their_neighbours() -> None:
    assert percentile([1.0, 2.0, 4.0], 0.5) == 2.0 and percentile([1.0, 2.0, 4.0], 0.75) == 3.0
    assert percentile([7.0], 0.99) == 7.0 and math.isnan(percentile([], 0.5))


ARMS = {"local": {"pass": Figure(0.7, 0.6, 0.8)}, "cascade": {"pass": Figure(0.98, 0.96, 0.99)}}


@pytest.mark.parametrize(
    ("text", "met"),
    [
        ("pass>=0.98", True),
        ("pass > 98%", False),
        ("local.pass>=0.98", False),
        ("pass.low>=0.97", False),
        ("cascade.pass.low>=0.96", True),
        ("local.pass<0.8", True),
        ("p50_ms<=100", False),
    ],
)
def test_a_requirement_holds_a_figure_against_a_bound(text: str, met: bool) -> None:
    assert requirement(text, ARMS).judge(ARMS, "cascade").met is met


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("pass", "must be METRIC>=NUMBER"),
        ("passes>=1", "no figure passes; there are pass,"),
        ("strong.pass>=1", "no arm strong; there are local, cascade"),
        ("pass>=most", "most is no number"),
    ],
)
def test_a_requirement_that_says_nothing_is_an_error(text: str, words: str) -> None:
    with pytest.raises(BadLabels, match=words):
        requirement(text, ARMS)


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("const a = <p>{/* TODO: make it nice */}</p>;", "make it nice"),
        ("/* TODO: fix this */ run();", "fix this"),
        ("/* TODO: drop it **/", "drop it"),
    ],
)
def test_a_todo_ends_where_its_comment_ends(repository: Repository, line: str, text: str) -> None:
    repository.commit("first", a_jsx=f"{line}\n")
    assert labelled(repository)[0].todos == {text}


def test_a_todo_after_bytes_that_are_no_text_is_found(repository: Repository) -> None:
    (repository.folder / "a.py").write_bytes('x = "éééééééééé"  # TODO fix me\n'.encode("latin-1"))
    repository.commit("first")
    assert labelled(repository)[0].todos == {"fix me"}


def test_a_hook_s_variables_do_not_lead_to_another_repository(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.commit("first", a_py="go()\n")
    other = Repository(tmp_path / "other")
    other.commit("first", b_py="run()\n")
    monkeypatch.setenv("GIT_DIR", str(other.folder / ".git"))
    assert [case.required for case in labelled(repository)] == [{"go"}]


def test_a_private_method_s_call_can_be_named(repository: Repository) -> None:
    repository.commit("first", a_js="class A { f() { this.#go(); } #go() {} }\n")
    (case,) = labelled(repository)
    answer = NAMES.replace("createSession", "#go").replace("Create a session at login", "Go")
    assert case.required == {"go"} and score_of(case, answer, FORM).passed
