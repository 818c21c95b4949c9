"""The page at / and its files, as they were built into the package. They have no data and no secret.

Whoever opens the page needs no key for it: the page itself asks for one, and sends it with what it asks of the API.
"""

import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path

from fastapi import FastAPI, Request, Response

from firstpass.errors import NotFound

BUILT = Path(__file__).parent / "page"

POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src 'self' data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    ]
)
"""Content Security Policy Level 3: nothing from elsewhere, nothing inline, and no text ever becomes markup."""

HEADERS: Mapping[str, str] = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}

FOR_EVER = "public, max-age=31536000, immutable"
"""RFC 8246. A file's name has the digest of what is in it."""

ASK_AGAIN = "no-cache"


@dataclass(frozen=True, slots=True)
class Asset:
    content: bytes
    kind: str
    etag: str


@cache
def built() -> Mapping[str, Asset]:
    """By name. Read once, from the package."""
    return {path.name: _asset(path) for path in BUILT.iterdir()}


def _asset(path: Path) -> Asset:
    content = path.read_bytes()
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    text = "; charset=utf-8" if kind.startswith("text/") else ""
    return Asset(content, f"{kind}{text}", f'"{sha256(content).hexdigest()[:32]}"')


def add_page(app: FastAPI) -> None:
    async def page(request: Request) -> Response:
        return _sent(request, built()["index.html"], ASK_AGAIN)

    async def asset(request: Request) -> Response:
        name = request.path_params["name"]
        if name == "index.html" or name not in built():
            raise NotFound(f"there is no {request.url.path} here", code="route_not_found")
        return _sent(request, built()[name], FOR_EVER)

    app.add_route("/", page, methods=["GET"])
    app.add_route("/assets/{name}", asset, methods=["GET"])


def _sent(request: Request, asset: Asset, lasting: str) -> Response:
    headers = {**HEADERS, "cache-control": lasting, "etag": asset.etag}
    known = (tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(","))
    if asset.etag in known:
        return Response(status_code=304, headers=headers)
    return Response(asset.content, media_type=None, headers=headers | {"content-type": asset.kind})
