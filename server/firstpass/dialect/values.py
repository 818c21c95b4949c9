"""Single values of a wire body; what is not of the promised kind is a TypeError. Knows no dialect."""

import json
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from pydantic_core import from_json

from firstpass.chat import NO_ARGUMENTS

NONSENSE = (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError)
"""What reading a wire body raises where it is not of the promised shape."""

LOGPROB_FLOOR = -9999.0
"""vLLM's own stand-in for minus infinity, which JSON can not say."""

MOST_NAMED = 20
"""Of what was left out, in a header and in the record: proxies take some 4 kB of all headers together."""

ERROR_CHARACTERS = 4_000
"""Of an endpoint's words: some repeat the whole request."""

NESTED_ERRORS = 2


class WireError(NamedTuple):
    """What an endpoint says went wrong. param: the field that it names. kind: its own word for what it is."""

    message: str
    param: str | None = None
    kind: str = ""


class ErrorEvent(Exception):
    """A stream's event is an error."""

    def __init__(self, said: WireError) -> None:
        super().__init__(said.message)
        self.said = said


def parsed(data: bytes) -> Any:
    """What json.loads makes of it, in a fifth of the time; it is asked itself where the bytes are no plain JSON.

    Raises: ValueError, RecursionError.
    """
    try:
        return from_json(data)
    except ValueError:
        return json.loads(data)


def text(value: object) -> str:
    """A wire string, None as an empty one; half a surrogate pair is no character. Raises: TypeError."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise TypeError(f"a string was expected, not {type(value).__name__}")
    if value.isascii():
        return value
    return value.encode("utf-8", "replace").decode()


def count(value: object) -> int:
    """Raises: TypeError for anything but a count that a database can hold."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**53:
        raise TypeError("a count was expected")
    return value


def logprob(value: object) -> float:
    """Raises: TypeError for what is no number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        raise TypeError("a log-probability was expected")
    return min(0.0, max(float(value), LOGPROB_FLOOR))


def octets(value: object) -> tuple[int, ...] | None:
    """A token's bytes as numbers, None where there are none. Raises: TypeError."""
    if value is None:
        return None
    if not isinstance(value, list) or not all(type(one) is int and 0 <= one < 256 for one in value):
        raise TypeError("bytes were expected")
    return tuple(value)


def arguments(value: object) -> str:
    """A whole call's, as JSON. Some servers give the object itself, and nothing for an empty one. Raises: TypeError."""
    written = text(json.dumps(value, ensure_ascii=False)) if isinstance(value, dict) else text(value)
    return written if written.strip() else NO_ARGUMENTS


def wire_error(body: bytes, depth: int = 0) -> WireError:
    """What an error body says, whichever of the usual shapes it has; some servers put another's whole into it."""
    try:
        error: Any = json.loads(body)
        error = error.get("error") or error
        inner = error if isinstance(error, str) else error.get("message")
        if isinstance(inner, str) and inner.lstrip().startswith("{") and depth < NESTED_ERRORS:
            return wire_error(inner.encode(), depth + 1)
        if isinstance(error, str):
            return WireError(text(error)[:ERROR_CHARACTERS])
        message = text(str(error.get("message") or error.get("detail") or error))[:ERROR_CHARACTERS]
        param = error.get("param")
        kinds = (one for one in (error.get("code"), error.get("type")) if isinstance(one, str))
        return WireError(message + _sizes(error), text(param) if isinstance(param, str) else None, " ".join(kinds))
    except NONSENSE:
        return WireError(body[: ERROR_CHARACTERS if depth else 200].decode(errors="replace") or "no reason given")


def _sizes(error: dict[str, Any]) -> str:
    """llama.cpp has the numbers of a prompt that is too long beside its words."""
    prompt, limit = error.get("n_prompt_tokens"), error.get("n_ctx")
    if type(prompt) is not int or type(limit) is not int:
        return ""
    return f" (n_prompt_tokens {prompt}, n_ctx {limit})"


def few(names: Sequence[str]) -> tuple[str, ...]:
    """The first of them, and how many more there are."""
    more = len(names) - MOST_NAMED
    return (*names[:MOST_NAMED], *([f"and {more} more"] if more > 0 else []))
