"""Who would find no place at a model is told so before its body is read. It knows no body and no model."""

from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from firstpass.dialect.patience import patience
from firstpass.errors import Busy, Overloaded
from firstpass.web.envelope import refusal
from firstpass.web.scopes import GROUPS

PLACED = frozenset(GROUPS[name] for name in ("chat", "completions", "embeddings", "responses", "messages", "infer"))
"""POST to these takes a place."""

CheckRoom = Callable[[str | None, float | None], None]
"""Of the owner of a key, and how many seconds it would wait. Raises: Busy, Overloaded where no tier has room for it."""


class Crowded:
    """The rest of a refused body is taken by the connection, as far as it lingers, so that the next request can come.

    Only what it says of a whole front holds: a body may ask for a tier that is full where another has room.
    """

    def __init__(self, app: ASGIApp, check: CheckRoom) -> None:
        self._app = app
        self._check = check

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST" and scope["path"] in PLACED:
            try:
                self._check(scope["state"]["key"], patience(Headers(scope=scope)))
            except (Busy, Overloaded) as error:
                await refusal(scope, error.failure)(scope, receive, send)
                return
        await self._app(scope, receive, send)
