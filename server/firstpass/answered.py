"""An answer of a running server to a contract's question, as whoever shows it to people reads it.

It opens no connection. It imports next to nothing: a git hook starts with it.
"""

import json
from dataclasses import dataclass
from typing import Any

from firstpass.controls import plain

UNVERIFIED = "unverified"
TOO_LARGE = ("context_length_exceeded", "body_too_large")
"""The codes of a server that can't read so much."""

TEXT_CHARACTERS = 64 * 2**10
"""Of an answer; none of a contract is nearly as long."""

FINDINGS = 50


class NoAnswer(Exception):
    """There is none, and this says why. code: the server's own, where it says one."""

    def __init__(self, why: str, code: str = "") -> None:
        super().__init__(why)
        self.code = code


@dataclass(frozen=True, slots=True)
class Found:
    """What a check found. grave: whether the answer failed it."""

    check: str
    grave: bool
    says: str


@dataclass(frozen=True, slots=True)
class Answered:
    """text: without characters that steer a terminal. contract: with its version."""

    text: str
    route: str
    exchange: str
    contract: str
    findings: tuple[Found, ...]
    left: int
    """How many requests with some of it left the server's machine."""

    @property
    def is_unverified(self) -> bool:
        return self.route == UNVERIFIED


def question(contract: str, diff: bytes, model: str, ceiling: str | None = None) -> dict[str, Any]:
    """The body of a request. A diff of files that are no UTF-8 has marks where their bytes were."""
    steering = {"contract": contract} | ({"egress": ceiling} if ceiling else {})
    message = {"role": "user", "content": diff.decode(errors="replace")}
    return {"model": model, "messages": [message], "firstpass": steering}


def read(status: int, body: bytes) -> Answered:
    """Raises: NoAnswer, in words for people."""
    try:
        said = json.loads(body)
        if status == 200:
            return _read(said)
        error = said["error"]
        code = _word(error["code"])
        raise NoAnswer(f"the server says: {_line(error['message'])} ({status} {code})", code)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
        raise NoAnswer(f"what answers there ({status}) does not answer as Firstpass does") from error


def _read(said: dict[str, Any]) -> Answered:
    text = said["choices"][0]["message"]["content"]
    how = said["firstpass"]
    if not isinstance(text, str) or not text.strip():
        raise NoAnswer("the answer is empty")
    if len(text) > TEXT_CHARACTERS:
        raise NoAnswer(f"the answer is too long: {len(text)} characters")
    return Answered(
        text=plain(text).strip(),
        route=_word(how["route"]),
        exchange=_word(how["exchange"]),
        contract=_word(how["contract"]),
        findings=tuple(
            Found(_word(one["check"]), one["severity"] == "fail", _line(one["message"]))
            for one in how["findings"][:FINDINGS]
        ),
        left=len(how["receipts"]),
    )


def _word(said: str) -> str:
    return _line(said)[:80]


def _line(said: str) -> str:
    """On one line, whatever it was."""
    return plain(" ".join(said.split()))[:500]
