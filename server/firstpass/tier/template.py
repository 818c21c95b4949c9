"""What the chat template of the model on this machine does with system turns: found out by counting tokens.

Some refuse them anywhere but at the beginning (Qwen3.5, Gemma, Mistral), which shows by an error; some leave them out
without a word (gpt-oss, MiniMax), which shows by nothing but the prompt's length.
"""

import asyncio
import json
import time
from collections.abc import Sequence
from typing import Literal

from firstpass.chat import Message
from firstpass.client import OK, Broken
from firstpass.dialect.openai.write_request import prompt_of
from firstpass.dialect.values import NONSENSE, count, wire_error
from firstpass.exchange import Ask
from firstpass.tier.local import LocalDoor
from firstpass.tier.one_system import is_strewn, refuses_place, with_one_system

TOKENIZE = "tokenize"
INPUT_TOKENS = "v1/chat/completions/input_tokens"
"""Where vLLM counts, and where llama.cpp does: below the root, not below the API's prefix."""

PROBE_SECONDS = 5.0
QUIET_SECONDS = 60.0
"""After an engine did not answer; then it may well."""

SHORT, LONG = "a", "one two three four five"


class Template:
    """Asks once for each model, before the first chat with such turns; also where the engine counts no tokens.

    door: None where nobody can be asked, and all that is known is what the model refused.
    """

    def __init__(self, door: LocalDoor | None = None) -> None:
        self._door = door
        self._asked: str | None = None
        self._refuses: str | None = None
        self._asks_from = 0.0

    async def fitted(self, ask: Ask, model: str) -> Ask:
        """The ask as the template takes it whole, as far as that can be told."""
        if not is_strewn(ask):
            return ask
        known = model in (self._asked, self._refuses) or time.monotonic() < self._asks_from
        if self._door is not None and not known:
            try:
                async with asyncio.timeout(PROBE_SECONDS):
                    if not await self._takes_turns(self._door, model):
                        self.refused(model)
                self._asked = model
            except (TimeoutError, Broken):
                self._asks_from = time.monotonic() + QUIET_SECONDS
        return with_one_system(ask) if model == self._refuses else ask

    def refused(self, model: str) -> None:
        """It takes one system turn, at the beginning."""
        self._refuses = model

    async def _takes_turns(self, door: LocalDoor, model: str) -> bool:
        """True also of an engine that counts no tokens. Raises: Broken."""
        lengths = []
        for words in (SHORT, LONG):
            turns = (*_said("system", "user", "assistant"), Message("system", words), *_said("user"))
            ask = Ask("probe", 0.0, "chat", model, "local", turns)
            status, body = await counted(door, ask, model)
            if status != OK and refuses_place(wire_error(body).message):
                return False
            if status >= 500:
                raise Broken(f"the engine answered {status}")
            try:
                lengths.append(tokens_in(body))
            except NONSENSE:
                return True
        return lengths[0] != lengths[1]


async def counted(door: LocalDoor, ask: Ask, model: str) -> tuple[int, bytes]:
    """The status and body of the engine's count of a chat's prompt. Raises: Broken."""
    llama = door.able.llama
    return await door.aside(INPUT_TOKENS if llama else TOKENIZE, prompt_of(ask, model, llama=llama))


def tokens_in(body: bytes) -> int:
    """What that says. Raises: one of NONSENSE."""
    said = json.loads(body)
    return count(said["input_tokens"] if "input_tokens" in said else said["count"])


def _said(*roles: Literal["system", "user", "assistant"]) -> Sequence[Message]:
    return [Message(role, "hello") for role in roles]
