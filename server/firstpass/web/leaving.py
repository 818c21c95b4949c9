"""How an answer hears that its caller has left. It knows no answer and no connection."""

import asyncio
from collections.abc import Callable

from starlette.types import Receive, Scope

EXTENSION = "firstpass.leaving"
"""Of a scope whose connection tells it itself, with a Watch as `watch`. Elsewhere a task has to wait for it."""

Leave = Callable[[], None]
Watch = Callable[[Leave], Callable[[], object]]
"""Takes what is called where the caller of the answer that is under way leaves, and gives what ends that."""


def watched(scope: Scope, receive: Receive, leave: Leave) -> Callable[[], object]:
    """Has it called if the caller leaves; gives what ends that."""
    watch: Watch | None = scope.get("extensions", {}).get(EXTENSION, {}).get("watch")
    if watch is None:
        return asyncio.ensure_future(_when_left(receive, leave)).cancel
    return watch(leave)


async def _when_left(receive: Receive, leave: Leave) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    leave()
