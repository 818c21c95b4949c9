"""The route that has the settings read again. It knows no setting."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from fastapi import FastAPI, Request

from firstpass.errors import BadAsk, BadSettings


@dataclass(frozen=True, slots=True)
class Reloaded:
    """digest: of the settings that hold now. changed: whether others held before."""

    digest: str
    changed: bool


def add_reload(
    app: FastAPI, reload: Callable[[], Awaitable[Reloaded]], check: Callable[[Request], Awaitable[None]]
) -> None:
    """reload: raises BadSettings, and then nothing has changed. check: raises BadAsk for what says more than that."""

    @app.post("/v1/settings/reload")
    async def again(request: Request) -> dict[str, object]:
        await check(request)
        try:
            made = await reload()
        except BadSettings as error:
            raise BadAsk(str(error), code="bad_settings") from error
        return {"object": "settings", "digest": made.digest, "changed": made.changed}
