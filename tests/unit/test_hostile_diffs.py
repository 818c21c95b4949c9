"""What contracts make of diffs that were made to be slow takes time that grows as the diff does.

Each family is tried in a language and a layout that a seed draws: FIRSTPASS_HOSTILE_DRAWS tries more of each, and
FIRSTPASS_HOSTILE_SEED others.
"""

import os
from functools import partial
from random import Random

import pytest
import tree_sitter

from firstpass.chat import Message
from firstpass.contract import shipped
from firstpass.contract.prompted import MOST_FILES
from firstpass.errors import BadAsk
from firstpass.evidence.memory import forget
from firstpass.evidence.trees.captures import captures
from firstpass.evidence.trees.languages import grammar
from firstpass.exchange import Ask, Consult, Exchange, Reply
from tests.hostile import LINES, Kind, heads, kinds
from tests.machine import CLEARLY, LINEAR, TIMES, cpu_seconds_once, growth

DRAWS = int(os.environ.get("FIRSTPASS_HOSTILE_DRAWS", "1"))
SEED = int(os.environ.get("FIRSTPASS_HOSTILE_SEED", "17"))

CHARACTERS = 6_000
"""With TIMES as many, more than is parsed at once."""

CONTRACTS = [shipped(name) for name in ("pr-summary", "code-review")]
DRAFT = Consult("draft", "draft")
SAID = Reply("Summary: Adds `x`.\nCalls:\n- foo\nTODOs:\n- none\nReview:\n- a.py:5 `y`\n", "m", "stop", None, 0.1)


def read(text: str) -> None:
    """All that is done of an ask, from its prompt to the mending of its answer."""
    for contract in CONTRACTS:
        message = Message("user", text)
        ask = Ask("ex_1", 0.0, "chat", "firstpass", "cascade", (message,), contract=contract.pinned)
        contract.prepare(Exchange(ask), DRAFT)
        contract.foresee(ask)
        contract.check(ask, SAID)
        contract.mend(Exchange(ask), SAID)
        contract.signals(ask, SAID)
    forget()


def grows(text: "partial[str]", characters: int) -> float:
    """How many times as long TIMES the size takes; once will do where that says clearly that it is linear."""
    little, much = (cpu_seconds_once(lambda size=size: read(text(size))) for size in (characters, TIMES * characters))  # type: ignore[misc]
    return much / little if much < CLEARLY * LINEAR * little else growth(lambda size: read(text(size)), characters)


@pytest.mark.parametrize("family", LINES)
def test_the_time_that_a_hostile_diff_takes_is_linear(family: str) -> None:
    of = Random(f"{SEED} {family}")
    slow = {
        str(kind): ratio
        for kind in kinds(family, of, DRAWS)
        if (ratio := grows(partial(_text, kind), CHARACTERS)) >= LINEAR
    }
    assert not slow


def _text(kind: Kind, characters: int) -> str:
    return kind.text(characters)


def test_the_time_that_many_files_without_a_hunk_take_is_linear() -> None:
    slow = {}
    of = Random(SEED)
    for name, text in of.sample([*heads(of)], min(6 * DRAWS, 27)):
        if (ratio := grows(partial(_repeated, text), CHARACTERS)) >= LINEAR:
            slow[f"{name}: {text[:30]!r}"] = ratio
    assert not slow


def _repeated(text: str, characters: int) -> str:
    return text * (characters // len(text) + 1)


def test_brackets_that_are_a_thousand_children_of_one_node_take_linear_time() -> None:
    """A query took quadratic time on them: twelve times as long for four times the text."""
    kind = Kind("brackets that open", "replaced", "rs", "[" * 60)
    assert grows(partial(_text, kind), CHARACTERS) < LINEAR


def test_a_diff_of_more_files_than_a_prompt_can_name_is_refused_before_any_is_read() -> None:
    text = "".join(f"diff --git a/{number} b/{number}\n@@ -1 +1 @@\n-a\n+b\n" for number in range(MOST_FILES + 1))
    message = Message("user", text)
    for contract in CONTRACTS:
        ask = Ask("ex_1", 0.0, "chat", "firstpass", "cascade", (message,), contract=contract.pinned)
        with pytest.raises(BadAsk, match="10,001 files, and 10,000 are the most") as caught:
            contract.prepare(Exchange(ask), DRAFT)
        assert caught.value.failure.param == "messages"
    forget()


def test_what_stands_around_a_list_that_did_not_parse_is_found() -> None:
    """As where a hunk begins in a table and goes on with code that it does not end."""
    numbers = ", ".join(map(str, range(1_500)))
    lines = "\n".join(f"    a{number} = b{number}(c{number});" for number in range(60))
    text = f"{numbers},\n5, ];\ncreateSession(function() {{\n{lines}\n  y = [1, 2;;  )\n}});\n"
    javascript = grammar("javascript")
    tree = tree_sitter.Parser(javascript.language).parse(text.encode())
    found = {node.text for node in captures(javascript.calls, tree)["call"]}
    assert found == {node.text for node in tree_sitter.QueryCursor(javascript.calls).captures(tree.root_node)["call"]}
    assert b"createSession" in found
