"""The programs that make workloads: a seed makes the same again, diffs are true ones, and every request is one."""

import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from benchmarks.making.changes import Change, Work
from benchmarks.making.languages import LANGUAGES, Language
from benchmarks.making.workload import contracted, counter, rendered
from benchmarks.suites.chat import make as chat
from benchmarks.suites.diffs import make as diffs
from benchmarks.suites.diffs import measure
from benchmarks.suites.long import by_length
from benchmarks.suites.long import make as long
from benchmarks.suites.prefix import make as prefix
from tree_sitter import Parser

from firstpass.bench.load.workload import Line, read_workload, written
from firstpass.catalogue import named
from firstpass.evidence import gather, language_of, normalised
from firstpass.evidence.trees.languages import grammar

ROOT = Path(__file__).parents[2]
MODEL = named("firstpass-draft-10m")
CHANGES = list(diffs.changes(60, 3))


def words(body: Any) -> int:
    return sum(len(message["content"].split()) for message in body["messages"])


MADE: dict[str, Callable[[int], Iterator[Any]]] = {
    "diffs, for Firstpass": lambda seed: (contracted(change.diff) for change in diffs.changes(8, seed)),
    "diffs, for an engine": lambda seed: (rendered(change.diff) for change in diffs.changes(8, seed)),
    "chat": lambda seed: chat.bodies(20, seed),
    "prefix, questions": lambda seed: prefix.bodies(12, seed, "questions"),
    "prefix, grown": lambda seed: prefix.bodies(12, seed, "grown"),
    "long": lambda seed: long.bodies(4, seed, [600, 300], 16, words),
}


@pytest.mark.parametrize("made", MADE.values(), ids=MADE)
def test_a_seed_makes_the_same_requests_again_and_another_one_others(made: Callable[[int], Iterator[Any]]) -> None:
    assert list(made(1)) == list(made(1)) != list(made(2))


@pytest.mark.parametrize("made", MADE.values(), ids=MADE)
def test_firstpass_bench_reads_what_is_made(made: Callable[[int], Iterator[Any]], tmp_path: Path) -> None:
    (tmp_path / "made.jsonl").write_text("".join(written(map(Line, made(1)))))
    assert [line.body for line in read_workload(tmp_path / "made.jsonl").lines] == list(made(1))


def test_all_lines_have_a_time_where_a_rate_is_given_and_it_only_grows(tmp_path: Path) -> None:
    """Run as its README says, with the names of a process of its own, whose strings are hashed in another way."""
    program = [sys.executable, "-m", "benchmarks.suites.diffs.make", "--number", "20", "--seed", "5"]
    for out, rate in ((tmp_path / "timed", ["--rate", "4"]), (tmp_path / "plain", [])):
        subprocess.run([*program, *rate, "--out", out], cwd=ROOT, check=True)
    timed, plain = (read_workload(tmp_path / name).lines for name in ("timed", "plain"))
    assert [line.body for line in timed] == [contracted(change.diff) for change in diffs.changes(20, 5)]
    assert list(plain) == [Line(line.body) for line in timed]
    assert all(0 <= (one.at_s or 0) < (other.at_s or 0) for one, other in pairwise(timed))


@pytest.mark.parametrize("change", CHANGES[:20], ids=lambda change: f"{len(change.diff)} bytes")
def test_git_makes_the_files_after_of_the_files_before(change: Change, tmp_path: Path) -> None:
    for path, text in change.before.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    for check in (["--check"], []):
        apply = ["git", "apply", "--whitespace=error-all", *check]
        subprocess.run(apply, cwd=tmp_path, input=change.diff.encode(), check=True)
    assert {path: (tmp_path / path).read_text() for path in change.after} == change.after


def test_a_diff_is_the_one_that_git_shows(tmp_path: Path) -> None:
    """Blobs, headings and all."""
    work = Work("git", [LANGUAGES[0]])
    change = work.change()
    path = min(change.before)
    before, after = change.before[path], change.before[path].replace("return", "yield", 1)

    def git(*arguments: str) -> str:
        own = os.environ | {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
        command = ["git", *arguments]
        return subprocess.run(command, cwd=tmp_path, env=own, check=True, capture_output=True, text=True).stdout

    git("init", "--quiet")
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_text(before)
    git("add", path)
    (tmp_path / path).write_text(after)
    assert Change({path: before}, {path: after}, (), ()).diff == git("diff", "--abbrev=7")


@pytest.mark.parametrize("language", LANGUAGES, ids=lambda language: language.name)
def test_the_evidence_of_a_made_diff_is_what_was_put_in(language: Language) -> None:
    for seed in range(12):
        change = Work(f"evidence {seed}", [language]).grow(200 + 400 * seed)
        found = gather(change.diff)
        assert set(found.calls) == set(change.calls)
        assert sorted(found.todos) == sorted(map(normalised, change.todos))
        assert not found.notes and not found.unread


def test_diffs_are_of_every_size_and_language_and_add_calls_todos_and_files() -> None:
    sizes = sorted(len(change.diff) for change in CHANGES)
    assert diffs.LEAST_BYTES <= sizes[0] < 1_000 and diffs.MOST_BYTES * 2 / 3 < sizes[-1] < diffs.MOST_BYTES + 2_500
    paths = {path for change in CHANGES for path in change.after if change.before.get(path) != change.after[path]}
    assert {language_of(path) for path in paths} == {language.name for language in LANGUAGES}
    assert sum(bool(change.calls) for change in CHANGES) > 50 and sum(bool(change.todos) for change in CHANGES) > 5
    assert any("new file mode" in change.diff for change in CHANGES)


def test_an_engine_is_asked_for_the_same_diffs_in_the_words_that_its_model_learned() -> None:
    [change] = diffs.changes(1, 1)
    asked, told = contracted(change.diff), rendered(change.diff)
    [message] = told["messages"]
    assert asked["messages"][0]["content"] == change.diff and asked["firstpass"] == {"contract": "pr-summary"}
    assert message["content"].startswith("Write a pull request summary") and "firstpass" not in told
    assert all(line in message["content"] for line in change.diff.split("\n") if line[:1] == "+" and line[:3] != "+++")
    assert told["max_tokens"] == asked["max_tokens"] > 64 and told["temperature"] == 0


def test_a_turn_of_a_chat_has_all_that_was_said_before_it() -> None:
    longest = defaultdict[str, list[Any]](list)
    for body in chat.bodies(200, 1):
        said = body["messages"]
        assert [message["role"] for message in said] == ["user", *["assistant", "user"] * (len(said) // 2)]
        if len(said) > 1:
            assert said[:-2] in longest.values()
        longest[json.dumps(said[:1])] = said
    assert max(map(len, longest.values())) == 2 * chat.MOST_TURNS - 1


def test_diffs_that_are_asked_about_again_take_turns_and_begin_alike() -> None:
    said = [body["messages"][0]["content"] for body in prefix.bodies(16, 1, "questions")]
    for first, again in zip(said[:4], said[4:8], strict=True):
        assert first != again and first.rsplit("\n", 1)[0] == again.rsplit("\n", 1)[0]
    assert len({text.rsplit("\n", 1)[0] for text in said}) == prefix.DIFFS_AT_ONCE


def test_a_diff_that_grows_is_longer_each_time() -> None:
    sizes = [len(body["messages"][0]["content"]) for body in prefix.grown("1", 3_000)]
    assert len(sizes) == prefix.ASKS and sizes[0] >= 3_000
    assert all(one < other for one, other in pairwise(sizes))


def test_a_long_prompt_is_as_long_as_whole_lines_allow() -> None:
    for at, body in enumerate(long.bodies(4, 1, [100, 2_000], 16, words)):
        tokens = (100, 2_000)[at % 2]
        assert tokens - 25 < words(body) <= tokens and body["max_tokens"] == 16


def test_every_request_fits_into_the_bundled_models_context() -> None:
    pytest.importorskip("tokenizers")
    count = counter()
    asked = [*map(rendered, (change.diff for change in CHANGES)), *chat.bodies(60, 1)]
    asked += list(prefix.bodies(32, 1, "questions"))
    asked += [rendered(body["messages"][0]["content"]) for body in prefix.bodies(32, 1, "grown")]
    asked += list(long.bodies(2, 1, [3_900], 32, count))
    assert max(count(body) + body["max_tokens"] for body in asked) <= MODEL.context_tokens


def test_past_firstpass_an_engine_is_asked_for_the_diff_of_the_same_line() -> None:
    fields = contracted(CHANGES[0].diff)
    past = json.loads(measure.PastIt("engine", "http://engine", "m", uds=Path("/engine")).body(fields))
    early = json.loads(measure.Early("optimistic", "http://here", "firstpass").body(fields))
    assert past["messages"] == rendered(CHANGES[0].diff)["messages"] and past["model"] == "m" and past["stream"]
    assert early["messages"] == fields["messages"]
    assert early["firstpass"] == {"contract": "pr-summary", "optimistic": True}


def test_lengths_of_prompts_are_shown_apart_and_failures_left_out() -> None:
    asked = {"arm": "a", "tpot_ms": "10", "error": ""}
    rows = [
        {**asked, "tokens_in": "1990", "ttft_ms": "40"},
        {**asked, "tokens_in": "498", "ttft_ms": "10"},
        {**asked, "tokens_in": "503", "ttft_ms": "14"},
        {**asked, "tokens_in": "0", "ttft_ms": "", "error": "503"},
    ]
    assert list(by_length.table(rows))[2:] == [
        "| a | 500 | 2 | 12.0 | 1.00 | 10.0 | 1.00 |",
        "| a | 2,000 | 1 | 40.0 | 3.33 | 10.0 | 1.00 |",
    ]


@pytest.mark.parametrize("language", LANGUAGES, ids=lambda language: language.name)
def test_a_made_file_is_of_its_language(language: Language) -> None:
    name = language_of(f"made.{language.suffix}")
    assert name == language.name
    parser = Parser(grammar(name).language)
    for seed in range(4):
        for path, text in Work(f"grammar {seed}", [language]).grow(3_000).after.items():
            assert not parser.parse(text.encode()).root_node.has_error, path
