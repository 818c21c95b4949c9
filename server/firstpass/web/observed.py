"""Outside of everything else: each response is counted by its path's group and its status, and traced."""

from collections.abc import Awaitable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from firstpass.errors import Failure
from firstpass.spans import Spans
from firstpass.web.answer import as_failure
from firstpass.web.metrics import Metrics
from firstpass.web.scopes import GROUPS, OPEN_PATHS, group_of, is_page

PROBE = "probe"
"""Of the paths that say how the server is: that it is not ready is no refusal."""


WHOLE = {path: name for name, path in GROUPS.items()} | dict.fromkeys(OPEN_PATHS, PROBE)
"""By path: nearly all requests are to one of these."""


class Observed:
    def __init__(self, app: ASGIApp, metrics: Metrics, spans: Spans) -> None:
        self._app = app
        self._metrics = metrics
        self._spans = spans

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"]
        group = WHOLE.get(path) or group_of(path) or ("page" if is_page(path) else "none")

        def counted(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                note("http.response.status_code", message["status"])
                self._count(group, message["status"], scope.get("state", {}).get("refused"))
            return send(message)

        with self._spans.request(group, scope["headers"]) as note:
            try:
                await self._app(scope, receive, counted)
            except Exception as error:  # the application answers it further out
                self._count(group, 500, as_failure(error))
                raise

    def _count(self, group: str, status: int, failure: Failure | None) -> None:
        self._metrics.responded(group, status)
        if failure is not None and group != PROBE:
            self._metrics.refused(failure.code, failure.part)
