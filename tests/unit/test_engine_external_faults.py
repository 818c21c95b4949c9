"""Engines that somebody else runs, and that hang or die: a real process plays one, over a real socket."""

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from firstpass.engine import EngineSpec, HangAfter
from firstpass.engine.external import ExternalEngine
from firstpass.errors import KillsEngine, TierFailed, TierUnavailable
from firstpass.tier.local import LocalDoor
from tests.unit.test_engine_hangs import LONG, LONGEST_SECONDS, PLAYED, Said

PATIENCE = HangAfter(seconds=1.5, busy_seconds=120.0, idle_seconds=0.4)

ALONE = PLAYED.replace("class Server(ThreadingMixIn, UnixStreamServer)", "class Server(UnixStreamServer)")
"""With a single thread, which finishes a reply before it hears anybody else."""
assert ALONE != PLAYED


class Outside(Said):
    """One that this test runs, and the engine only asks."""

    def __init__(self, directory: Path, patience: HangAfter, code: str) -> None:
        self.code = code
        self.socket = directory / "api.sock"
        spec = EngineSpec("x", "external", directory, url=f"unix:{self.socket}", patience=patience)
        self.engine = ExternalEngine(spec, canary_poll_seconds=0.05)
        self.door = LocalDoor(self.engine, 600.0)
        self.start()

    def start(self) -> None:
        self.socket.unlink(missing_ok=True)
        self.process = subprocess.Popen([sys.executable, "-I", "-S", "-c", self.code, str(self.socket)])

    async def again(self) -> None:
        """It died, and whoever runs it starts it again."""
        assert await asyncio.to_thread(self.process.wait, LONGEST_SECONDS) == -signal.SIGSEGV
        await self.until("failed")
        self.start()
        await self.answers()

    async def answers(self) -> None:
        async with asyncio.timeout(LONGEST_SECONDS):
            while True:
                try:
                    await self.engine.ensure_ready()
                    return
                except TierUnavailable:
                    await asyncio.sleep(0.02)


@asynccontextmanager
async def outside(directory: Path, patience: HangAfter = PATIENCE, code: str = PLAYED) -> AsyncIterator[Outside]:
    played = Outside(directory, patience, code)
    try:
        await played.answers()
        yield played
    finally:
        await played.door.aclose()
        await played.engine.close()
        played.process.kill()
        played.process.wait()


async def test_who_waits_for_a_server_that_hangs_is_told_so_and_nothing_is_sent_till_it_answers_again(
    tmp_path: Path,
) -> None:
    async with outside(tmp_path) as played:
        beside = asyncio.create_task(played.say("wait"))
        async with asyncio.timeout(LONGEST_SECONDS):
            with pytest.raises(TierUnavailable, match=r"hung while it worked .* said nothing") as caught:
                await played.say("hang")
            with pytest.raises(TierUnavailable, match="hung while it worked"):
                await beside
        assert caught.value.failure.retry_after_seconds and caught.value.failure.part == "draft"
        assert played.engine.state == "failed" and "canary" in played.engine.trouble
        for _ in range(3):
            with pytest.raises(TierUnavailable, match="said nothing"):
                await played.say("hello")
        played.process.send_signal(signal.SIGCONT)
        await played.answers()
        assert await played.say("hello") == "hello" and played.engine.trouble == ""


async def test_a_server_that_stops_while_nobody_asks_is_noticed_by_a_look_and_keeps_nobody_waiting(
    tmp_path: Path,
) -> None:
    async with outside(tmp_path) as played:
        played.process.send_signal(signal.SIGSTOP)
        assert "says nothing" in str(await played.engine._looked())
        assert played.engine.state == "failed"
        with pytest.raises(TierUnavailable, match="says nothing"):
            await played.say("hello")
        assert played.engine._looking and not played.engine._looking.done(), "nobody waits for the look"
        played.process.send_signal(signal.SIGCONT)
        await played.answers()
        assert await played.say("hello") == "hello"


async def test_a_server_that_names_its_models_is_taken_to_work_and_not_for_ever(tmp_path: Path) -> None:
    patience = HangAfter(seconds=1.5, busy_seconds=3.5, idle_seconds=0.4)
    async with outside(tmp_path, patience) as played:
        began = time.monotonic()
        with pytest.raises(TierUnavailable, match="said nothing"):
            await asyncio.wait_for(played.say("mute"), LONGEST_SECONDS)
        assert time.monotonic() - began >= patience.busy_seconds


async def test_a_server_that_answers_one_after_the_other_may_take_its_time_over_a_reply(tmp_path: Path) -> None:
    said = tmp_path / "said"
    async with outside(tmp_path, code=ALONE) as played:
        asked = asyncio.create_task(played.say(str(said)))
        await asyncio.sleep(3 * PATIENCE.seconds)
        assert not asked.done() and played.engine.state == "ready"
        said.touch()
        assert await asyncio.wait_for(asked, LONGEST_SECONDS) == str(said)


async def test_a_server_that_answers_one_after_the_other_is_asked_nothing_while_it_owes_nobody_a_word(
    tmp_path: Path,
) -> None:
    said = tmp_path / "said"
    async with outside(tmp_path, code=ALONE) as played:
        assert await played.say("hello") == "hello"
        await asyncio.sleep(2 * PATIENCE.seconds)
        run = played.engine.run
        asked = asyncio.create_task(played.say(str(said)))
        await asyncio.sleep(3 * PATIENCE.seconds)
        assert not asked.done() and played.engine.run is run
        said.touch()
        assert await asyncio.wait_for(asked, LONGEST_SECONDS) == str(said)


async def test_a_chat_that_is_never_answered_after_a_hang_keeps_nobody_waiting_for_the_next_look(
    tmp_path: Path,
) -> None:
    async with outside(tmp_path, HangAfter(seconds=1.5, busy_seconds=3.5, idle_seconds=0.4)) as played:
        with pytest.raises(TierUnavailable):
            await asyncio.wait_for(played.say("mute"), LONGEST_SECONDS)
        played.engine._spec = replace(played.engine._spec, start_deadline_seconds=0.3)
        looked = await played.engine._looked()
        assert isinstance(looked, TierUnavailable) and "did not answer a chat" in str(looked)
        with pytest.raises(TierUnavailable, match="did not answer a chat"):
            await played.say("hello")
        assert played.engine._looking and not played.engine._looking.done(), "nobody waits for the look"


@pytest.mark.parametrize("fault", ["hang", "die"])
async def test_what_was_in_flight_at_two_deaths_is_not_sent_a_third_time(tmp_path: Path, fault: str) -> None:
    async with outside(tmp_path, PATIENCE if fault == "hang" else LONG) as played:
        for _ in range(2):
            with pytest.raises(TierUnavailable, match="ended or hung while it worked"):
                await asyncio.wait_for(played.say(fault), LONGEST_SECONDS)
            if fault == "hang":
                played.process.send_signal(signal.SIGCONT)
                await played.answers()
            else:
                await played.again()
        run = played.engine.run
        with pytest.raises(KillsEngine) as caught:
            await played.say(fault)
        assert caught.value.failure.status == 400 and caught.value.failure.code == "request_kills_engine"
        assert await played.say("hello") == "hello" and played.engine.run is run


async def test_a_reply_that_breaks_off_at_a_server_that_is_there_is_no_death(tmp_path: Path) -> None:
    async with outside(tmp_path, LONG) as played:
        run = played.engine.run
        for _ in range(3):
            with pytest.raises(TierFailed, match="connection"):
                await played.say("break")
        assert played.engine.run is run
