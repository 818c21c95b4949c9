"""A running server, as commands ask it: one request, and an error that a person can read. It knows no command."""

import re
import ssl
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer

from firstpass.cli.terminal import fail
from firstpass.dialect.values import NONSENSE

DEFAULT_URL = "http://127.0.0.1:8080"
ASK_SECONDS = 600.0
BUSY = (429, 503)
RETRY_AFTER = re.compile(r"[0-9]{1,5}")

Url = Annotated[str, typer.Option(envvar="FIRSTPASS_URL", help="The server.")]
Ca = Annotated[Path | None, typer.Option(envvar="FIRSTPASS_CA", help="For https: a PEM file of the server's CA.")]


def _key(said: str | None) -> str | None:
    """Space at its ends, as secrets of CI may have it, is none of the key's; the error does not repeat it."""
    key = (said or "").strip()
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise typer.BadParameter("it has characters that no API key has")
    return key or None


ApiKey = Annotated[str | None, typer.Option(envvar="FIRSTPASS_API_KEY", show_envvar=True, callback=_key)]


def post(url: str, body: dict[str, Any] | None, api_key: str | None, ca: Path | None) -> httpx.Response:
    """Ends the command where there is no answer."""
    return _asked("POST", url, body, api_key, ca)


def get(url: str, api_key: str | None, ca: Path | None) -> httpx.Response:
    """Likewise."""
    return _asked("GET", url, None, api_key, ca)


def _asked(method: str, url: str, body: dict[str, Any] | None, api_key: str | None, ca: Path | None) -> httpx.Response:
    headers = {"authorization": f"Bearer {api_key}"} if api_key else {}
    try:
        verify = ssl.create_default_context(cafile=ca) if ca else True
    except OSError as error:
        fail(f"{ca} is no PEM file of certificates ({error})")
    try:
        return httpx.request(
            method, url, json=body, headers=headers, timeout=ASK_SECONDS, trust_env=False, verify=verify
        )
    except (httpx.InvalidURL, UnicodeError) as error:
        fail(f"bad URL or API key: {error}")
    except httpx.HTTPError as error:
        fail(f"no answer from {url} ({error}); is the server up? Start it with `firstpass serve`")


def busy_seconds(response: httpx.Response, most: float) -> float | None:
    """How long until it is worth asking again; None where it is not, or not within so many seconds."""
    said = response.headers.get("retry-after", "")
    if response.status_code not in BUSY or not RETRY_AFTER.fullmatch(said):
        return None
    return float(said) if float(said) <= most else None


def error_message(response: httpx.Response) -> str:
    """For people."""
    try:
        error = response.json()["error"]
        return f"{error['message']} ({response.status_code} {error['code']}, {error.get('part', 'web')})"
    except NONSENSE:
        return f"{response.status_code}: {response.text[:300]}"
