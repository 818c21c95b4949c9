"""An answer as people see it: what it holds may be a hostile author's."""

import json

import pytest

from firstpass.answered import read
from firstpass.controls import plain


def body(text: str) -> bytes:
    how = {"route": "draft", "exchange": "ex_1", "contract": "pr-summary@4", "receipts": []}
    finding = {"check": "references", "severity": "fail", "message": text}
    return json.dumps(
        {"choices": [{"message": {"content": text}}], "firstpass": {**how, "findings": [finding]}}
    ).encode()


@pytest.mark.parametrize("sign", ["\x1b", "\x9b", "\u202e", "\u2066", "\ud800", "\udfff"])
def test_nothing_turns_what_is_read_or_stops_it_from_being_written(sign: str) -> None:
    """An override of the direction made a draft read as another one; half a character ended the command."""
    answered = read(200, body(f"Check {sign}the user"))
    assert answered.text == answered.findings[0].says == "Check the user"


def test_letters_of_any_script_stay() -> None:
    for text in ("Grüße, 日本語, עברית, العربية, \U0001f600", "one\ttwo\nthree"):
        assert plain(text) == text
