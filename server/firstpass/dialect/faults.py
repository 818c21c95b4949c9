"""What an endpoint says went wrong, as errors of our tree. Knows no dialect, no body and no connection."""

from collections.abc import Mapping
from dataclasses import replace

from firstpass.dialect.too_long import LIMIT_FIELD, is_about_answer, is_too_long, names_limit, room, wrong
from firstpass.dialect.values import WireError
from firstpass.errors import BadAsk, ContextTooLong, FirstpassError, TierFailed
from firstpass.exchange import Ask, Kind, TierName

DEFAULT_RETRY_SECONDS = 5
PROMPT_FIELDS: Mapping[Kind, str] = {"chat": "messages", "completion": "prompt", "embedding": "input"}


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


def with_room(ask: Ask, message: str) -> Ask | None:
    """The ask with as long an answer as an endpoint that refused it has room for; None where it was refused otherwise.

    Claude Code asks for 32,000 tokens whatever its model is; the Anthropic API and vLLM stop where the window ends.
    """
    if not _limited(ask) or not is_about_answer(message):
        return None
    limit, asked = room(message), ask.sampling.max_tokens
    if limit is not None and asked is not None and not 0 < limit < asked:
        return None
    return replace(ask, sampling=replace(ask.sampling, max_tokens=limit))


def _limited(ask: Ask) -> bool:
    """Whether the caller itself set the limit of the answer."""
    return ask.sampling.max_tokens is not None and "max_tokens" not in ask.wishes


def named_field(ask: Ask, said: WireError) -> str | None:
    """An endpoint may have another name for the limit than the caller, and may name it in its words only."""
    if names_limit(said.param) or (said.param is None and LIMIT_FIELD.search(said.message)):
        return ask.limit_name if _limited(ask) else "max_tokens"
    return said.param
