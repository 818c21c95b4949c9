"""What stands before every route: Host, browser origin, key. Plain ASGI, since wrapped middleware hides disconnects.

It knows no body and no model. Source for the order of the browser checks: W3C Fetch Metadata, then RFC 6454.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from firstpass.errors import FirstpassError, Forbidden, Unauthorised
from firstpass.web.envelope import refusal

OPEN_PATHS = frozenset({"/healthz", "/readyz"})

Authenticate = Callable[[str], Awaitable[str | None]]
"""The id of a live key, None for anything else."""


@dataclass(frozen=True, slots=True)
class Rules:
    """hosts: names that a Host header may carry, None for any. keys_required: refuse a request without a live key.

    origins: of other sites' pages and of applications, those whose requests are answered.
    """

    hosts: frozenset[str] | None
    keys_required: bool
    origins: frozenset[str] = frozenset()


class Gate:
    def __init__(self, app: ASGIApp, rules: Rules, authenticate: Authenticate) -> None:
        self._app = app
        self._rules = rules
        self._authenticate = authenticate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            try:
                self._check_host(headers)
                self._check_origin(headers)
                scope.setdefault("state", {})["key"] = await self._key(scope["path"], headers)
            except FirstpassError as error:
                await refusal(scope, error.failure)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _check_host(self, headers: Headers) -> None:
        host = _hostname(headers.get("host", ""))
        if self._rules.hosts is not None and host not in self._rules.hosts:
            raise Forbidden(f"the Host header names {host!r}, which server.allowed_hosts does not", code="bad_host")

    def _check_origin(self, headers: Headers) -> None:
        """A page of another site may not use this server through its visitor's browser, but for the allowed ones."""
        site, origin = headers.get("sec-fetch-site"), headers.get("origin")
        if origin in self._rules.origins:
            return
        if site is not None:
            foreign = site not in ("same-origin", "none")
        else:
            foreign = origin is not None and origin.partition("://")[2] != headers.get("host")
        if foreign:
            message = "requests from other sites' pages are answered only where server.allowed_origins names them"
            raise Forbidden(message, code="cross_site")

    async def _key(self, path: str, headers: Headers) -> str | None:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        key = headers.get("x-api-key") or (token.strip() if scheme.lower() == "bearer" else "")
        found = await self._authenticate(key) if key else None
        if found is None and self._rules.keys_required and path not in OPEN_PATHS:
            raise Unauthorised("no API key was given" if not key else "the API key is not a live one")
        return found


def _hostname(netloc: str) -> str:
    try:
        return (urlsplit(f"//{netloc}").hostname or "").lower()
    except ValueError:
        return ""
