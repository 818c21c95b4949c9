"""The states of an engine, with children that are only objects and a clock that is only a number."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from firstpass.engine import Endpoint, EngineSpec, Warmed
from firstpass.engine.restarts import STARTS, WINDOW_SECONDS, RestartLimit
from firstpass.engine.supervised import SupervisedEngine
from firstpass.engine.suspects import Suspects
from firstpass.errors import TierFailed, TierTimedOut, TierUnavailable


@dataclass
class FakeChild:
    """An engine's run. `up` is whether it answers; it dies by `die` or `stop`."""

    endpoint: Endpoint
    up: bool = True
    sick: str | Exception | None = None
    exit_status: int | None = None
    listening: bool = True
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def die(self, status: int) -> None:
        self.exit_status = self.exit_status if self.exit_status is not None else status
        self.ended.set()

    async def exited(self) -> int:
        await self.ended.wait()
        assert self.exit_status is not None
        return self.exit_status

    async def is_up(self) -> bool:
        return self.up

    async def warm_up(self, seconds: float) -> Warmed:
        if isinstance(self.sick, Exception):
            raise self.sick
        if self.sick:
            raise TierFailed(self.sick, part="draft")
        return Warmed(logprobs=True)

    def new_stages(self) -> list[str]:
        return ["loading weights"]

    def last_lines(self) -> str:
        return "Traceback of ten lines\nRuntimeError: no memory left"

    def reason(self) -> str:
        return "RuntimeError: no memory left"

    async def canary(self, seconds: float) -> None:
        pass

    async def worked_seconds(self) -> float | None:
        return None

    async def memory_bytes(self) -> int | None:
        return 7

    async def listens(self) -> bool:
        return self.listening and self.exit_status is None

    async def stop(self) -> None:
        self.die(143)

    async def kill(self) -> None:
        self.die(137)


@dataclass
class FakeLauncher:
    """up, sick: how the next child behaves. error: raised by the next launch."""

    expects_logprobs: bool = True
    up: bool = True
    sick: str | Exception | None = None
    error: Exception | None = None
    children: list[FakeChild] = field(default_factory=list)

    async def launch(self) -> FakeChild:
        if self.error:
            raise self.error
        endpoint = Endpoint(f"http://engine/{len(self.children)}/v1", None, "m")
        self.children.append(FakeChild(endpoint, self.up, self.sick))
        return self.children[-1]


@dataclass
class Clock:
    seconds: float = 0.0

    def __call__(self) -> float:
        return self.seconds


def engine_of(launcher: FakeLauncher, clock: Clock | None = None, deadline: float = 30.0) -> SupervisedEngine:
    spec = EngineSpec(name="tiny", kind="vllm", data_dir=Path("unused"), start_deadline_seconds=deadline)
    clock = clock or Clock()
    limit = RestartLimit(clock, rest_seconds=0.0)
    return SupervisedEngine(spec, launcher, clock=clock, poll_seconds=0.001, limit=limit)


async def ready_and_slow_to_end() -> tuple[SupervisedEngine, FakeChild, asyncio.Event]:
    """Its process is asked to end, and is there until the event."""
    launcher, ends = FakeLauncher(), asyncio.Event()
    engine = engine_of(launcher)
    await engine.ensure_ready()
    [child] = launcher.children

    async def stop() -> None:
        await ends.wait()
        child.die(143)

    child.stop = child.kill = stop  # type: ignore[method-assign]
    return engine, child, ends


async def test_who_closes_an_engine_that_is_being_unloaded_waits_for_its_end_too() -> None:
    """A server that was told to end meanwhile left before the engine's processes had."""
    engine, child, ends = await ready_and_slow_to_end()
    unloading = asyncio.create_task(engine.unload())
    await asyncio.sleep(0.01)
    closing = asyncio.create_task(engine.close())
    await asyncio.sleep(0.01)
    assert not closing.done()
    ends.set()
    await asyncio.gather(unloading, closing)
    assert child.exit_status is not None and engine.state == "stopped"


async def test_an_unloading_that_was_cancelled_is_carried_to_its_end_by_the_close() -> None:
    engine, child, ends = await ready_and_slow_to_end()
    unloading = asyncio.create_task(engine.unload())
    await asyncio.sleep(0.01)
    unloading.cancel()
    await asyncio.wait([unloading])
    ends.set()
    await engine.close()
    assert child.exit_status is not None and engine.state == "stopped"


async def test_why_a_start_failed_is_still_said_after_the_engine_was_unloaded() -> None:
    clock = Clock()
    spec = EngineSpec(name="tiny", kind="vllm", data_dir=Path("unused"))
    launcher = FakeLauncher(error=OSError("no such program"))
    engine = SupervisedEngine(spec, launcher, clock=clock, poll_seconds=0.001, limit=RestartLimit(clock))
    for _ in range(2):
        with pytest.raises(TierUnavailable, match="no such program"):
            await engine.ensure_ready()
        await engine.unload()


async def settled(engine: SupervisedEngine, state: str) -> None:
    async with asyncio.timeout(2):
        while engine.state != state:  # noqa: ASYNC110
            await asyncio.sleep(0.001)


async def test_concurrent_callers_share_one_start() -> None:
    launcher = FakeLauncher()
    engine = engine_of(launcher)
    endpoints = await asyncio.gather(*(engine.ensure_ready() for _ in range(20)))
    assert len(launcher.children) == 1 and set(endpoints) == {launcher.children[0].endpoint}
    assert engine.state == "ready"
    await engine.close()


async def test_a_caller_who_gives_up_does_not_end_the_start_of_the_others() -> None:
    launcher = FakeLauncher(up=False)
    engine = engine_of(launcher)
    patient, hasty = (asyncio.create_task(engine.ensure_ready()) for _ in range(2))
    await asyncio.sleep(0.01)
    hasty.cancel()
    launcher.children[0].up = True
    assert await patient == launcher.children[0].endpoint
    await engine.close()


async def test_an_engine_that_dies_while_ready_is_restarted_at_once_with_nobody_asking(
    caplog: pytest.LogCaptureFixture,
) -> None:
    launcher = FakeLauncher()
    engine = engine_of(launcher)
    first = await engine.ensure_ready()
    launcher.children[0].die(137)
    await asyncio.sleep(0.01)
    await settled(engine, "ready")
    assert "ended by signal 9, as where memory runs out" in caplog.text and engine.trouble == ""
    assert await engine.ensure_ready() == launcher.children[1].endpoint != first
    await engine.close()


async def test_an_engine_that_dies_while_starting_says_why_and_the_operator_gets_the_lines_before(
    caplog: pytest.LogCaptureFixture,
) -> None:
    launcher = FakeLauncher(up=False)
    engine = engine_of(launcher)
    waiting = asyncio.create_task(engine.ensure_ready())
    await asyncio.sleep(0.01)
    launcher.children[0].die(1)
    with pytest.raises(TierUnavailable, match="exited with status 1 while starting: RuntimeError: no memory") as caught:
        await waiting
    assert caught.value.failure.part == "draft" and caught.value.failure.retry_after_seconds
    assert "Traceback of ten lines" in caplog.text and "Traceback" not in str(caught.value)
    assert engine.state == "failed"
    await engine.close()


async def test_an_engine_that_fails_its_warm_up_is_stopped() -> None:
    launcher = FakeLauncher(sick="the engine answered 400: no chat template")
    engine = engine_of(launcher)
    with pytest.raises(TierUnavailable, match="no chat template"):
        await engine.ensure_ready()
    assert launcher.children[0].exit_status == 143
    await engine.close()


async def test_a_start_past_its_deadline_times_out_and_leaves_no_child() -> None:
    launcher = FakeLauncher(up=False)
    engine = engine_of(launcher, deadline=0.02)
    with pytest.raises(TierTimedOut) as caught:
        await engine.ensure_ready()
    assert caught.value.failure.part == "draft"
    assert launcher.children[0].exit_status == 143 and engine.state == "failed"
    await engine.close()


async def test_an_engine_that_can_not_be_launched_is_unavailable() -> None:
    engine = engine_of(FakeLauncher(error=PermissionError("no")))
    with pytest.raises(TierUnavailable, match="could not be launched"):
        await engine.ensure_ready()
    await engine.close()


async def test_a_start_that_breaks_off_in_whatever_way_has_failed_and_says_so() -> None:
    launcher = FakeLauncher(sick=UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"))
    engine = engine_of(launcher)
    with pytest.raises(TierUnavailable, match=r"UnicodeDecodeError: .* invalid start byte"):
        await engine.ensure_ready()
    assert engine.state == "failed" and "invalid start byte" in engine.trouble
    assert launcher.children[0].exit_status == 137
    launcher.error = ValueError("embedded null byte")
    with pytest.raises(TierUnavailable, match="embedded null byte"):
        await engine.ensure_ready()
    launcher.error = launcher.sick = None
    await engine.ensure_ready()
    await engine.close()


async def test_suspects_that_wait_for_a_start_do_not_hold_each_other_up() -> None:
    launcher = FakeLauncher()
    engine = engine_of(launcher)
    engine._working.suspects = Suspects(Clock(), turn_seconds=60)
    stays = asyncio.Event()

    async def ask(body: bytes) -> Endpoint:
        async with engine.at_work(body, None) as work:
            child = next(child for child in launcher.children if child.endpoint == work.endpoint)
            if child is not launcher.children[-1] or not stays.is_set():
                await child.ended.wait()
                raise TierFailed("broke", part="draft")
            return work.endpoint

    async def die(launched: int) -> list[asyncio.Task[Endpoint]]:
        """Of three that ask, those that an engine's end has left, while the next one starts."""
        asked = [asyncio.create_task(ask(body)) for body in (b"a", b"b", b"c")]
        await settled(engine, "ready")
        await asyncio.sleep(0.05)
        launcher.up = False
        launcher.children[launched - 1].die(139)
        await settled(engine, "starting")
        await asyncio.sleep(0.1)
        return [task for task in asked if not task.done()]

    assert await die(1) == []
    launcher.up = launcher.children[1].up = True
    left = await die(2)
    assert len(left) == 2 and not engine._working.suspects._turn.locked(), "they wait for the start, and hold nobody up"
    stays.set()
    launcher.children[2].up = True
    assert await asyncio.gather(*left) == [launcher.children[2].endpoint] * 2
    await engine.close()


async def test_a_failed_start_is_tried_again_by_the_next_caller() -> None:
    launcher = FakeLauncher(sick="not yet")
    engine = engine_of(launcher)
    with pytest.raises(TierUnavailable):
        await engine.ensure_ready()
    launcher.sick = None
    assert await engine.ensure_ready() == launcher.children[1].endpoint
    await engine.close()


async def test_after_five_deaths_the_engine_is_left_alone_until_the_window_frees() -> None:
    launcher, clock = FakeLauncher(), Clock()
    engine = engine_of(launcher, clock)
    for child in range(STARTS):
        await engine.ensure_ready()
        clock.seconds += 10
        launcher.children[child].die(137)
        await asyncio.sleep(0.01)
    await settled(engine, "failed")
    with pytest.raises(TierUnavailable, match="too often") as caught:
        await engine.ensure_ready()
    assert caught.value.failure.retry_after_seconds == WINDOW_SECONDS - 10 * STARTS
    clock.seconds = WINDOW_SECONDS
    assert await engine.ensure_ready() == launcher.children[STARTS].endpoint
    await engine.close()


async def test_an_engine_that_never_starts_is_left_alone_and_still_says_why() -> None:
    engine = engine_of(FakeLauncher(sick="the engine answered 400: no chat template"))
    for _ in range(STARTS):
        with pytest.raises(TierUnavailable, match="no chat template"):
            await engine.ensure_ready()
    with pytest.raises(TierUnavailable, match=r"too often .*no chat template"):
        await engine.ensure_ready()
    await engine.close()


async def test_closing_stops_a_start_in_progress() -> None:
    launcher = FakeLauncher(up=False)
    engine = engine_of(launcher)
    waiting = asyncio.create_task(engine.ensure_ready())
    await asyncio.sleep(0.01)
    await engine.close()
    with pytest.raises(TierUnavailable, match="stopping"):
        await waiting
    assert engine.state == "stopped" and launcher.children[0].exit_status == 143


async def test_a_closed_engine_stays_closed_and_may_be_closed_twice() -> None:
    launcher = FakeLauncher()
    engine = engine_of(launcher)
    await engine.ensure_ready()
    await engine.close()
    await engine.close()
    with pytest.raises(TierUnavailable, match="stopping"):
        await engine.ensure_ready()
    assert len(launcher.children) == 1


async def test_an_engine_that_never_started_closes() -> None:
    engine = engine_of(FakeLauncher())
    await engine.close()
    assert engine.state == "stopped"


async def test_progress_names_every_stage() -> None:
    heard: list[str] = []
    launcher = FakeLauncher(up=False)
    spec = EngineSpec(name="tiny", kind="vllm", data_dir=Path("unused"))
    engine = SupervisedEngine(spec, launcher, progress=lambda stage, _: heard.append(stage), poll_seconds=0.001)
    waiting = asyncio.create_task(engine.ensure_ready())
    await asyncio.sleep(0.01)
    launcher.children[0].up = True
    await waiting
    assert heard[0] == "importing" and "loading weights" in heard and heard[-2:] == ["warming up", "ready"]
    await engine.close()


async def test_one_that_was_unloaded_starts_again_when_it_is_asked_however_often() -> None:
    launcher = FakeLauncher()
    engine = engine_of(launcher)
    for _ in range(3 * STARTS):
        await engine.ensure_ready()
        assert await engine.memory_bytes() == 7
        await engine.unload()
        assert engine.state == "stopped" and await engine.memory_bytes() is None
    assert len(launcher.children) == 3 * STARTS and all(child.exit_status == 137 for child in launcher.children)
    await engine.close()


async def test_starts_that_fail_are_counted_although_it_is_unloaded_in_between() -> None:
    launcher = FakeLauncher(sick="no weights")
    engine = engine_of(launcher)
    for _ in range(STARTS):
        with pytest.raises(TierUnavailable, match="no weights"):
            await engine.ensure_ready()
        await engine.unload()
    with pytest.raises(TierUnavailable, match="left alone"):
        await engine.ensure_ready()
    assert len(launcher.children) == STARTS
    await engine.close()


async def test_a_start_ends_where_it_is_unloaded_meanwhile() -> None:
    launcher = FakeLauncher(up=False)
    engine = engine_of(launcher)
    waits = asyncio.create_task(engine.ensure_ready())
    await asyncio.sleep(0.01)
    await engine.unload()
    with pytest.raises(TierUnavailable, match="is stopping"):
        await waits
    launcher.up = True
    await engine.ensure_ready()
    assert engine.state == "ready" and len(launcher.children) == 2
    await engine.close()
