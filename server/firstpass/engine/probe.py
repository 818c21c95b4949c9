"""The questions that tell whether a model server is ready. Knows the OpenAI HTTP API; knows no process and no state."""

import asyncio
import json
import logging
from collections.abc import Mapping
from typing import Any

from firstpass.client import OK, Broken, Client, TimedOut
from firstpass.engine.spec import Endpoint, Warmed
from firstpass.errors import TierFailed, TierUnavailable

log = logging.getLogger(__name__)

CONNECT_SECONDS = 2.0
GLANCE_SECONDS = 5.0
TOP_LOGPROBS = 20
RETRY_SECONDS = 5
QUESTION = "ready?"
NO_TEMPLATE = (
    "has no chat template, so it takes no messages; prompts at /v1/completions need none. The settings can give it one:"
    ' engine.extra_args = ["--chat-template", "FILE"]'
)
ANSWER_BYTES = 4 * 2**20
TOLD_CHARACTERS = 300


async def answers(endpoint: Endpoint, path: str) -> bool:
    """Whether GET `path` (below the base URL, or from the root where it begins with `/`) is answered 200 now."""
    try:
        return (await asked(endpoint, GLANCE_SECONDS, path))[0] == OK
    except Broken:
        return False


async def is_there(endpoint: Endpoint) -> bool:
    """Whether something takes connections, and no proxy says that it is gone; also what hangs is there."""
    try:
        return (await asked(endpoint, GLANCE_SECONDS, "models"))[0] < 500
    except Broken as error:
        return isinstance(error, TimedOut)


async def first_model(endpoint: Endpoint) -> str:
    """The first model that the server names. Raises: TierUnavailable, TierFailed; TimedOut where it says nothing."""
    try:
        return str(_json(*await asked(endpoint, GLANCE_SECONDS, "models"))["data"][0]["id"])
    except TimedOut:
        raise
    except Broken as error:
        message = f"no server answers at the engine's address ({error})"
        raise TierUnavailable(message, part="draft", retry_after_seconds=RETRY_SECONDS) from error
    except (KeyError, IndexError, TypeError) as error:
        raise TierFailed("the engine names no model", part="draft") from error


async def warm_up(endpoint: Endpoint, timeout_seconds: float) -> Warmed:
    """One short answer with log-probabilities, so that no user waits for kernels and templates to load.

    To a chat, or to a prompt where the model has no chat template, which an engine says only then.
    Raises: TierFailed if it is answered with an error, or with nonsense; Broken.
    """
    answer = await _chat(endpoint, timeout_seconds, 4, logprobs=True, top_logprobs=TOP_LOGPROBS)
    chats = not _wants_template(*answer)
    if not chats:
        answer = await _prompt(endpoint, timeout_seconds, 4, logprobs=TOP_LOGPROBS)
        log.warning("the model %s %s", endpoint.model, NO_TEMPLATE)
    try:
        said = _json(*answer)["choices"][0].get("logprobs") or {}
        return Warmed(bool(said.get("content") or said.get("tokens")), chats, _likeliest(said))
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise TierFailed("the engine answered the warm-up request with no choice", part="draft") from error


def _likeliest(said: Any) -> Mapping[str, float]:
    """Of the first token, as chats and as completions have them. What is of another shape shows nothing."""
    try:
        if said.get("content"):
            return {one["token"]: float(one["logprob"]) for one in said["content"][0]["top_logprobs"]}
        return {token: float(nats) for token, nats in said["top_logprobs"][0].items()}
    except (KeyError, IndexError, TypeError, ValueError, AttributeError):
        return {}


async def canary(endpoint: Endpoint, timeout_seconds: float, *, chats: bool = True) -> None:
    """Has one token written, or the request refused, as a living server does. chats: see Warmed.

    Raises: TierFailed, Broken.
    """
    status, body = await (_chat if chats else _prompt)(endpoint, timeout_seconds, 1)
    if status >= 500:
        raise refusal(status, body)


async def _chat(endpoint: Endpoint, seconds: float, tokens: int, **further: object) -> tuple[int, bytes]:
    return await _short(
        endpoint, seconds, "chat/completions", tokens, messages=[{"role": "user", "content": QUESTION}], **further
    )


async def _prompt(endpoint: Endpoint, seconds: float, tokens: int, **further: object) -> tuple[int, bytes]:
    return await _short(endpoint, seconds, "completions", tokens, prompt=QUESTION, **further)


async def _short(endpoint: Endpoint, seconds: float, path: str, tokens: int, **fields: object) -> tuple[int, bytes]:
    fixed = {"model": endpoint.model, "max_tokens": tokens, "temperature": 0}
    return await asked(endpoint, seconds, path, json.dumps(fixed | fields).encode())


def _wants_template(status: int, body: bytes) -> bool:
    """As vLLM says it: "you must provide a chat template if the tokenizer does not define one"."""
    return status in (400, 422) and b"chat template" in body


async def asked(endpoint: Endpoint, seconds: float, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    """The status and body of what is got, or answered to what is posted, on a connection of its own. Raises: Broken."""
    connect_seconds = min(CONNECT_SECONDS, seconds)
    client = Client(endpoint.base_url, uds=endpoint.uds, silent_seconds=seconds, connect_seconds=connect_seconds)
    try:
        async with (
            asyncio.timeout(seconds),
            client.get(path) if body is None else client.post(path, body) as response,
        ):
            return response.status, await response.read(ANSWER_BYTES)
    except TimeoutError as error:
        raise TimedOut(f"nothing whole within {seconds:g} s") from error
    finally:
        await client.aclose()


def _json(status: int, body: bytes) -> Any:
    if status != OK:
        raise refusal(status, body)
    try:
        return json.loads(body)
    except ValueError as error:
        raise TierFailed("the engine answered with no JSON", part="draft") from error


def refusal(status: int, body: bytes) -> TierFailed:
    said = body[: 4 * TOLD_CHARACTERS].decode(errors="replace")[:TOLD_CHARACTERS]
    return TierFailed(f"the engine answered {status}: {said}", part="draft")
