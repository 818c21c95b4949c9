"""What a diff is about: terms and sentences, the most telling first."""

import json
import math
from dataclasses import astuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firstpass.evidence import read_diff
from firstpass.evidence.account import Account, account_of, shown_facts
from firstpass.evidence.diffs.identifiers import names_in_text
from firstpass.evidence.salience.frequencies import TABLES, Both, Frequencies, general
from firstpass.evidence.salience.terms import MOST_TERMS, RARITY_POWER, features, placed, sentences_of, weighed
from firstpass.evidence.salience.vocabulary import tokens_in, words_of
from tests.machine import cpu_seconds_once, stretched

DIFF = """diff --git a/shop/cookies.py b/shop/cookies.py
--- a/shop/cookies.py
+++ b/shop/cookies.py
@@ -10,7 +10,9 @@ class Jar:
 def send_cookies(jar, url):
     result = []
     for cookie in jar:
-        result.append(cookie)
+        # Secure cookies never travel over a transport that others can read.
+        if cookie.secure and not is_secure_origin(url):
+            raise InsecureTransport("a secure cookie for an insecure origin")
+        result.append(cookie)
     return result
"""


@given(st.text(alphabet="ab9Z_$- .\n", max_size=300))
def test_names_are_the_same_beside_a_letter_that_ascii_has_not(text: str) -> None:
    assert [*tokens_in(text), "\u00e9"] == tokens_in(f"{text} \u00e9")
    assert names_in_text(text) | {"\u00e9"} == names_in_text(f"{text} \u00e9")


def texts(account: Account, most: int) -> list[str]:
    return [term.text for term in account.terms[:most]]


def told(account: Account, most: int) -> set[str]:
    return {word for term in account.terms[:most] for word in term.words}


@pytest.mark.parametrize(
    ("token", "words"),
    [
        ("parseHTTPHeaders", ("parse", "http", "header")),
        ("parse_http_header", ("parse", "http", "header")),
        ("IOLoop", ("io", "loop")),
        ("classes", ("classe",)),
        ("pass", ("pass",)),
        ("__init__", ("init",)),
        ("of", ()),
        ("x", ()),
        ("deadbeef42", ()),
        ("größe_max", ("größe", "max")),
    ],
)
def test_a_name_is_made_of_its_words(token: str, words: tuple[str, ...]) -> None:
    assert words_of(token) == words


def test_a_digest_has_no_words() -> None:
    assert words_of("e3b0c44298fc1c149afbf4c8996fb924") == ()


def test_what_is_new_and_rare_comes_before_what_any_code_has() -> None:
    account = account_of(DIFF)
    assert {"secure", "insecure", "transport", "cookie"} <= told(account, 4)
    assert {"result", "append"}.isdisjoint(told(account, 6))


def test_terms_know_their_sign_their_files_and_whether_they_are_code() -> None:
    terms = {term.text: term for term in account_of(DIFF).terms}
    assert terms["InsecureTransport"].sign == "+" and terms["InsecureTransport"].code
    assert terms["InsecureTransport"].paths == ("shop/cookies.py",)
    assert not next(
        term for term in terms.values() if term.text in ("travel", "others", "read", "never", "Secure")
    ).code


def test_no_two_terms_say_the_same_word_first() -> None:
    found = account_of(DIFF).terms
    assert len({term.text for term in found}) == len(found) <= MOST_TERMS


def test_a_message_and_a_comment_that_are_added_are_sentences_to_quote() -> None:
    comment = "Secure cookies never travel over a transport that others can read"
    assert {phrase.text for phrase in account_of(DIFF).phrases} == {"a secure cookie for an insecure origin", comment}


@pytest.mark.parametrize(
    ("lines", "sentences"),
    [
        (["# One thing.", "# Another one is here."], ["One thing"]),
        (["// It goes on", "// to the next line, and ends. More."], ["It goes on to the next line, and ends"]),
        (["- an item of a list", "- another item of it"], ["an item of a list", "another item of it"]),
        (["/* A block", " * of two lines. */"], ["A block of two lines"]),
        (["", "   "], []),
    ],
)
def test_the_first_sentence_of_a_paragraph_is_read_without_its_signs(lines: list[str], sentences: list[str]) -> None:
    assert sentences_of(lines) == sentences


@pytest.mark.parametrize(
    "line",
    [
        "# TODO: refuse old carts at once",
        "# see https://example.com for all of it",
        "# if x == 1: return {y: z}",
        "# Copyright 2026 The Authors of this",
        "# @param value what it is",
    ],
)
def test_code_addresses_notices_and_todos_are_never_quoted(line: str) -> None:
    diff = f"diff --git a/a.py b/a.py\n--- a/a.py\n+++ b/a.py\n@@ -1,1 +1,2 @@\n x = 1\n+{line}\n"
    assert account_of(diff).phrases == ()


def test_the_same_diff_gives_the_same_terms() -> None:
    first = account_of(DIFF)
    account_of.cache_clear()
    assert account_of(DIFF) is not first and astuple(account_of(DIFF)) == astuple(first)


def test_a_word_that_is_common_in_the_repository_counts_less_there() -> None:
    own = Frequencies(1000, {"cookie": 900, "secure": 1})
    both = Both(own, general())
    assert both.rarity("cookie") < general().rarity("cookie") and both.rarity("secure") > both.rarity("cookie")
    place = [term.words for term in account_of(DIFF, own).terms].index
    assert place(account_of(DIFF, own).terms[0].words) == 0
    alone, at_home = (next(term.weight for term in account.terms if "cookie" in term.words) for account in (
        account_of(DIFF), account_of(DIFF, own)))  # fmt: skip
    assert at_home < alone


def test_a_word_in_no_commit_is_the_rarest_and_one_in_all_is_not_rare() -> None:
    table = Frequencies(100, {"all": 100, "some": 10})
    assert table.rarity("none") > table.rarity("some") > table.rarity("all") == pytest.approx(0.005, abs=0.005)


def test_the_package_s_table_has_words_and_counts_alone() -> None:
    table = general()
    assert table.documents > 5_000 and all(
        word == word.lower() and 0 < count <= table.documents for word, count in table.counts.items()
    )


def test_a_word_s_weight_is_what_its_features_say() -> None:
    fitted = json.loads((TABLES / "salience.json").read_text())
    parsed, facts = read_diff(DIFF), shown_facts(DIFF)
    words = placed(parsed, facts)
    for word, weight in weighed(words.places, words.files, 1, general()):
        values = features(word, words.places[word], words.files[word], 1, general())
        logit = fitted["intercept"] + sum(map(float.__mul__, fitted["coefficients"], map(float, values)))
        rare = max(0.1, general().rarity(word)) ** RARITY_POWER
        assert weight == pytest.approx(rare / (1 + math.exp(-logit))), word


def test_lock_files_and_generated_ones_say_nothing_but_their_name() -> None:
    lock = DIFF.replace("shop/cookies.py", "poetry.lock")
    assert not {"insecure", "transport"} & told(account_of(lock), MOST_TERMS)


@settings(deadline=None, max_examples=60)
@given(st.text())
def test_any_text_has_an_account(text: str) -> None:
    account_of(text)
    account_of(f"diff --git a/a.py b/a.py\n--- a/a.py\n+++ b/a.py\n@@ -1,1 +1,2 @@\n x\n+{text}\n")


@pytest.mark.parametrize("piece", ["'", '"', "`", "# ", "a ", "ab_", "- ", "//", "x" * 50 + " ", "\\", "é"])
def test_hostile_text_takes_time_that_grows_with_its_length(piece: str) -> None:
    """Quadratic, 200 kB take minutes."""
    line = (piece * 390)[:390]
    body = "\n".join(f"+{line}" for _ in range(500))
    diff = f"diff --git a/a.py b/a.py\n--- a/a.py\n+++ b/a.py\n@@ -0,0 +1,500 @@\n{body}\n"
    assert cpu_seconds_once(lambda: account_of(diff)) < stretched(4)
