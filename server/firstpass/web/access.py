"""What stands before every route: Host, browser origin, key, its routes and its rate.

Plain ASGI, since wrapped middleware hides disconnects. It knows no body and no model.
Source for the order of the browser checks: W3C Fetch Metadata, then RFC 6454.
"""

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from firstpass.errors import FirstpassError, Forbidden
from firstpass.store.keys import KeyRecord
from firstpass.web.credentials import Credentials
from firstpass.web.envelope import refusal
from firstpass.web.scopes import PAGE, group_of, is_open

Admit = Callable[[KeyRecord], None]
"""Counts a request of a key. Raises: RateLimited."""


@dataclass(frozen=True, slots=True)
class Rules:
    """hosts: names that a Host header may carry, None for any.

    origins: of other sites' pages and of applications, those whose requests are answered.
    """

    hosts: frozenset[str] | None
    origins: frozenset[str] = frozenset()


class Gate:
    """What comes behind it finds in scope["state"] the key's record as `holder`, and its owner's id as `key`."""

    def __init__(self, app: ASGIApp, rules: Rules, credentials: Credentials, admit: Admit) -> None:
        self._app = app
        self._rules = rules
        self._credentials = credentials
        self._admit = admit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            try:
                self._check_host(headers)
                self._check_origin(scope, headers)
                holder = await self._holder(scope, headers)
                scope.setdefault("state", {}).update(holder=holder, key=holder.owner if holder else None)
            except FirstpassError as error:
                await refusal(scope, error.failure)(scope, receive, send)
                return
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        await self._app(scope, receive, send)

    def _check_host(self, headers: Headers) -> None:
        host = _hostname(headers.get("host", ""))
        if self._rules.hosts is not None and host not in self._rules.hosts:
            raise Forbidden(f"the Host header names {host!r}, which server.allowed_hosts does not", code="bad_host")

    def _check_origin(self, scope: Scope, headers: Headers) -> None:
        """A page of another site may not use this server through its visitor's browser, but for the allowed ones."""
        site, origin = headers.get("sec-fetch-site"), headers.get("origin")
        if origin in self._rules.origins or _opens_page(scope, headers):
            return
        if site is not None:
            foreign = site not in ("same-origin", "none")
        else:
            foreign = origin is not None and (origin.partition("://")[2] or None) != headers.get("host")
        if foreign:
            message = "requests from other sites' pages are answered only where server.allowed_origins names them"
            raise Forbidden(message, code="cross_site")

    async def _holder(self, scope: Scope, headers: Headers) -> KeyRecord | None:
        """Raises: Unauthorised, RateLimited, Forbidden for a route that the key may not use."""
        path, client = scope["path"], scope.get("client")
        if is_open(path):
            return None
        holder = await self._credentials.holder(headers, client[0] if client else "")
        if holder is not None:
            if holder.scopes.routes and group_of(path) not in holder.scopes.routes:
                message = f"this API key may not use {path}, only {', '.join(holder.scopes.routes)}"
                raise Forbidden(message, code="route_forbidden")
            self._admit(holder)
        return holder


def _opens_page(scope: Scope, headers: Headers) -> bool:
    """A link of another site that somebody follows to the page: it has no data, can not be framed, and that site sees
    nothing of it. W3C Fetch Metadata: a frame's destination is `iframe`; a form that posts has an Origin.
    """
    followed = headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
    return followed and scope["method"] in ("GET", "HEAD") and scope["path"] == PAGE and "origin" not in headers


def _hostname(netloc: str) -> str:
    try:
        return (urlsplit(f"//{netloc}").hostname or "").lower()
    except ValueError:
        return ""
