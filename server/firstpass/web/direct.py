"""The routes that nearly every request is for, found by their path alone. It knows no body and no answer.

The application has the same routes, and answers what is none of these: another method, another path, a fault of ours.
"""

from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from firstpass.errors import FirstpassError
from firstpass.web.envelope import refusal

Handle = Callable[[Request], Awaitable[Response]]


class Direct:
    """posts: by path, what answers a POST there."""

    def __init__(self, app: ASGIApp, posts: Mapping[str, Handle]) -> None:
        self._app = app
        self._posts = posts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        handle = self._posts.get(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        if handle is None:
            await self._app(scope, receive, send)
            return
        try:
            response = await handle(Request(scope, receive))
            await response(scope, receive, send)
        except FirstpassError as error:
            await refusal(scope, error.failure)(scope, receive, send)
