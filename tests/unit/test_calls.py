"""The calls of a streamed reply, told apart however an engine numbers them."""

import json
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstpass.dialect.openai.calls import CallReader
from tests.machine import LINEAR, growth
from tests.replayed import call

TOOLS = ("w", "get", "get_weather", "stocks")
Read = list[tuple[str, str, str]]


def read(*deltas: list[dict[str, Any]], tools: tuple[str, ...] = TOOLS) -> Read:
    """(id, name, arguments) of each call, as a client puts the pieces together by their index."""
    reader = CallReader(tools)
    found: dict[int, list[str]] = {}
    for piece in [piece for delta in deltas for piece in reader.read(delta)] + reader.end():
        known = found.setdefault(piece.index, ["", "", ""])
        for at, more in enumerate((piece.id, piece.name, piece.arguments)):
            assert at == 2 or not more or not known[at], "an id and a name are said once: clients join what they get"
            known[at] += more or ""
    assert sorted(found) == list(range(len(found)))
    return [(known[0], known[1], known[2]) for _, known in sorted(found.items())]


A, B = ("a", "w", '{"c":1}'), ("b", "w", '{"c":2}')


@pytest.mark.parametrize(
    "deltas",
    [
        [
            [call(index=0, id="a", name="w", arguments='{"c":1}')],
            [call(index=0, id="b", name="w", arguments='{"c":2}')],
        ],
        [[call(id="a", name="w", arguments='{"c":1}'), call(id="b", name="w", arguments='{"c":2}')]],
        [[call(index=None, id="a", name="w", arguments='{"c":1}')], [call(id="b", name="w", arguments='{"c":2}')]],
        [
            [call(index=0, id="a", name="w", arguments="")],
            [call(index=0, arguments='{"c"')],
            [call(index=0, arguments=":1}")],
            [call(index=0, id="b", name="w", arguments="")],
            [call(index=0, arguments='{"c":2}')],
        ],
        [
            [call(index=0, id="a", name="w"), call(index=1, id="b", name="w")],
            [call(index=1, arguments='{"c"'), call(index=0, arguments='{"c":')],
            [call(index=0, arguments="1}"), call(index=1, arguments=":2}")],
        ],
        [
            [call(index=0, id="a", name="w"), call(index=0, id="b", name="w")],
            [call(index=0, id="a", arguments='{"c":1}')],
            [call(index=0, id="b", arguments='{"c":2}')],
        ],
        [
            [call(index=0, id="a", name="w", arguments='{"c"')],
            [call(index=0, id="a", name="w", arguments=":1}")],
            [call(index=1, id="b", name="w", arguments='{"c"')],
            [call(index=1, id="b", name="w", arguments=":2}")],
        ],
        [
            [call(id="a", name="w")],
            [call(arguments='{"c":1}')],
            [call(id="b", name="w")],
            [call(arguments='{"c":2}')],
        ],
        [
            [call(index=0, name="w")],
            [call(index=0, id="a", arguments='{"c":1}')],
            [call(index=1, name="w")],
            [call(index=1, id="b")],
            [call(index=1, arguments='{"c":2}')],
        ],
        [
            [call(index=3, id="a", name="w", arguments='{"c":1}')],
            [call(index=7, id="b", name="w", arguments='{"c":2}')],
        ],
        [
            [call(index=1, id="a", name="w", arguments='{"c":1}')],
            [call(index=2, id="b", name="w", arguments='{"c":')],
            [call(index=2, arguments="2}")],
        ],
        [
            [call(index=0, id="a", name="w", arguments={"c": 1})],
            [call(index=0, id="b", name="w", arguments={"c": 2})],
        ],
        [
            [call(index=0, id="a", name="w", arguments='{"c":1}')],
            [call(index=0)],
            [call(index=0, id="b")],
            [call(index=0, name="w")],
            [call(index=0, arguments='{"c":2}')],
        ],
    ],
)
def test_two_calls_are_two(deltas: list[list[dict[str, Any]]]) -> None:
    found = read(*deltas)
    assert [(one[:2], json.loads(one[2])) for one in found] == [(one[:2], json.loads(one[2])) for one in (A, B)]


@pytest.mark.parametrize(
    ("deltas", "found"),
    [
        (
            [[call(index=0, id="a", name="get_weather"[:3])], [call(index=0, name="_weather", arguments="{}")]],
            "get_weather",
        ),
        ([[call(index=0, id="a", name="get_")], [call(index=0, name="weather")]], "get_weather"),
        ([[call(index=0, id="a", name="get_")], [call(index=0, name="get_weather")]], "get_weather"),
        ([[call(index=0, id="a", name="get")], [call(index=0, arguments="{}")]], "get"),
        ([[call(index=0, id="a", name="get")]], "get"),
        ([[call(index=0, id="a", name="new_")], [call(index=0, name="tool", arguments="{}")]], "new_tool"),
        ([[call(index=0, id="a")], [call(index=0, name="w")], [call(index=0, arguments="{}")]], "w"),
        ([[call(index=0, id="a", name="w", arguments=" ")], [call(index=0, id="a", name="w", arguments="{}")]], "w"),
    ],
)
def test_a_name_that_comes_in_pieces_or_again_is_one_name(deltas: Any, found: str) -> None:
    ((call_id, name, arguments),) = read(*deltas)
    assert (call_id, name, json.loads(arguments)) == ("a", found, {})


def test_an_engine_that_makes_up_an_id_for_each_piece_writes_one_call() -> None:
    pieces = ["", '{"c', '":', "1}"]
    deltas = [[call(index=0, id=f"x{at}", arguments=piece)] for at, piece in enumerate(pieces)]
    assert read([call(index=0, id="a", name="w")], *deltas) == [A]


def test_calls_without_ids_and_numbers_are_told_by_their_names() -> None:
    deltas = [call(name="w", arguments='{"c":1}'), call(name="stocks"), call(name="w", arguments='{"c":2}')]
    assert read(deltas) == [("", "w", '{"c":1}'), ("", "stocks", "{}"), ("", "w", '{"c":2}')]


@pytest.mark.parametrize("arguments", [{}, {"arguments": ""}, {"arguments": None}, {"arguments": " \n"}])
def test_a_call_without_arguments_has_an_empty_object(arguments: dict[str, Any]) -> None:
    deltas = [[call(index=0, id="a", name="w", **arguments)], [call(index=0, id="b", name="w", **arguments)]]
    assert [json.loads(found[2]) for found in read(*deltas)] == [{}, {}]


def test_all_calls_with_one_id_are_told_by_their_numbers_and_ends() -> None:
    by_number = [call(index=at, id="x", name="w", arguments=f'{{"c":{at}}}') for at in (0, 1)]
    by_end = [call(index=0, id="x", name="w", arguments=f'{{"c":{at}}}') for at in (0, 1)]
    for found in (read(by_number), read(by_end)):
        assert [call_id for call_id, _, _ in found] == ["x", "x_1"], "results are sent back by it"


def test_text_in_arguments_is_not_taken_for_their_end() -> None:
    written = json.dumps({"a": '}"{\\', "b": [{"c": "\\\\"}]})
    deltas = [[call(index=0, id="a", name="w")], *([call(index=0, name="w", arguments=one)] for one in written)]
    assert read(*deltas) == [("a", "w", written)]


@given(
    st.lists(st.dictionaries(st.text(max_size=3), st.text(max_size=5), max_size=3), min_size=1, max_size=4), st.data()
)
def test_however_calls_are_cut_their_arguments_are_whole(
    given_calls: list[dict[str, str]], data: st.DataObject
) -> None:
    numbered = data.draw(st.booleans())
    deltas = []
    for at, said in enumerate(given_calls):
        written, place = json.dumps(said), {"index": at if numbered else 0}
        cuts = sorted(data.draw(st.lists(st.integers(0, len(written)), max_size=4)))
        deltas.append([call(**place, id=f"id{at}", name="w", arguments=written[: (cuts or [len(written)])[0]])])
        ends = [*cuts[1:], len(written)]
        deltas += [[call(**place, arguments=written[a:b])] for a, b in zip(cuts, ends, strict=True)] if cuts else []
    assert [json.loads(arguments) for _, _, arguments in read(*deltas)] == given_calls


def test_a_call_of_four_million_characters_is_read_in_linear_time() -> None:
    def read_in_pieces(mark: str, pieces: int) -> None:
        reader = CallReader(TOOLS)
        for at in range(pieces):
            reader.read([call(index=0, id=f"x{at}", name="w" if not at else None, arguments=mark * 1_000)])

    for mark in ("{", '"', "\\", "a"):
        assert growth(partial(read_in_pieces, mark), 250) < LINEAR
