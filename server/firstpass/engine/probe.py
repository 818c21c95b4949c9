"""The questions that tell whether a model server is ready. Knows the OpenAI HTTP API; knows no process and no state."""

import asyncio
import json
from typing import Any

from firstpass.client import OK, Broken, Client, TimedOut
from firstpass.engine.spec import Endpoint
from firstpass.errors import TierFailed, TierUnavailable

CONNECT_SECONDS = 2.0
GLANCE_SECONDS = 5.0
TOP_LOGPROBS = 20
RETRY_SECONDS = 5
ANSWER_BYTES = 4 * 2**20
TOLD_CHARACTERS = 300


async def answers(endpoint: Endpoint, path: str) -> bool:
    """Whether GET `path` (below the base URL, or from the root where it begins with `/`) is answered 200 now."""
    try:
        return (await _asked(endpoint, GLANCE_SECONDS, path))[0] == OK
    except Broken:
        return False


async def is_there(endpoint: Endpoint) -> bool:
    """Whether something takes connections, and no proxy says that it is gone; also what hangs is there."""
    try:
        return (await _asked(endpoint, GLANCE_SECONDS, "models"))[0] < 500
    except Broken as error:
        return isinstance(error, TimedOut)


async def first_model(endpoint: Endpoint) -> str:
    """The first model that the server names. Raises: TierUnavailable, TierFailed; TimedOut where it says nothing."""
    try:
        return str(_json(*await _asked(endpoint, GLANCE_SECONDS, "models"))["data"][0]["id"])
    except TimedOut:
        raise
    except Broken as error:
        message = f"no server answers at the engine's address ({error})"
        raise TierUnavailable(message, part="draft", retry_after_seconds=RETRY_SECONDS) from error
    except (KeyError, IndexError, TypeError) as error:
        raise TierFailed("the engine names no model", part="draft") from error


async def warm_up(endpoint: Endpoint, timeout_seconds: float) -> bool:
    """One short chat with log-probabilities, so that no user waits for kernels and templates to load.

    Returns: whether the answer carries log-probabilities.
    Raises: TierFailed if it is answered with an error, or with nonsense; Broken.
    """
    answer = await _chat(endpoint, timeout_seconds, 4, logprobs=True, top_logprobs=TOP_LOGPROBS)
    try:
        return bool((_json(*answer)["choices"][0].get("logprobs") or {}).get("content"))
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise TierFailed("the engine answered the warm-up request with no choice", part="draft") from error


async def canary(endpoint: Endpoint, timeout_seconds: float) -> None:
    """Has one token written, or the request refused, as a living server does. Raises: TierFailed, Broken."""
    status, body = await _chat(endpoint, timeout_seconds, 1)
    if status >= 500:
        raise _error(status, body)


async def _chat(endpoint: Endpoint, timeout_seconds: float, tokens: int, **further: object) -> tuple[int, bytes]:
    messages = [{"role": "user", "content": "ready?"}]
    asked = {"model": endpoint.model, "messages": messages, "max_tokens": tokens, "temperature": 0} | further
    return await _asked(endpoint, timeout_seconds, "chat/completions", json.dumps(asked).encode())


async def _asked(endpoint: Endpoint, seconds: float, path: str, body: bytes | None = None) -> tuple[int, bytes]:
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
        raise _error(status, body)
    try:
        return json.loads(body)
    except ValueError as error:
        raise TierFailed("the engine answered with no JSON", part="draft") from error


def _error(status: int, body: bytes) -> TierFailed:
    said = body[: 4 * TOLD_CHARACTERS].decode(errors="replace")[:TOLD_CHARACTERS]
    return TierFailed(f"the engine answered {status}: {said}", part="draft")
