"""The names of models, as patterns mean them."""

import pytest

from firstpass.exchange import Target
from firstpass.house import House
from firstpass.linear import fits
from tests.machine import LINEAR, growth


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("a", "a", True),
        ("a", "ab", False),
        ("a*", "a", True),
        ("*a", "ba", True),
        ("a*a", "a", False),
        ("a*a", "aa", True),
        ("*b*", "abc", True),
        ("a*b*c", "a-c-b", False),
        ("a*b*c", "a-b-b-c", True),
        ("**", "", True),
        ("a.c", "abc", False),
        ("*", "line\nline", True),
        ("ab*bc", "abc", False),
    ],
)
def test_a_star_stands_for_any_text(pattern: str, name: str, expected: bool) -> None:
    assert fits(pattern, name) is expected


def test_a_long_name_is_looked_at_in_linear_time() -> None:
    """Six names of 40 kB held up everybody for seconds: stars were tried in every place of one another."""
    assert growth(lambda size: fits("*claude*haiku*opus*", "claude" * size), 20_000) < LINEAR


@pytest.mark.parametrize(
    ("seeing", "expected"),
    [({"large"}, False), ({"strong"}, False), ({"large", "strong"}, True)],
)
def test_a_cascade_with_another_engine_takes_images_if_its_verifier_does_too(
    seeing: set[str], *, expected: bool
) -> None:
    """The engine alone was looked at, so that an image went to a verifier that takes none."""
    models: dict[str, Target] = {"firstpass": "cascade", "strong": "strong", "large": "local"}
    aliases: dict[str, Target] = {"careful": "cascade"}
    engines = {"careful": "large", "large": "large"}
    house = House(models, {}, "any", aliases=aliases, engines=engines, seeing=frozenset(seeing))
    assert house.sees("careful") is expected
    assert house.sees("large") is ("large" in seeing)
