"""Text of a model, a diff or a server as a person may see it: without what steers a terminal. Knows nothing else."""

import re

_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""With those that turn the direction of what follows, so that it reads as another text, and halves of characters."""


def plain(text: str) -> str:
    """Without control characters, and without what no terminal or file can show as it is."""
    return _CONTROLS.sub("", text)
