"""An operator's regular expressions: linear in the text, with Python's idea of letters, or refused at the start."""

import pytest

from firstpass.linear import Expression, NotLinear
from firstpass.redaction import Redactor
from firstpass.settings.policy import RuleSettings
from firstpass.settings.redaction import RedactionSettings
from tests.machine import LINEAR, growth

BACKTRACKS = (r"(a+)+$", r"(a|aa)+$", r"(.*a){12}$", r"^(\w+\s?)*$")


@pytest.mark.parametrize("pattern", BACKTRACKS)
def test_what_backtracks_for_ever_elsewhere_is_linear_in_the_text(pattern: str) -> None:
    found = Expression(pattern)
    assert growth(lambda length: found.fits("a" * length + "!"), 20_000) < LINEAR


@pytest.mark.parametrize("pattern", [r"(?<=a)b", r"a(?!b)", r"(a)\1", r"a++", r"(?>a|b)c", "(", "[a"])
def test_what_can_not_be_linear_is_refused_with_its_reason(pattern: str) -> None:
    with pytest.raises(NotLinear, match=r"takes linear time: ."):
        Expression(pattern)


@pytest.mark.parametrize("pattern", [r"(?<=a)b", r"(a)\1"])
def test_the_settings_refuse_it_by_the_name_of_the_field(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"text\n.*takes linear time"):
        RuleSettings(name="r", then="strong", text=pattern)
    with pytest.raises(ValueError, match=r"patterns\n.*HOST is no regular expression that takes linear time"):
        RedactionSettings(patterns={"HOST": pattern})


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        (r"\w+", "«Größe_1»", "Größe_1"),
        (r"[\w.-]+@", "<jürgen.böll@x>", "jürgen.böll@"),
        (r"\d+", "٣٤", "٣٤"),
        (r"a\sb", "a\u00a0b", "a\u00a0b"),
        (r"\W+", "é--", "--"),
        (r"[^\s,]+", "a\u00a0b", "a"),
        (r"[]\w]+", "]é", "]é"),
        (r"\\w", r"é\w", r"\w"),
        (r"(?i)ÉCOLE", "une école", "école"),
    ],
)
def test_letters_are_those_of_unicode(pattern: str, text: str, found: str) -> None:
    start, end = next(Expression(pattern).spans(text))
    assert text[start:end] == found and Expression(pattern).fits(text)


def test_many_places_are_found_in_linear_time() -> None:
    found = Expression(r"é+")
    assert growth(lambda length: list(found.spans("é." * length)), 2_000) < LINEAR


def test_words_and_patterns_are_hidden_side_by_side() -> None:
    made = Redactor(patterns=[("HOST", r"\w+\.corp\b")], words=["Größe & Co", "acme"])
    text = "ACME asks größe & co about münchen.corp, not acmeology"
    assert [(one.kind, text[one.start : one.end]) for one in made.find(text)] == [
        ("NAME", "ACME"), ("NAME", "größe & co"), ("HOST", "münchen.corp"),
    ]  # fmt: skip
