"""The questions that tell whether a model server is ready. Knows the OpenAI HTTP API; knows no process and no state."""

from typing import Any

import httpx

from firstpass.engine.spec import Endpoint
from firstpass.errors import TierFailed, TierUnavailable

CONNECT_SECONDS = 2.0
GLANCE_SECONDS = 5.0
TOP_LOGPROBS = 20
RETRY_SECONDS = 5


def client_for(endpoint: Endpoint, timeout_seconds: float) -> httpx.AsyncClient:
    """Reads no proxy settings: an engine is on this machine. Certificates take 25 ms to read, so only where needed."""
    uds = str(endpoint.uds) if endpoint.uds else None
    transport = httpx.AsyncHTTPTransport(uds=uds, verify=endpoint.base_url.startswith("https:"))
    timeout = httpx.Timeout(timeout_seconds, connect=min(CONNECT_SECONDS, timeout_seconds))
    return httpx.AsyncClient(transport=transport, base_url=endpoint.base_url, timeout=timeout, trust_env=False)


async def answers(endpoint: Endpoint, path: str) -> bool:
    """Whether GET `path` (relative to the base URL) is answered 200 now."""
    try:
        async with client_for(endpoint, GLANCE_SECONDS) as client:
            return (await client.get(path)).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


async def first_model(endpoint: Endpoint) -> str:
    """The first model that the server names. Raises: TierUnavailable, TierFailed."""
    try:
        async with client_for(endpoint, GLANCE_SECONDS) as client:
            response = await client.get("models")
        return str(_json(response)["data"][0]["id"])
    except httpx.HTTPError as error:
        message = f"no server answers at the engine's address ({type(error).__name__})"
        raise TierUnavailable(message, part="draft", retry_after_seconds=RETRY_SECONDS) from error
    except (KeyError, IndexError, TypeError) as error:
        raise TierFailed("the engine names no model", part="draft") from error


async def warm_up(endpoint: Endpoint, timeout_seconds: float) -> bool:
    """One short chat with log-probabilities, so that no user waits for kernels and templates to load.

    Returns: whether the answer carries log-probabilities.
    Raises: TierFailed if it is answered with an error, or with nonsense; httpx.HTTPError.
    """
    body = {
        "model": endpoint.model,
        "messages": [{"role": "user", "content": "ready?"}],
        "max_tokens": 4,
        "temperature": 0,
        "logprobs": True,
        "top_logprobs": TOP_LOGPROBS,
    }
    async with client_for(endpoint, timeout_seconds) as client:
        response = await client.post("chat/completions", json=body)
    try:
        return bool((_json(response)["choices"][0].get("logprobs") or {}).get("content"))
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise TierFailed("the engine answered the warm-up request with no choice", part="draft") from error


async def canary(endpoint: Endpoint, timeout_seconds: float) -> None:
    """Has one token written, or the request refused, as a living server does. Raises: TierFailed, httpx.HTTPError."""
    body = {"model": endpoint.model, "messages": [{"role": "user", "content": "?"}], "max_tokens": 1, "temperature": 0}
    async with client_for(endpoint, timeout_seconds) as client:
        response = await client.post("chat/completions", json=body)
    if response.is_server_error:
        raise _error(response)


def _json(response: httpx.Response) -> Any:
    if response.status_code != httpx.codes.OK:
        raise _error(response)
    try:
        return response.json()
    except ValueError as error:
        raise TierFailed("the engine answered with no JSON", part="draft") from error


def _error(response: httpx.Response) -> TierFailed:
    return TierFailed(f"the engine answered {response.status_code}: {response.text[:300]}", part="draft")
