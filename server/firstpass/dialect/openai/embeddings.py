"""Embeddings in the form that was asked for, whichever an endpoint gives. Knows no ask and no connection.

The form is the OpenAI API's: a list of numbers, or their 32-bit floats, little end first, in base64. Its own clients
ask for base64 and take what they get for that: openai/openai-node#2150, BerriAI/litellm#42421.
"""

import base64
import json
import math
import struct
from typing import Any, Literal

Form = Literal["float", "base64"]


def in_form(answer: dict[str, Any], raw: bytes, form: Form) -> bytes:
    """The body, as it came where every embedding in it has that form. Raises: one of NONSENSE for what is none."""
    changed = False
    for entry in answer["data"]:
        given = entry["embedding"]
        if not isinstance(given, list | str):
            raise TypeError("an embedding was expected")
        if isinstance(given, str) != (form == "base64"):
            entry["embedding"] = _numbers(given) if isinstance(given, str) else _packed(given)
            changed = True
    return json.dumps(answer, separators=(",", ":")).encode() if changed else raw


def _packed(numbers: list[Any]) -> str:
    if not all(type(number) in (int, float) and math.isfinite(number) for number in numbers):
        raise TypeError("an embedding is made of numbers")
    try:
        return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()
    except (struct.error, OverflowError) as error:
        raise ValueError("a number is too large for 32 bits") from error


def _numbers(packed: str) -> list[float]:
    octets = base64.b64decode(packed, validate=True)
    if len(octets) % 4:
        raise ValueError("32-bit floats were expected")
    numbers = list(struct.unpack(f"<{len(octets) // 4}f", octets))
    if not all(map(math.isfinite, numbers)):
        raise ValueError("JSON has no such number")
    return numbers
