"""Placeholders, and what a stream shows of them. Secrets here are random words: nothing is found, all is told."""

import json
import pickle
import re
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from firstpass.redaction import Placeholders
from tests.machine import LINEAR, growth

SECRETS = ("hunter2!x", 'quo"te\\and\nline', "пароль-Ω-99", "HIDDEN_KEY_0a1b2c3d")


def placed(*secrets: str) -> tuple[Placeholders, list[str]]:
    places = Placeholders()
    return places, [places.stand_in(secret, "KEY", ()) for secret in secrets]


def test_a_placeholder_is_a_word_that_says_its_kind() -> None:
    _, (name,) = placed("hunter2!x")
    assert re.fullmatch(r"HIDDEN_KEY_[0-9a-f]{8}", name)


def test_a_secret_has_one_placeholder_and_two_secrets_have_two() -> None:
    places, (first, second, third) = placed("one-1", "two-2", "one-1")
    assert first == third != second
    assert places.kinds == {"KEY": 2}


def test_two_requests_have_different_placeholders_for_a_secret() -> None:
    assert placed("hunter2!x")[1] != placed("hunter2!x")[1]


def test_no_secret_is_in_the_repr_and_none_can_be_pickled() -> None:
    places, _ = placed(*SECRETS)
    assert repr(places) == "Placeholders(KEY=4)"
    with pytest.raises(TypeError):
        pickle.dumps(places)


def test_placeholders_are_true_when_something_is_hidden() -> None:
    assert not Placeholders()
    assert placed("x")[0]


def test_what_only_looks_like_a_placeholder_comes_through() -> None:
    places, (name,) = placed("hunter2!x")
    strange = f"HIDDEN_KEY_00000000 HIDDEN_HIDDEN_{name} {name[:-1]} {name.lower()} {placed('other')[1][0]}"
    assert places.restore(strange) == strange.replace(name, "hunter2!x")


def test_a_secret_goes_into_json_as_json_writes_it() -> None:
    places, names = placed(*SECRETS)
    assert json.loads(places.restore(json.dumps(names), escaped=True)) == list(SECRETS)


def test_a_kind_that_is_too_long_is_cut() -> None:
    places = Placeholders()
    assert places.restore(places.stand_in("s3cret", "K" * 200, ())) == "s3cret"


def test_half_a_placeholder_at_the_end_is_shown_as_it_came() -> None:
    places, (name,) = placed("hunter2!x")
    restorer = places.restorer()
    assert restorer.feed(f"see {name[:-2]}") == "see "
    assert restorer.end() == name[:-2]
    assert restorer.end() == ""


def test_nothing_is_held_back_but_the_beginning_of_a_placeholder() -> None:
    places, (name,) = placed("hunter2!x")
    restorer = places.restorer()
    assert restorer.feed("HIDDEN_WORD_") == "HIDDEN_WORD_"
    assert restorer.feed("a HIDE") == "a HIDE"
    assert restorer.feed("b HID") == "b "
    assert restorer.feed("E") == "HIDE"
    assert restorer.feed(name) == "hunter2!x"


def test_without_secrets_nothing_is_held_back() -> None:
    restorer = Placeholders().restorer()
    assert restorer.feed("HIDDEN_") == "HIDDEN_"
    assert restorer.end() == ""


TEXTS = some.lists(
    some.one_of(
        some.sampled_from(range(len(SECRETS))),
        some.sampled_from(("H", "HIDDEN_", "HIDDEN_KEY_", "_", "0a1b2c3d", " ", "HIDDEN_HIDDEN_KEY_", "text")),
    ),
    max_size=12,
)


@settings(max_examples=100, deadline=None)
@given(TEXTS, some.lists(some.integers(0, 400), max_size=30), some.booleans())
def test_a_stream_shows_what_the_whole_restores_whatever_its_cuts(
    parts: list[int | str], cuts: list[int], escaped: bool
) -> None:
    places, names = placed(*SECRETS)
    text = "".join(names[part] if isinstance(part, int) else part for part in parts)
    restorer, shown, whole = places.restorer(escaped), "", places.restore(text, escaped)
    edges = sorted({min(cut, len(text)) for cut in cuts} | {0, len(text)})
    for start, end in pairwise(edges):
        shown += restorer.feed(text[start:end])
        assert whole.startswith(shown)
        assert not any(shown.endswith(name[:20]) for name in names)
        assert len(restorer.held) == 0 or any(name.startswith(restorer.held) for name in names)
    assert shown + restorer.end() == whole


def test_a_stream_of_single_letters_takes_time_in_proportion() -> None:
    places, names = placed(*(f"secret-{number}" for number in range(50)))
    text = " ".join(names) + " HIDDEN HIDE H "

    def work(size: int) -> None:
        restorer = places.restorer()
        for letter in (text * (size // len(text) + 1))[:size]:
            restorer.feed(letter)

    assert growth(work, 1_500) < LINEAR


def test_restoring_many_placeholders_takes_time_in_proportion() -> None:
    places = Placeholders()
    names = [places.stand_in(f"secret-{number}", "KEY", ()) for number in range(8_100)]
    assert growth(lambda size: places.restore(" ".join(names[:size])), 5_000) < LINEAR
