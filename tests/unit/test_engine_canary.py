"""When an engine is taken to hang: what it does and who waits for it, with a clock by hand."""

import asyncio

import pytest
from fastapi import FastAPI, Response

from firstpass.engine import Endpoint, HangAfter, probe
from firstpass.engine.canary import Canary
from firstpass.engine.pulse import Pulse
from firstpass.errors import TierFailed
from tests.conftest import serving
from tests.unit.test_engine_states import Clock

PATIENCE = HangAfter(seconds=8.0, busy_seconds=300.0, idle_seconds=30.0)


class Watched:
    """An engine that says nothing. worked: seconds of its processes so far. rate: of a core that they take."""

    worked: float | Exception | None = 1000.0
    rate = 0.0

    async def canary(self, seconds: float) -> None:
        await asyncio.sleep(3600)

    async def worked_seconds(self) -> float | None:
        if isinstance(self.worked, Exception):
            raise self.worked
        return self.worked


class Watch:
    def __init__(self) -> None:
        self.clock, self.watched = Clock(1000.0), Watched()
        self.pulse = Pulse(self.clock)
        self.canary = Canary(self.watched, self.pulse, PATIENCE, self.clock, 0.0)

    async def hung_after(self, seconds: int) -> int | None:
        """Seconds until it is taken to hang, if so within these."""
        for second in range(1, seconds + 1):
            self.clock.seconds += 1
            if isinstance(self.watched.worked, float):
                self.watched.worked += self.watched.rate
            if await self.canary._is_found_hung():
                return second
            await asyncio.sleep(0)
        return None


async def test_an_engine_that_does_nothing_while_a_caller_waits_hangs() -> None:
    watch = Watch()
    with watch.pulse.asked():
        assert await watch.hung_after(100) in range(8, 14)


async def test_an_engine_that_works_for_callers_has_the_longer_time() -> None:
    watch = Watch()
    watch.watched.rate = 1.0
    with watch.pulse.asked():
        assert await watch.hung_after(400) == 300


async def test_an_engine_that_only_a_canary_waits_for_has_the_longer_time_until_a_caller_comes() -> None:
    watch = Watch()
    assert await watch.hung_after(200) is None
    with watch.pulse.asked():
        assert await watch.hung_after(7) is None, "the caller has not waited that long"
        assert await watch.hung_after(10) is not None


async def test_work_that_seems_to_have_been_undone_is_no_rest() -> None:
    watch = Watch()
    watch.watched.rate = -1.0
    with watch.pulse.asked():
        assert await watch.hung_after(100) is None


async def test_a_look_that_fails_is_told_and_the_watch_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    watch = Watch()
    watch.watched.worked = ValueError("no number")
    with watch.pulse.asked():
        assert await watch.hung_after(50) is None and "no number" in caplog.text
        watch.watched.worked = 1000.0
        assert await watch.hung_after(50) is not None


@pytest.mark.parametrize("status", [200, 400, 404, 500, 503])
async def test_a_canary_that_is_refused_is_a_sign_of_life_and_one_that_fails_is_none(status: int) -> None:
    app = FastAPI()
    app.post("/v1/chat/completions")(
        lambda: Response("no \N{LATIN SMALL LETTER E WITH ACUTE}".encode("latin-1"), status)
    )
    with serving(app) as url:
        try:
            await probe.canary(Endpoint(f"{url}/v1", None, "m"), 30.0)
            assert status < 500
        except TierFailed:
            assert status >= 500
