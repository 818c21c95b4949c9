"""Single values of a wire body; what is not of the promised kind is a TypeError. Knows no dialect."""

import json
import math
from typing import Any

NONSENSE = (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError)
"""What reading a wire body raises where it is not of the promised shape."""

LOGPROB_FLOOR = -9999.0
"""vLLM's own stand-in for minus infinity, which JSON can not say."""


def text(value: object) -> str:
    """A wire string, None as an empty one; half a surrogate pair is no character. Raises: TypeError."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise TypeError(f"a string was expected, not {type(value).__name__}")
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


def error_text(body: bytes) -> tuple[str, str | None]:
    """The message and the field that an error body names, whichever of the usual shapes it has."""
    try:
        error: Any = json.loads(body)
        error = error.get("error", error)
        if isinstance(error, str):
            return text(error), None
        message = error.get("message") or error.get("detail") or error
        param = error.get("param")
        return text(str(message)), text(param) if isinstance(param, str) else None
    except NONSENSE:
        return body[:200].decode(errors="replace") or "no reason given", None
