"""What goes wrong on the way to a model, as errors of our tree. Knows no dialect and no body."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import httpx

from firstpass.errors import BadAsk, ContextTooLong, FirstpassError, NotFound, TierFailed, TierTimedOut, TierUnavailable
from firstpass.exchange import Ask, Kind, TierName
from firstpass.tier.too_long import LIMIT_FIELD, is_too_long, names_limit, wrong
from firstpass.tier.values import WireError

RETRY_AFTER = re.compile(r"[0-9]{1,5}")
DEFAULT_RETRY_SECONDS = 5

BUSY = (429, 503, 529)
"""529 is Anthropic's own: overloaded."""

PROMPT_FIELDS: Mapping[Kind, str] = {"chat": "messages", "completion": "prompt", "embedding": "input"}


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


def refusal(part: TierName, ask: Ask, response: httpx.Response, said: WireError) -> FirstpassError:
    """An error status in our tree: only a 400, 413 or 422 is the caller's fault, and too many tokens always are.

    Those are Together's 403, and llama.cpp's 500 where an answer outgrew the context.
    """
    status = response.status_code
    overflows = is_too_long(said.message, said.kind)
    if status in (401, 403) and not (overflows and status == 403):  # Its own words may repeat the key.
        return TierFailed(f"the {part} endpoint does not accept this server's API key ({status})", part=part)
    text = f"the {part} model answered {status}: {said.message}"
    if status in BUSY:
        wait = response.headers.get("retry-after", "")
        seconds = int(wait) if RETRY_AFTER.fullmatch(wait) else DEFAULT_RETRY_SECONDS
        return TierUnavailable(text, part=part, retry_after_seconds=seconds)
    if overflows and status != httpx.codes.NOT_FOUND:
        return too_long(part, ask, said)
    if status in (400, 413, 422):
        return BadAsk(said.message, part=part, param=_param(ask, said))
    return TierFailed(text, part=part)


def too_long(part: TierName, ask: Ask, said: WireError) -> BadAsk:
    """ray-project/ray#65486: a limit that no prompt leaves room for is no chat that has to become shorter."""
    what, prompt = wrong(said.message), PROMPT_FIELDS[ask.kind]
    if _limited(ask) and what == "answer":
        return BadAsk(said.message, part=part, param=ask.limit_name)
    return ContextTooLong(said.message, part=part, param=ask.limit_name if _limited(ask) and what == "both" else prompt)


def failed_midway(part: TierName, ask: Ask, said: WireError) -> FirstpassError:
    """An error that came where a reply was awaited, after a status that promised one."""
    if is_too_long(said.message, said.kind):
        return too_long(part, ask, said)
    return TierFailed(f"the {part} model failed while it answered: {said.message}", part=part)


def _limited(ask: Ask) -> bool:
    """Whether the caller itself set the limit of the answer."""
    return ask.sampling.max_tokens is not None and "max_tokens" not in ask.wishes


def _param(ask: Ask, said: WireError) -> str | None:
    """An endpoint may have another name for the limit than the caller, and may name it in its words only."""
    if names_limit(said.param) or (said.param is None and LIMIT_FIELD.search(said.message)):
        return ask.limit_name if _limited(ask) else "max_tokens"
    return said.param


def no_embeddings(part: TierName) -> NotFound:
    return NotFound(f"the {part} model gives no embeddings", part=part, param="model", code="model_not_found")
