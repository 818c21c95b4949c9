"""What others wrote, as it goes into a question: it can not end the place that it stands in. Knows no particular model.

A tokenizer takes the borders of a chat's turns for borders wherever they stand, so a diff that holds some would write
turns of its own. A blank after the first character makes plain text of them, and leaves every word as it is.
"""

import re

_TURN = re.compile(
    r"<(?=[|\uff5c][^\s|\uff5c<>]{1,40}[|\uff5c]?>)"
    r"|<(?=[^\s|\uff5c<>]{1,40}[|\uff5c]>)"
    r"|<(?=(?:start|end)_of_turn>|/s>|</?SYS>>)"
    r"|\[(?=/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|TOOL_CONTENT)\])"
)
"""Of ChatML, Llama, gpt-oss, GLM, Granite, LFM, Qwen, the bundled models, DeepSeek (with wide bars), Gemma and Mistral.

Source: the chat templates and added tokens of their tokenizers.
"""

_BORDER = re.compile(r"<(?=/?(?:evidence|draft|faults) [0-9A-Fa-f]{12}>)")
"""Of a block in a question for a verdict. The right nonce nobody can know; a model may not look at it closely."""


_TURN_SIGNS = (
    "<|", "<\uff5c", "|>", "\uff5c>", "_of_turn>", "</s>", "SYS>>", "INST]", "_PROMPT]", "_TOOLS]", "_CALLS]",
    "_RESULTS]", "_CONTENT]",
)  # fmt: skip
"""One of them stands in each border of a turn: nearly no text has any, and that is told far sooner."""


def quoted(text: str) -> str:
    if any(sign in text for sign in _TURN_SIGNS):
        text = _TURN.sub(lambda border: f"{border[0]} ", text)
    return _BORDER.sub("< ", text)


def unbroken(name: str) -> str:
    """On one line: git lets a file's name hold line breaks, and each of them would begin a line of ours."""
    return " ".join(name.splitlines())
