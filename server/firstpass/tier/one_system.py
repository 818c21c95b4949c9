"""A chat whose system turns are one, the first, for models whose templates take no other. Knows no wire format.

Qwen, Gemma and Mistral have such templates, and Claude Code sends system turns between others: ollama/ollama#17774,
vllm-project/vllm#44505. Who refuses them shows by its own error, so nobody is asked so before it has refused.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain, groupby

from firstpass.chat import Message, joined
from firstpass.exchange import Ask

SYSTEM = ("system", "developer")

REFUSED = re.compile(
    r"system['\"`]? (?:message|role|prompt|turn|instruction)|roles? must alternate|(?:unexpected|unknown|invalid) "
    r"(?:message )?role|role['\"` ]{1,3}(?:system|developer)|roles are supported|not one of \[?['\"]"
)
"""In what servers and templates say. Too much may fit: it costs one more request that is refused as the first was."""


def refuses_place(message: str) -> bool:
    """Whether an error's words may be about where system turns stand."""
    return REFUSED.search(message.lower()) is not None


def is_strewn(ask: Ask) -> bool:
    """Whether it has other system turns than one at its beginning, or one that is a developer's."""
    return ask.kind == "chat" and any(
        message.role == "developer" or (message.role == "system" and at) for at, message in enumerate(ask.messages)
    )


def with_one_system(ask: Ask) -> Ask:
    """All system texts in their order as the first turn; users' turns that now follow each other are one.

    No text is lost. A turn that is a tool's, or of another speaker, stays one of its own.
    """
    told = [message.introduced.content for message in ask.messages if message.role in SYSTEM and message.content]
    first = [Message("system", "\n\n".join(told))] if told else []
    others = [message for message in ask.messages if message.role not in SYSTEM]
    return replace(ask, messages=(*first, *_joined(others)))


def _joined(messages: Sequence[Message]) -> Iterator[Message]:
    for (role, _), run in groupby(messages, key=lambda message: (message.role, message.name)):
        first, *more = run
        if role != "user":
            yield from (first, *more)
            continue
        content, images = joined(chain(first.parts, *(("\n\n", *message.parts) for message in more)))
        yield replace(first, content=content, images=images)
