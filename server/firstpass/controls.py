"""Text of a model, a diff or a server as a person may see it: without what steers a terminal. Knows nothing else."""

import re

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


def plain(text: str) -> str:
    """Text of a model or a diff without what would steer a terminal, or what none can show: halves of UTF-16 pairs."""
    return _CONTROLS.sub("", text)
