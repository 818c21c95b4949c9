"""How many tokens an ask is to the model on this machine, by its own tokenizer. Nobody else is asked."""

import asyncio
from dataclasses import dataclass

from firstpass.dialect.openai.write_request import refuse_redacted
from firstpass.dialect.values import NONSENSE, wire_error
from firstpass.errors import BadAsk, Busy, NotFound, TierFailed, TierUnavailable
from firstpass.exchange import Ask
from firstpass.tier.failures import broken_wire
from firstpass.tier.local import LocalDoor
from firstpass.tier.template import TOKENIZE, Template, counted, tokens_in

NO_SUCH_PATH = (404, 405, 501)
COUNT_SECONDS = 10.0
READY_SECONDS = 1.0
TURN_SECONDS = 2.0
"""How long a count waits for others before it."""

RETRY_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Counted:
    """model: whose tokenizer counted."""

    tokens: int
    model: str


class TokenCounter:
    """limit: how many asks the engine counts at once; as many more may wait for their turn."""

    def __init__(self, door: LocalDoor, template: Template, limit: int, seconds: float = COUNT_SECONDS) -> None:
        self._door = door
        self._template = template
        self._limit = limit
        self._seconds = seconds
        self._turns = asyncio.Semaphore(limit)
        self._here = 0

    async def count(self, ask: Ask) -> Counted:
        """Of the whole prompt: what is said, the tools, and what the model's template puts around them.

        Raises: NotFound where the engine has no tokenizer to offer, BadAsk where its template can not take the
        messages, Busy, TierUnavailable, TierFailed, TierTimedOut.
        """
        refuse_redacted(ask, "draft")
        if self._here >= 2 * self._limit:
            raise self._busy()
        self._here += 1
        try:
            await self._turn()
            try:
                return await self._counted(ask)
            finally:
                self._turns.release()
        finally:
            self._here -= 1

    async def _turn(self) -> None:
        try:
            async with asyncio.timeout(TURN_SECONDS):
                await self._turns.acquire()
        except TimeoutError as error:
            raise self._busy() from error

    def _busy(self) -> Busy:
        return Busy(f"{self._here} prompts are being counted or wait for it", part="draft", retry_after_seconds=2)

    async def _counted(self, ask: Ask) -> Counted:
        model = await self._model()
        fitted = await self._template.fitted(ask, model)
        with broken_wire("draft"):
            async with asyncio.timeout(self._seconds):
                return Counted(_tokens(*await counted(self._door, fitted, model)), model)

    async def _model(self) -> str:
        """A count is no reason to wait for an engine that starts. Raises: TierUnavailable, TierTimedOut."""
        try:
            async with asyncio.timeout(READY_SECONDS):
                return await self._door.model()
        except TimeoutError as error:
            text = "the draft engine is not ready"
            raise TierUnavailable(text, part="draft", retry_after_seconds=RETRY_SECONDS) from error


def _tokens(status: int, body: bytes) -> int:
    if status in NO_SUCH_PATH:
        text = f"the draft engine counts no tokens: it has no /{TOKENIZE}, which vLLM has"
        raise NotFound(text, part="draft", code="no_tokenizer")
    if status in (400, 422):
        raise BadAsk(wire_error(body).message, part="draft", param="messages")
    try:
        return tokens_in(body)
    except NONSENSE as error:
        raise TierFailed(f"the draft engine answered {status} and no count", part="draft") from error
