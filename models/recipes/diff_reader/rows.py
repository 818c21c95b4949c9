"""A training row and the rules that make one from a labelled commit. Knows no tokenizer and no model."""

import io
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zstandard

from firstpass.chat import Message
from firstpass.contract import shipped
from firstpass.contract.form import Headed
from firstpass.contract.sections import SECTIONS, render_answer
from firstpass.contract.verdict import Edit, edited, render_verdict
from firstpass.evidence import Evidence, gather, parse_diff
from firstpass.evidence.calls.candidates import definitions, openings
from firstpass.evidence.diffs.identifiers import identifiers
from firstpass.exchange import Ask, Consult, Exchange, Reply, Step

SUMMARY, NEW_SUMMARY, MESSAGE, REVIEW = TAUGHT = ("pr-summary@3", "pr-summary@4", "commit-message@2", "code-review@2")
"""What the models are taught."""

FUNCTIONS = "touched-functions@1"
"""What a model of its own can be taught."""

CONTRACTS = {pinned: shipped(pinned, taught=True) for pinned in (*TAUGHT, FUNCTIONS)}
CONTRACT = CONTRACTS[SUMMARY]
HEADS = {SUMMARY: "Calls", NEW_SUMMARY: "Calls", FUNCTIONS: "Functions"}
"""By contract, the section that lists names, if it has one."""

DRAFTED = Headed([one for one in CONTRACTS[NEW_SUMMARY].files.form.sections if one.name in SECTIONS])
"""Of the newer summary, the sections that a draft has: code writes the others."""

HELD_OUT = frozenset({"psf/requests", "fastify/fastify", "gin-gonic/gin", "BurntSushi/ripgrep", "axios/axios"})
"""Repositories that neither the tokenizer nor the model ever sees: the measurement is made on them."""

SOURCE_SUFFIXES = frozenset(
    [
        "py",
        "pyi",
        "js",
        "jsx",
        "mjs",
        "cjs",
        "ts",
        "tsx",
        "mts",
        "cts",
        "vue",
        "go",
        "rs",
        "java",
        "kt",
        "kts",
        "c",
        "h",
        "cc",
        "cpp",
        "hpp",
        "cs",
        "rb",
        "php",
        "swift",
        "scala",
    ]
)

MOST_SUBJECT = 120
"""Characters."""

_BRACKETS = re.compile(r"\[[^\]]*\]|\((?:#|GH-?)[^)]*\)|#\d+")
_PREFIX = re.compile(r"^\w+(?:\([^)]*\))?!?:\s*")
_TEST_PATH = re.compile(
    r"(^|/)(tests?|__tests__|spec|specs|playground|jvmTest|e2e)/|(^|/)test_|[_.-](tests?|spec)\.|Test\.(java|kt)$"
)


@dataclass(frozen=True, slots=True)
class Row:
    """One diff and its right answer. `origin` is the repository, or `synthetic`.

    summary: a true sentence, by rule. subject: what the commit's author wrote, empty where there is none.
    draft: an answer to correct, as the cascade asks its verifier to; empty for a row that asks for a first one.
    contract: what is asked, one of CONTRACTS. For FUNCTIONS, calls are the functions that the diff changes and shows;
    unseen is whether it changes others.
    """

    origin: str
    diff: str
    summary: str
    subject: str
    calls: tuple[str, ...]
    todos: tuple[str, ...]
    actions: tuple[str, ...]
    draft: str = ""
    contract: str = SUMMARY
    unseen: bool = False

    @property
    def candidates(self) -> dict[str, str]:
        """By name, the texts that the prompt lists for the model to choose from."""
        parsed = parse_diff(self.diff)
        return definitions(parsed) if self.contract == FUNCTIONS else openings(parsed)

    @property
    def messages(self) -> tuple[Message, ...]:
        """What a tier is sent, as the contract writes it."""
        exchange = self.exchange()
        move = Consult("verifier", "verify") if exchange.steps else Consult("draft", "draft")
        return CONTRACTS[self.contract].prepare(exchange, move).messages

    def exchange(self) -> Exchange:
        """The request, with the draft, if there is one, and what the checks find on it."""
        ask = Ask("row", 0.0, "chat", "", "cascade", (Message("user", self.diff),), contract=self.contract)
        if not self.draft:
            return Exchange(ask)
        reply = Reply(self.draft, "", "stop", None, 0.0)
        findings = CONTRACTS[self.contract].check(ask, reply)
        return Exchange(ask, (Step(Consult("draft", "draft"), reply, findings=findings),))

    def verdict(self) -> str:
        """What a verifier should say of the draft: each section that has a fault, and what should stand there.

        Raises: BadVerdict where an edit would not be clear, so that the row is of no use.
        """
        (step,), right = self.exchange().steps, sections_of(self.answer(authors_words=False))
        faulty = {finding.section for finding in step.failed}
        parts = sections_of(self.draft)
        edits = [Edit(parts[name], right[name]) for name in parts if name in faulty and parts[name] != right[name]]
        edited(self.draft, edits)
        nonce = self.messages[-1].content.split("\n", 1)[0].removeprefix("nonce: ")
        return render_verdict(nonce, edits)

    def answer(self, authors_words: bool) -> str:
        """authors_words: the subject is the sentence, where there is one."""
        if self.contract == FUNCTIONS:
            parts = {"Functions": self.calls, "Unseen": ("yes" if self.unseen else "no",)}
            return CONTRACTS[FUNCTIONS].files.form.render(parts)
        sentence = self.subject if authors_words and self.subject else self.summary
        if self.contract == MESSAGE:
            return sentence
        if self.contract == REVIEW:
            return f"Verdict: {sentence}"
        if self.contract == NEW_SUMMARY:
            return DRAFTED.render({"Summary": (sentence,), "Calls": self.calls, "TODOs": self.todos})
        return render_answer(sentence, self.calls, self.todos, self.actions)


def sections_of(answer: str) -> dict[str, str]:
    """The text of each section, with its heading, of an answer in the written form."""
    parts = re.split(rf"^(?=(?:{'|'.join(SECTIONS)}):)", answer, flags=re.M)
    return {part.partition(":")[0]: part.rstrip("\n") for part in parts if part}


def read_commits(path: Path) -> Iterator[dict[str, Any]]:
    """The labelled commits of a `.jsonl` or `.jsonl.zst` file, in its order."""
    with path.open("rb") as raw:
        stream = zstandard.ZstdDecompressor().stream_reader(raw) if path.suffix == ".zst" else raw
        with io.TextIOWrapper(stream, encoding="utf-8") as text:
            for line in text:
                yield json.loads(line)


def changed_paths(diff: str) -> list[str]:
    """The paths after the change, or before it for a file that goes; in the diff's order."""
    return [new for _, new in re.findall(r"^diff --git a/(\S+) b/(\S+)$", diff, re.M)]


def is_test(path: str) -> bool:
    return bool(_TEST_PATH.search(path))


def actions_of(diff: str, removed: Sequence[str], todos: Sequence[str]) -> tuple[str, ...]:
    """What a reviewer should do next: a rule, not an opinion, so that it can be learned and checked."""
    paths = changed_paths(diff)
    tests = [path for path in paths if is_test(path)]
    sources = [path for path in paths if not is_test(path) and path.rpartition(".")[2] in SOURCE_SUFFIXES]
    actions = [f"Resolve the TODO: {todo}" for todo in todos]
    if tests:
        actions.append(f"Run the tests in {tests[0]}")
    elif sources:
        actions.append(f"Add tests for {sources[0]}")
    if removed:
        actions.append(f"Check what relied on {removed[0]}()")
    return tuple(actions)


def sentence_of(calls: Sequence[str], removed: Sequence[str], todos: Sequence[str], place: str) -> str:
    """One true sentence, by rule. place: the changed function, or the path.

    A commit's subject says more, but a model of this size can't read it off a diff: trained on subjects, it looped or
    invented.
    """
    if calls and removed:
        return f"Call {calls[0]}, no longer {removed[0]}."
    if calls:
        return f"Call {calls[0]} in {place}."
    if removed:
        return f"Remove {removed[0]} from {place}."
    if todos:
        return f"Note what is left to do in {place}."
    return f"Change {place}."


def subject_of(text: str) -> str:
    """A commit's subject as a sentence: without ticket numbers and `fix(scope):`; empty where too little is left."""
    text = _BRACKETS.sub("", text).strip()
    text = _PREFIX.sub("", text).strip().rstrip(".")
    if len(text.split()) < 2 or len(text) > MOST_SUBJECT or not text.isascii():
        return ""
    return f"{text[0].upper()}{text[1:]}."


def row_of_diff(origin: str, diff: str, subject: str = "") -> Row:
    """A row whose labels the product's own reading of the diff gives (`firstpass.evidence`)."""
    evidence = gather(diff)
    added = "\n".join(line for line in diff.splitlines() if line.startswith("+"))
    removed = [name for name in evidence.removed_calls if not re.search(rf"(?<![\w$]){re.escape(name)}\s*\(", added)]
    places = [name for name in re.findall(r"^@@.*@@.*?(\w+)\s*\(", diff, re.M) if name in evidence.identifiers]
    place = (places or list(evidence.paths) or ["the code"])[0]
    calls = in_reading_order(evidence.calls, diff)
    return Row(
        origin=origin,
        diff=diff,
        summary=sentence_of(calls, removed, evidence.todos, place),
        subject=subject_of(subject),
        calls=calls,
        todos=evidence.todos,
        actions=actions_of(diff, removed, evidence.todos),
    )


def labels_agree(commit: dict[str, Any], evidence: Evidence) -> bool:
    """Whether the product's reading of the hunks finds what the syntax trees of the whole files found."""
    return set(evidence.calls) == set(commit["required"]) and set(evidence.todos) == set(commit["todos"])


def in_order_of_appearance(names: Sequence[str], diff: str, marker: str) -> tuple[str, ...]:
    """The names that lines with the marker show, by where they first show: a reader copies left to right."""
    lines = (line[1:] for line in diff.splitlines() if line.startswith(marker) and not line.startswith(marker * 3))
    text = "\n".join(lines)
    places = {}
    for name in names:
        word = rf"(?<![\w$]){re.escape(name)}(?![\w$])"
        if found := re.search(rf"{word}\W{{0,3}}\(", text) or re.search(word, text):
            places[name] = found.start()
    return tuple(sorted(places, key=places.__getitem__))


def in_reading_order(calls: Sequence[str], diff: str) -> tuple[str, ...]:
    """As the prompt's openings have them, from the list's end; what it does not have stays in order, at the end."""
    place = {name: number for number, name in enumerate(reversed(openings(parse_diff(diff))))}
    return tuple(sorted(calls, key=lambda name: place.get(name, len(place))))


def row_of_commit(commit: dict[str, Any]) -> Row:
    """A row whose every part is decided by the labels and the diff."""
    diff = commit["diff"].rstrip("\n")
    calls = in_reading_order(in_order_of_appearance(commit["required"], diff, "+"), diff)
    removed = in_order_of_appearance(commit["removed"], diff, "-")
    todos = tuple(commit["todos"])
    names = identifiers(parse_diff(diff).files)
    shown = [name for name in commit["touched"] if name in names]
    place = (shown or changed_paths(diff) or ["the code"])[0]
    return Row(
        origin=commit["repo"],
        diff=diff,
        summary=sentence_of(calls, removed, todos, place),
        subject=subject_of(commit["subject"]),
        calls=calls,
        todos=todos,
        actions=actions_of(diff, removed, todos),
    )


def functions_row(origin: str, diff: str, touched: Sequence[str]) -> Row:
    """Which functions a diff changes: those it shows, in the order of the prompt's list, and whether that is all."""
    bare = tuple(dict.fromkeys(name.rpartition(".")[2] for name in touched))
    shown = definitions(parse_diff(diff))
    place = {name: number for number, name in enumerate(reversed(shown))}
    seen = [name for name in bare if name in place or re.search(rf"(?<![\w$]){re.escape(name)}(?![\w$])", diff)]
    ordered = tuple(sorted(seen, key=lambda name: place.get(name, len(place))))
    return Row(origin, diff, "", "", ordered, (), (), contract=FUNCTIONS, unseen=len(seen) < len(bare))
