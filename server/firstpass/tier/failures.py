"""What goes wrong on the way to a model: broken connections and error statuses, as errors of our tree."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from firstpass.client import Broken, Response, TimedOut, TooMuch
from firstpass.dialect.faults import DEFAULT_RETRY_SECONDS, named_field, too_long
from firstpass.dialect.too_long import is_too_long
from firstpass.dialect.values import WireError
from firstpass.errors import BadAsk, FirstpassError, NotFound, TierFailed, TierTimedOut, TierUnavailable
from firstpass.exchange import Ask, TierName

RETRY_AFTER = re.compile(r"[0-9]{1,5}")

BUSY = (429, 503, 529)
"""529 is Anthropic's own: overloaded."""


@contextmanager
def broken_wire(part: TierName) -> Iterator[None]:
    """Raises: TierTimedOut, TierFailed for what the connection raises inside the block."""
    try:
        yield
    except (TimeoutError, TimedOut) as error:
        late = TierTimedOut(f"the {part} model did not answer in time", part=part, retry_after_seconds=10)
        late.in_all = isinstance(error, TimeoutError)
        raise late from error
    except TooMuch as error:
        raise TierFailed(f"the {part} model's answer was cut off: {error}", part=part) from error
    except Broken as error:
        message = f"the connection to the {part} model broke ({error})"
        raise TierFailed(message, part=part, retry_after_seconds=1) from error


def refusal(part: TierName, ask: Ask, response: Response, said: WireError) -> FirstpassError:
    """An error status in our tree: only a 400, 413 or 422 is the caller's fault, and too many tokens always are.

    Those are Together's 403, and llama.cpp's 500 where an answer outgrew the context.
    """
    status = response.status
    overflows = is_too_long(said.message, said.kind)
    if status in (401, 403) and not (overflows and status == 403):  # Its own words may repeat the key.
        return TierFailed(f"the {part} endpoint does not accept this server's API key ({status})", part=part)
    text = f"the {part} model answered {status}: {said.message}"
    if status in BUSY:
        wait = response.headers.get("retry-after", "")
        asked = int(wait) if RETRY_AFTER.fullmatch(wait) else None
        busy = TierUnavailable(text, part=part, retry_after_seconds=DEFAULT_RETRY_SECONDS if asked is None else asked)
        busy.asked_to_wait_seconds = asked
        return busy
    if overflows and status != 404:
        return too_long(part, ask, said)
    if status in (400, 413, 422):
        return BadAsk(said.message, part=part, param=named_field(ask, said))
    return TierFailed(text, part=part, retry_after_seconds=1 if status >= 500 else None)


def no_embeddings(part: TierName) -> NotFound:
    return NotFound(f"the {part} model gives no embeddings", part=part, param="model", code="model_not_found")
