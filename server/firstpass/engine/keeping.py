"""An engine that stays ready: it is asked again and again, also while nobody needs it. It knows no request."""

import asyncio
import logging

from firstpass.engine.spec import Engine
from firstpass.errors import FirstpassError

log = logging.getLogger(__name__)

GLANCE_SECONDS = 5.0


async def keep_ready(engine: Engine) -> None:
    """No request has to come for an engine that failed to be tried again; its own restart limit still holds."""
    said = ""
    while True:
        try:
            await engine.ensure_ready()
            said = ""
        except FirstpassError as error:
            if str(error) != said:
                log.error("the draft engine is not ready: %s", error)
            said = str(error)
        await asyncio.sleep(GLANCE_SECONDS)
