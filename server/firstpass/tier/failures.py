"""What goes wrong on the way to a model, as errors of our tree. Knows no dialect and no body."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from firstpass.errors import BadAsk, ContextTooLong, FirstpassError, NotFound, TierFailed, TierTimedOut, TierUnavailable
from firstpass.exchange import TierName

RETRY_AFTER = re.compile(r"[0-9]{1,5}")
DEFAULT_RETRY_SECONDS = 5

CONTEXT_WORDS = (
    *("context length", "context_length", "maximum model length", "max_model_len", "maximum context"),
    *("prompt is too long", "context limit", "context window"),
)
"""In what OpenAI, vLLM and Anthropic say to more tokens than a model holds."""

BUSY = (429, 503, 529)
"""529 is Anthropic's own: overloaded."""


@contextmanager
def broken_wire(part: TierName) -> Iterator[None]:
    """Raises: TierTimedOut, TierFailed for what the connection raises inside the block."""
    try:
        yield
    except (TimeoutError, httpx.TimeoutException) as error:
        message = f"the {part} model did not answer in time"
        raise TierTimedOut(message, part=part, retry_after_seconds=10) from error
    except httpx.HTTPError as error:
        message = f"the connection to the {part} model broke ({type(error).__name__})"
        raise TierFailed(message, part=part, retry_after_seconds=1) from error


def refusal(part: TierName, response: httpx.Response, message: str, param: str | None) -> FirstpassError:
    """An error status in our tree: only a 400, 413 or 422 is the caller's fault."""
    status = response.status_code
    if status in (400, 413, 422):
        too_long = any(words in message.lower() for words in CONTEXT_WORDS)
        kind = ContextTooLong if too_long else BadAsk
        return kind(message, part=part, param="messages" if too_long else param)
    if status in (401, 403):  # Its own words may repeat the key.
        return TierFailed(f"the {part} endpoint does not accept this server's API key ({status})", part=part)
    text = f"the {part} model answered {status}: {message}"
    if status in BUSY:
        wait = response.headers.get("retry-after", "")
        seconds = int(wait) if RETRY_AFTER.fullmatch(wait) else DEFAULT_RETRY_SECONDS
        return TierUnavailable(text, part=part, retry_after_seconds=seconds)
    return TierFailed(text, part=part)


def no_embeddings(part: TierName) -> NotFound:
    return NotFound(f"the {part} model gives no embeddings", part=part, param="model", code="model_not_found")
