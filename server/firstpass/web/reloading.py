"""The route that has the settings read again. It knows no setting."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from fastapi import FastAPI

from firstpass.errors import BadAsk, BadSettings


@dataclass(frozen=True, slots=True)
class Reloaded:
    """digest: of the settings that hold now. changed: whether others held before."""

    digest: str
    changed: bool


def add_reload(app: FastAPI, reload: Callable[[], Awaitable[Reloaded]]) -> None:
    """reload: raises BadSettings, and then nothing has changed."""

    @app.post("/v1/settings/reload")
    async def again() -> dict[str, object]:
        try:
            made = await reload()
        except BadSettings as error:
            raise BadAsk(str(error), code="bad_settings") from error
        return {"object": "settings", "digest": made.digest, "changed": made.changed}
