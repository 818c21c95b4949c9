"""What is asked, where it is not made-up words: lines of a file, with the times at which they came. Knows no server.

A line is `{"body": {"messages": [...], "max_tokens": 64}, "at_s": 0.25}`. Its body has any fields of a request but
those that an arm sets; at_s is in seconds from the beginning, and all lines have it or none.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from firstpass.chat import strict_json
from firstpass.errors import BadLabels

FIELDS = ("body", "at_s")
OF_THE_ARM = ("model", "stream", "stream_options")
"""Fields of a request that no line may have."""

LIMITS = ("max_tokens", "max_completion_tokens")


@dataclass(frozen=True, slots=True)
class Line:
    """at_s: seconds from the workload's beginning; None: whenever the load wants it."""

    body: Mapping[str, Any]
    at_s: float | None = None


@dataclass(frozen=True, slots=True)
class Workload:
    """Lines that are asked over and over, in order. name: for reports. digest: of the file."""

    name: str
    digest: str
    lines: Sequence[Line]

    @property
    def timed(self) -> bool:
        """Whether it is replayed at its own times."""
        return self.lines[0].at_s is not None

    def block(self, begin: int, number: int) -> list[Mapping[str, Any]]:
        """Bodies of so many lines from that one on; behind the last comes the first. begin: may be negative."""
        return [self.lines[at % len(self.lines)].body for at in range(begin, begin + number)]

    def offsets(self, begin: int, number: int, speed: float) -> list[float]:
        """Seconds from the first of them, `speed` times as fast as they came. Only of one that is timed."""
        every = [self._seconds(at) for at in range(begin, begin + number)]
        return [(one - every[0]) / speed for one in every]

    def _seconds(self, at: int) -> float:
        """Between the last line and the first again lies as much as between two on the mean."""
        times, whole = [line.at_s or 0.0 for line in self.lines], len(self.lines)
        span = times[-1] - times[0]
        return times[at % whole] + (at // whole) * (span + span / (whole - 1))


def read_workload(path: Path) -> Workload:
    """Raises: BadLabels with the number of the line and the field that is wrong."""
    try:
        told = path.read_bytes()
        texts = told.decode().split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise BadLabels(f"{path}: can not be read: {error}") from error
    lines = [_line(text, f"{path}, line {number}") for number, text in enumerate(texts, 1) if text.strip()]
    if not lines:
        raise BadLabels(f"{path}: has no line")
    _check_times(lines, path)
    return Workload(path.name, sha256(told).hexdigest()[:16], lines)


def _line(text: str, where: str) -> Line:
    try:
        told = strict_json(text)
    except (ValueError, RecursionError) as error:
        raise BadLabels(f"{where}: is no JSON: {error}") from error
    if not isinstance(told, dict):
        raise BadLabels(f"{where}: must be an object with {' and '.join(FIELDS)}")
    for name in told.keys() - set(FIELDS):
        raise BadLabels(f"{where}: {name}: there is no such field; there are {' and '.join(FIELDS)}")
    body, at_s = told.get("body"), told.get("at_s")
    if not isinstance(body, dict):
        raise BadLabels(f"{where}: body: must be an object, the fields of a request")
    for name in OF_THE_ARM:
        if name in body:
            raise BadLabels(f"{where}: body.{name}: is the arm's to say")
    _check_messages(body.get("messages"), where)
    if "at_s" in told and (isinstance(at_s, bool) or not isinstance(at_s, int | float) or at_s < 0):
        raise BadLabels(f"{where}: at_s: must be seconds from 0 up")
    return Line(body, at_s)


def _check_messages(messages: object, where: str) -> None:
    if not isinstance(messages, list) or not messages:
        raise BadLabels(f"{where}: body.messages: must be a list of at least one message")
    for number, message in enumerate(messages):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise BadLabels(f"{where}: body.messages.{number}: must be an object with a role")


def _check_times(lines: Sequence[Line], path: Path) -> None:
    times = [line.at_s for line in lines if line.at_s is not None]
    if times and len(times) < len(lines):
        number = next(at for at, line in enumerate(lines, 1) if line.at_s is None)
        raise BadLabels(f"{path}, line {number}: at_s: is missing; all lines have it or none")
    if len(times) == 1:
        raise BadLabels(f"{path}: at_s: of one line there is no time between two")
    if times != sorted(times):
        number = next(at for at in range(1, len(times)) if times[at] < times[at - 1]) + 1
        raise BadLabels(f"{path}, line {number}: at_s: is before that of the line before it")


def written(lines: Iterable[Line]) -> Iterator[str]:
    """As `read_workload` reads them, with their ends."""
    for line in lines:
        at_s = {} if line.at_s is None else {"at_s": round(line.at_s, 6)}
        yield json.dumps({"body": line.body, **at_s}, ensure_ascii=False, allow_nan=False) + "\n"


def limited(body: Mapping[str, Any], tokens: int) -> Mapping[str, Any]:
    """With a limit for the answer, where it says none."""
    return body if any(name in body for name in LIMITS) else {**body, "max_tokens": tokens}


def begun(body: Mapping[str, Any], first: str) -> Mapping[str, Any]:
    """With another first line before the first user message's text, so that no cache knows the prompt."""
    messages = list(body["messages"])
    at = next((at for at, message in enumerate(messages) if message["role"] == "user"), None)
    if at is None:
        return body
    content = messages[at].get("content")
    if isinstance(content, list):
        said: object = [{"type": "text", "text": f"{first}\n"}, *content]
    else:
        said = f"{first}\n{content or ''}"
    messages[at] = {**messages[at], "content": said}
    return {**body, "messages": messages}
