"""The way to the service that holds the code: its API's host and no other, with a token that appears nowhere.

Only `firstpass pull-request --post` comes here, by name and on purpose; no server does. What is posted is a summary of
a change that the service holds already. Redirects are not followed, times and sizes are bounded; proxies of the
environment are used. It knows no comment and no settings.
"""

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx

from firstpass.controls import plain
from firstpass.errors import NotPosted
from firstpass.loopback import is_loopback

TRY_SECONDS = 30.0
TRIES = 4
WAIT_SECONDS = 2.0
LONGEST_WAIT_SECONDS = 60.0
"""Who is told to wait longer than that gives up, and says so."""

REPLY_BYTES = 64 * 2**20
WORDS = 300
REPEATED = ("GET", "PATCH", "PUT")
"""Done twice they are done once; a POST makes another one."""

RATE_WORDS = 2000
"""Of an answer's bytes, those in which it may say that there is a rate limit."""

HIDDEN = "***"
_NEXT = re.compile(r';\s*rel="?next\b', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Token:
    """name: of the environment's variable that holds it. header: what the API takes it in, with `{}` in its place."""

    name: str
    secret: str
    header: tuple[str, str]

    def __repr__(self) -> str:
        return f"Token({self.name})"

    @property
    def sent(self) -> dict[str, str]:
        return {self.header[0]: self.header[1].format(self.secret)}


class Refused(NotPosted):
    """The service answered, but not as wished. http: the status."""

    def __init__(self, message: str, http: int) -> None:
        super().__init__(message, part="egress")
        self.http = http


class Lost(NotPosted):
    """There is no answer, or a failure of the service's own: what was asked may have been done."""

    def __init__(self, message: str) -> None:
        super().__init__(message, part="egress")


class Door:
    """One API. base: its URL, https or on this machine. waits: how it waits, between one try and the next."""

    def __init__(
        self, base: str, token: Token, headers: Mapping[str, str], waits: Callable[[float], None] = time.sleep
    ) -> None:
        self._base, self._token, self._waits = _checked(base), token, waits
        self._headers = {"user-agent": "firstpass", "accept-encoding": "identity", **headers}

    def ask(self, method: str, path: str, body: dict[str, str] | None = None, **query: str) -> Any:
        """What it answers, as JSON. path: below the base. Raises: Refused, Lost."""
        return self._asked(method, path, body, query)[0]

    def pages(self, path: str, most: int, **query: str) -> Iterator[list[dict[str, Any]]]:
        """A list, page by page, as long as the service says that there is a next one. Raises: Refused, Lost.

        A page that is not full need not be the last: both leave out what the token may not see after they counted.
        """
        for page in range(1, most + 1):
            said, headers = self._asked("GET", path, None, {**query, "page": str(page)})
            if not isinstance(said, list) or not all(isinstance(one, dict) for one in said):
                raise Lost(f"{self._host}: a list is not as the API describes it")
            yield said
            if _NEXT.search(headers.get("link", "")) is None:
                return
        raise Lost(f"{self._host}: there are more than {most} pages")

    def _asked(
        self, method: str, path: str, body: dict[str, str] | None, query: dict[str, str]
    ) -> tuple[Any, httpx.Headers]:
        for attempt in range(1, TRIES + 1):
            try:
                status, headers, said = self._sent(method, path, body, query)
            except httpx.HTTPError as error:
                if attempt == TRIES or not (method in REPEATED or isinstance(error, httpx.ConnectError)):
                    raise Lost(f"no answer from {self._host} ({type(error).__name__})") from None
                self._waits(WAIT_SECONDS * attempt)
                continue
            limited = _is_limited(status, headers, said)
            if not (limited or (status >= 500 and method in REPEATED)):
                return self._read(status, said), headers
            if attempt == TRIES:
                raise Lost(f"{self._host} answers {status}{self._words(said)}")
            self._waits(_wait(headers, attempt, self._host))
        raise AssertionError("the last try returns or raises")

    @property
    def _host(self) -> str:
        return urlsplit(self._base).netloc

    def _sent(
        self, method: str, path: str, body: dict[str, str] | None, query: dict[str, str]
    ) -> tuple[int, httpx.Headers, bytes]:
        """Within a time for the whole of it, however slowly it comes."""
        until, url = time.monotonic() + TRY_SECONDS, f"{self._base}{path}"
        headers = self._headers | self._token.sent
        with (
            httpx.Client(
                timeout=TRY_SECONDS, follow_redirects=False, trust_env=self._base.startswith("https:")
            ) as client,
            client.stream(method, url, json=body, params=query, headers=headers) as response,
        ):
            said = bytearray()
            for piece in response.iter_raw():
                said += piece
                if len(said) > REPLY_BYTES:
                    raise Lost(f"{self._host} answers with more than {REPLY_BYTES} bytes")
                if time.monotonic() > until:
                    raise httpx.ReadTimeout("the whole answer took too long")
            return response.status_code, response.headers, bytes(said)

    def _read(self, status: int, said: bytes) -> Any:
        if status >= 500:
            raise Lost(f"{self._host} answers {status}{self._words(said)}")
        if 300 <= status < 400:
            raise Refused(f"{self._host} sends us elsewhere ({status}), where the token does not go", status)
        if status >= 400:
            raise Refused(f"{self._host} answers {status}{self._words(said)}{_ADVICE.get(status, '')}", status)
        try:
            return json.loads(said)
        except (ValueError, RecursionError):
            raise Lost(f"{self._host} answers {status}, but with no JSON") from None

    def _words(self, said: bytes) -> str:
        """What the service says of it, without the token, should it repeat that."""
        try:
            message = json.loads(said)
            message = message.get("message") or message.get("error") or ""
        except (ValueError, AttributeError, RecursionError):
            return ""
        words = plain(" ".join(str(message).split())).replace(self._token.secret, HIDDEN)[:WORDS]
        return f": {words}" if words else ""


_ADVICE = {
    401: "; the token is not one that it knows",
    403: "; the token may not comment here",
    404: "; there is no such request there, or the token may not see it",
}


def _checked(base: str) -> str:
    """Raises: NotPosted. A token does not go unencrypted to another machine."""
    try:
        parts = urlsplit(base)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        host, parts = "", urlsplit("")
    safe = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))
    if not host or not safe or parts.username or parts.password or parts.query or parts.fragment:
        raise NotPosted("the API's URL is neither https://HOST nor on this machine", part="egress")
    return base.rstrip("/")


def _is_limited(status: int, headers: httpx.Headers, said: bytes) -> bool:
    """Whether it was asked too often. GitHub says so by 403, too, which else means that a token may not."""
    if status == 429:
        return True
    spent = headers.get("x-ratelimit-remaining") == "0" or b"rate limit" in said[:RATE_WORDS].lower()
    return status == 403 and ("retry-after" in headers or spent)


def _wait(headers: httpx.Headers, attempt: int, host: str) -> float:
    """Seconds. Raises: Lost where it would be too long. A date in the place of seconds is taken for none."""
    asked, reset = (_number(headers.get(name, "")) for name in ("retry-after", "x-ratelimit-reset"))
    seconds = WAIT_SECONDS * attempt
    if asked is not None:
        seconds = asked
    elif reset is not None and headers.get("x-ratelimit-remaining") == "0":
        seconds = max(1.0, reset - time.time())
    if seconds > LONGEST_WAIT_SECONDS:
        raise Lost(f"{host} wants us to come back in {seconds:.0f} s")
    return seconds


def _number(said: str) -> float | None:
    return float(said) if said.isascii() and said.isdigit() and len(said) < 11 else None
