"""The groups of routes that a key can be limited to. It knows no key and no request."""

from collections.abc import Mapping

OPEN_PATHS = frozenset({"/healthz", "/readyz"})
"""Answered without a key, and so to every key."""

PAGE, ASSETS = "/", "/assets/"
"""The page and its files, which have no data: it brings its own key with what it asks for."""

GROUPS: Mapping[str, str] = {
    "chat": "/v1/chat/completions",
    "completions": "/v1/completions",
    "embeddings": "/v1/embeddings",
    "responses": "/v1/responses",
    "messages": "/v1/messages",
    "infer": "/infer",
    "explain": "/v1/explain",
    "evidence": "/v1/evidence",
    "models": "/v1/models",
    "loading": "/v1/models/*/load",
    "contracts": "/v1/contracts",
    "labels": "/v1/exchanges/*/label",
    "exchanges": "/v1/exchanges",
    "sessions": "/v1/sessions",
    "usage": "/v1/usage",
    "audit": "/v1/audit",
    "results": "/v1/results",
    "settings": "/v1/settings",
    "metrics": "/metrics",
    "openapi": "/openapi.json",
}
"""By name, the path that each begins with."""


ENDS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "loading": ("models", ("/load", "/unload")),
    "labels": ("exchanges", ("/label",)),
}
"""Groups of routes within another's: to see the models is not yet to move them, and to say what an answer is worth is
not yet to read the record. By name, the other group, and how their paths end."""


def is_page(path: str) -> bool:
    return path == PAGE or path.startswith(ASSETS)


def is_open(path: str) -> bool:
    return path in OPEN_PATHS or is_page(path)


def group_of(path: str) -> str | None:
    """None for a path of no group: no key that is limited to routes may use it."""
    found = next((name for name, first in GROUPS.items() if path == first or path.startswith(f"{first}/")), None)
    within = (name for name, (other, ends) in ENDS.items() if other == found and path.endswith(ends))
    return next(within, found)
