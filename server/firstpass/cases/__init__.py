"""Cases: what a server is asked again and again, and what its answers must and must not say.

They live in files of the user's repository; `firstpass check` holds a server to them, `firstpass replay` asks them
elsewhere. This module knows no server and no file: it says what a case is and how it is asked.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from firstpass.exchange import Ceiling, Route

InputKind = Literal["diff", "diff_file", "commit", "prompt", "messages"]
"""The field of a case that has its input; every case has one of them."""

INPUTS: tuple[InputKind, ...] = ("diff", "diff_file", "commit", "prompt", "messages")
DIFFS: tuple[InputKind, ...] = ("diff", "diff_file", "commit")

SEED = 1
"""Where a case says none."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a case is written. path: of its file, as it was given. line: of its first line, from 1."""

    path: str
    line: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line}"


@dataclass(frozen=True, slots=True)
class Input:
    """What is asked. text: what the user's one message says. messages: of the chat API; then there is no text.

    named: the file or the revision that the text is from, as the case names it.
    """

    kind: InputKind
    text: str = ""
    messages: tuple[Mapping[str, Any], ...] = ()
    named: str | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """One question, and what is expected of the answer.

    model: firstpass, local, strong or a model. must_mention, must_not_mention: see `mentions`.
    expect_route: the routes that are allowed, all where empty. expect_checks: whether a failed check fails the case.
    max_seconds: from sending the request to the whole answer. temperature, seed: None leaves them to the server.
    body: further fields of a chat completions request.
    """

    name: str
    asked: Input
    place: Place | None = None
    model: str = "firstpass"
    contract: str | None = None
    must_mention: tuple[str, ...] = ()
    must_not_mention: tuple[str, ...] = ()
    expect_route: tuple[Route, ...] = ()
    expect_checks: Literal["passed", "any"] = "any"
    max_seconds: float | None = None
    egress: Ceiling | None = None
    repository: str | None = None
    max_tokens: int | None = None
    temperature: float | None = 0.0
    seed: int | None = SEED
    body: Mapping[str, Any] = field(default_factory=dict)

    @property
    def expects(self) -> bool:
        """Whether there is an answer that would fail it."""
        named = self.must_mention or self.must_not_mention
        excluded = self.expect_route and set(self.expect_route) != set(get_args(Route))
        return bool(named or excluded) or self.max_seconds is not None or self.expect_checks == "passed"


def body_of(case: Case) -> dict[str, Any]:
    """The chat completions request that asks it."""
    asked = case.asked
    messages = [dict(one) for one in asked.messages] or [{"role": "user", "content": asked.text}]
    limits = {"max_tokens": case.max_tokens, "temperature": case.temperature, "seed": case.seed}
    options = {"contract": case.contract, "egress": case.egress, "repository": case.repository}
    ours = {name: value for name, value in options.items() if value is not None}
    said = {name: value for name, value in limits.items() if value is not None}
    return {"model": case.model, "messages": messages, **case.body, **said} | ({"firstpass": ours} if ours else {})
