"""Engines that sleep: the states with children that are only objects, and the exact calls with a real process."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import psutil
import pytest

from firstpass.engine import Asleep, Endpoint, EngineSpec, Warmed, probe, sleeping
from firstpass.engine.child import GuardedLauncher
from firstpass.engine.recipe import Command
from firstpass.engine.restarts import STARTS, RestartLimit
from firstpass.engine.sleeping import check, check_private, freed_bytes, level_for
from firstpass.engine.spec import HangAfter, SleepLevel
from firstpass.engine.supervised import SupervisedEngine
from firstpass.errors import BadSettings, TierFailed, TierUnavailable
from tests.conftest import serving
from tests.unit.test_engine_states import Clock, FakeChild, FakeLauncher, settled

GIB = 2**30
SLEPT = Asleep(level=1, freed_bytes=60, main_bytes=20)


@dataclass
class SleepyChild(FakeChild):
    """Its sleep and its wake take until the events are set, and end with the errors. calls: what was asked of it."""

    sleeps: asyncio.Event = field(default_factory=asyncio.Event)
    wakes: asyncio.Event = field(default_factory=asyncio.Event)
    errors: dict[str, Exception] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    likeliest: dict[str, float] = field(default_factory=lambda: {"a": -0.5, "b": -2.5})

    async def _do(self, what: str, done: asyncio.Event) -> None:
        self.calls.append(what)
        waits = [asyncio.ensure_future(done.wait()), asyncio.ensure_future(self.ended.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        if self.exit_status is not None:
            raise TierFailed("its connection broke", part="draft")
        if what in self.errors:
            raise self.errors[what]

    async def sleep(self, seconds: float) -> Asleep:
        await self._do("sleep", self.sleeps)
        return SLEPT

    async def wake(self, level: SleepLevel, seconds: float) -> None:
        await self._do(f"wake {level}", self.wakes)

    async def canary(self, seconds: float) -> None:
        self.calls.append("canary")

    async def warm_up(self, seconds: float) -> Any:
        self.calls.append("warm up")
        return replace(await super().warm_up(seconds), likeliest=self.likeliest)


@dataclass
class SleepyLauncher(FakeLauncher):
    """slow: what of its children waits for its event. errors: of its first child."""

    slow: frozenset[str] = frozenset()
    errors: dict[str, Exception] = field(default_factory=dict)
    children: list[SleepyChild] = field(default_factory=list)  # type: ignore[assignment]

    async def launch(self) -> SleepyChild:
        if self.error:
            raise self.error
        endpoint = Endpoint(f"http://engine/{len(self.children)}/v1", None, "m")
        child = SleepyChild(endpoint, self.up, self.sick, errors={} if self.children else self.errors)
        for name, event in (("sleep", child.sleeps), ("wake", child.wakes)):
            if name not in self.slow:
                event.set()
        self.children.append(child)
        return child


def engine_of(launcher: SleepyLauncher, deadline: float = 30.0, **patience: float) -> SupervisedEngine:
    spec = EngineSpec(
        "tiny", "vllm", Path("unused"), sleeps=True, start_deadline_seconds=deadline, patience=HangAfter(**patience)
    )
    clock = asyncio.get_running_loop().time
    limit = RestartLimit(Clock(), rest_seconds=0.0)
    return SupervisedEngine(spec, launcher, clock=clock, poll_seconds=0.001, canary_poll_seconds=0.005, limit=limit)


async def sleeping_engine(launcher: SleepyLauncher, **options: float) -> SupervisedEngine:
    engine = engine_of(launcher, **options)
    await engine.ensure_ready()
    await engine.unload()
    return engine


async def test_one_that_sleeps_is_woken_and_has_answered_before_it_is_ready_however_often() -> None:
    launcher = SleepyLauncher()
    engine = await sleeping_engine(launcher)
    for _ in range(2 * STARTS):
        assert engine.state == "sleeping" and engine.asleep == SLEPT and await engine.memory_bytes() is None
        assert await engine.ensure_ready() == launcher.children[0].endpoint
        assert engine.state == "ready" and engine.asleep is None and engine.run is launcher.children[0]
        await engine.unload()
    assert launcher.children[0].calls == ["warm up"] + ["sleep", "wake 1", "warm up"] * 2 * STARTS + ["sleep"]
    await engine.close()
    assert engine.state == "stopped" and launcher.children[0].exit_status is not None


async def test_callers_share_one_wake_and_one_who_gives_up_does_not_end_it() -> None:
    launcher = SleepyLauncher(slow=frozenset({"wake"}))
    engine = await sleeping_engine(launcher)
    hasty, *patient = (asyncio.create_task(engine.ensure_ready()) for _ in range(5))
    await settled(engine, "starting")
    hasty.cancel()
    launcher.children[0].wakes.set()
    assert await asyncio.gather(*patient) == [launcher.children[0].endpoint] * 4
    assert launcher.children[0].calls.count("wake 1") == 1
    await engine.close()


async def test_while_it_sleeps_no_canary_is_asked_and_silence_is_no_hang() -> None:
    launcher = SleepyLauncher()
    engine = await sleeping_engine(launcher, seconds=0.02, busy_seconds=0.02, idle_seconds=0.01)
    asked = len(launcher.children[0].calls)
    await asyncio.sleep(0.1)
    assert len(launcher.children[0].calls) == asked and engine.state == "sleeping"
    await engine.ensure_ready()
    await asyncio.sleep(0.1)
    assert "canary" in launcher.children[0].calls[asked:], "it is watched again"
    await engine.close()


async def test_one_that_is_unloaded_in_its_sleep_is_ended() -> None:
    launcher = SleepyLauncher()
    engine = await sleeping_engine(launcher)
    await engine.unload()
    assert engine.state == "stopped" and engine.asleep is None and launcher.children[0].exit_status is not None
    assert await engine.ensure_ready() == launcher.children[1].endpoint
    await engine.close()


@pytest.mark.parametrize("error", [TierFailed("the engine answered 404", part="draft"), ValueError("no level")])
async def test_one_that_does_not_fall_asleep_is_ended_as_ever_and_tried_no_more(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    launcher = SleepyLauncher(errors={"sleep": error})
    engine = await sleeping_engine(launcher)
    assert engine.state == "stopped" and engine.asleep is None and launcher.children[0].exit_status == 137
    assert f"put to sleep no more, since it did not fall asleep: {error}" in caplog.text
    for _ in range(2 * STARTS):
        await engine.ensure_ready()
        await engine.unload()
        assert engine.state == "stopped"
    assert "sleep" not in launcher.children[1].calls, "and no restart is counted"
    await engine.close()


async def test_one_that_falls_asleep_for_too_long_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("firstpass.engine.supervised.SLEEP_SECONDS", 0.01)
    launcher = SleepyLauncher(slow=frozenset({"sleep"}))
    engine = await sleeping_engine(launcher)
    assert engine.state == "stopped" and launcher.children[0].exit_status == 137
    await engine.close()


@pytest.mark.parametrize("what", ["wake 1", "warm up", "hang", "otherwise"])
async def test_one_that_does_not_wake_is_ended_and_another_one_is_started(
    what: str, caplog: pytest.LogCaptureFixture
) -> None:
    launcher = SleepyLauncher(slow=frozenset({"wake"} if what == "hang" else ()))
    engine = await sleeping_engine(launcher, deadline=0.05)
    child = launcher.children[0]
    if what == "wake 1":
        child.errors[what] = TierFailed("the engine answered 500", part="draft")
    if what == "otherwise":
        child.likeliest = {"a": -0.7, "b": -3.4}
    if what == "warm up":
        child.sick = "the engine answered 500"
    assert await engine.ensure_ready() == launcher.children[1].endpoint
    assert child.exit_status is not None and engine.state == "ready"
    assert "it did not wake: " in caplog.text
    await engine.unload()
    assert engine.state == "stopped", "it is put to sleep no more"
    await engine.close()


async def test_a_start_after_a_failed_wake_keeps_to_the_limit_of_restarts() -> None:
    launcher = SleepyLauncher(errors={"wake 1": TierFailed("no", part="draft")})
    engine = await sleeping_engine(launcher)
    for _ in range(STARTS):
        engine._limit.started()
    with pytest.raises(TierUnavailable, match="left alone") as caught:
        await engine.ensure_ready()
    assert caught.value.failure.retry_after_seconds and engine.state == "failed"
    assert len(launcher.children) == 1 and launcher.children[0].exit_status is not None
    await engine.close()


async def test_one_that_dies_in_its_sleep_is_noticed_and_started_when_it_is_asked(
    caplog: pytest.LogCaptureFixture,
) -> None:
    launcher = SleepyLauncher()
    engine = await sleeping_engine(launcher)
    launcher.children[0].die(137)
    await settled(engine, "stopped")
    await asyncio.sleep(0.01)
    assert len(launcher.children) == 1 and "ended in its sleep: it was ended by signal 9" in caplog.text
    assert await engine.ensure_ready() == launcher.children[1].endpoint
    await engine.unload()
    assert engine.state == "sleeping", "that it died says nothing of its sleep"
    await engine.close()


async def test_one_that_has_died_a_moment_ago_is_not_woken() -> None:
    launcher = SleepyLauncher()
    engine = await sleeping_engine(launcher)
    launcher.children[0].exit_status = 137  # Not all of its processes are gone yet.
    assert await engine.ensure_ready() == launcher.children[1].endpoint
    assert "wake 1" not in launcher.children[0].calls
    await engine.close()


async def test_one_that_dies_while_it_falls_asleep_or_wakes_leaves_nothing() -> None:
    launcher = SleepyLauncher(slow=frozenset({"sleep", "wake"}))
    engine = engine_of(launcher)
    await engine.ensure_ready()
    unloading = asyncio.create_task(engine.unload())
    await asyncio.sleep(0.01)
    launcher.children[0].die(139)
    await unloading
    assert engine.state == "stopped"
    await engine.close()
    launcher = SleepyLauncher(slow=frozenset({"wake"}))
    engine = await sleeping_engine(launcher)
    waking = asyncio.create_task(engine.ensure_ready())
    await asyncio.sleep(0.01)
    launcher.children[0].die(139)
    assert await waking == launcher.children[1].endpoint
    await engine.close()


async def test_who_asks_while_it_falls_asleep_is_told_when_to_come_back() -> None:
    launcher = SleepyLauncher(slow=frozenset({"sleep"}))
    engine = engine_of(launcher)
    await engine.ensure_ready()
    unloading = asyncio.create_task(engine.unload())
    await asyncio.sleep(0.01)
    with pytest.raises(TierUnavailable, match="stopping") as caught:
        await engine.ensure_ready()
    assert caught.value.failure.retry_after_seconds
    launcher.children[0].sleeps.set()
    await unloading
    assert engine.state == "sleeping"
    assert await engine.ensure_ready() == launcher.children[0].endpoint
    await engine.close()


async def test_closing_ends_one_that_sleeps_falls_asleep_or_wakes(caplog: pytest.LogCaptureFixture) -> None:
    for slow, asked in (("", ""), ("sleep", "unload"), ("wake", "ensure_ready")):
        launcher = SleepyLauncher(slow=frozenset({slow}))
        engine = engine_of(launcher)
        await engine.ensure_ready()
        if slow != "sleep":
            await engine.unload()
        work = asyncio.create_task(getattr(engine, asked)()) if asked else None
        await asyncio.sleep(0.01)
        await engine.close()
        assert engine.state == "stopped" and launcher.children[0].exit_status == 143 and len(launcher.children) == 1
        if asked == "ensure_ready" and work:
            with pytest.raises(TierUnavailable, match="stopping"):
                await work
        elif work:
            await work
        assert engine.state == "stopped"
    assert "no more" not in caplog.text


async def test_a_sleep_that_was_cancelled_is_ended_by_the_close() -> None:
    launcher = SleepyLauncher(slow=frozenset({"sleep"}))
    engine = engine_of(launcher)
    await engine.ensure_ready()
    unloading = asyncio.create_task(engine.unload())
    await asyncio.sleep(0.01)
    unloading.cancel()
    await asyncio.wait([unloading])
    await engine.close()
    assert engine.state == "stopped" and launcher.children[0].exit_status == 143


PLAYED = """
import json, sys
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingMixIn, UnixStreamServer

class Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    asleep, woken = set(), False
    def log_message(self, *_): pass
    def do_GET(self): self.answer({})
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"] or 0)).decode()
        with open(sys.argv[2], "a") as calls:
            calls.write(f"{self.path} {body if 'chat' not in self.path else ''}".strip() + "\\n")
        path, _, query = self.path.partition("?")
        if sys.argv[3] and sys.argv[3] in self.path:
            return self.answer({"error": {"message": "no"}}, 500)
        if path == "/sleep":
            Answers.asleep = {"weights", "kv_cache"}
            print("(Worker pid=7) INFO Sleep mode freed 70.5 GiB memory, 3.1 GiB memory is still in use.", flush=True)
            print("(Worker pid=8) INFO Sleep mode freed 70.25 GiB memory, 3.1 GiB memory is still in use.", flush=True)
            return self.answer({"status": "sleeping"})
        if path == "/wake_up":
            Answers.woken = True
            Answers.asleep -= {query.partition("=")[2]} if query else {"weights", "kv_cache"}
            return self.answer({"status": "sleeping" if Answers.asleep else "awake"})
        if path == "/collective_rpc":
            return self.answer({"results": [None]})
        top = [{"token": "a", "logprob": -0.5 - ("otherwise" in sys.argv[3] and Answers.woken)}]
        logprobs = {"content": [{"token": "a", "logprob": -0.5, "top_logprobs": top}]}
        message = {"role": "assistant", "content": "hi"}
        self.answer({"id": "x", "model": "m", "choices": [
            {"index": 0, "message": message, "logprobs": logprobs, "finish_reason": "stop"}]})
    def answer(self, fields, status=200):
        raw = json.dumps(fields).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

class Server(ThreadingMixIn, UnixStreamServer):
    daemon_threads = True
Server(sys.argv[1], Answers).serve_forever()
"""
"""vLLM as it sleeps, with two GPUs. What is posted is noted in a file; paths with the third argument are refused.

Where that is `otherwise` it says something else after its sleep.
"""


@dataclass
class PlayedRecipe:
    calls: Path
    refuses: str = ""
    ready_path = "/health"
    stages: ClassVar = {}
    expects_logprobs = False

    def command(self, scratch: Path) -> Command:
        socket = scratch / "api.sock"
        argv = (sys.executable, "-I", "-S", "-c", PLAYED, str(socket), str(self.calls), self.refuses)
        return Command(argv, dict(os.environ), Endpoint("http://engine/v1", socket, "m"))


@asynccontextmanager
async def played(data_dir: Path, refuses: str = "") -> AsyncIterator[tuple[SupervisedEngine, Callable[[], list[str]]]]:
    """An engine that is ready, and what it was asked after that; at the end none of its processes is left."""
    (data_dir / "model.safetensors").write_bytes(b"x" * 1000)
    calls = data_dir / "calls"
    spec = EngineSpec("played", "vllm", data_dir, data_dir, sleeps=True, isolate="off", start_deadline_seconds=60)
    engine = SupervisedEngine(spec, GuardedLauncher(spec, PlayedRecipe(calls, refuses)), poll_seconds=0.02)
    try:
        await engine.ensure_ready()
        calls.write_text("")
        yield engine, lambda: calls.read_text().splitlines()
    finally:
        root = psutil.Process(engine._child.pid)  # type: ignore[union-attr]
        processes = [root, *root.children(recursive=True)]
        await engine.close()
        assert not [one for one in processes if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]


@pytest.mark.parametrize(
    ("spare", "level", "woken"),
    [
        (1000, 1, ["/wake_up"]),
        (
            999,
            2,
            ["/wake_up?tags=weights", '/collective_rpc {"method": "reload_weights"}', "/wake_up?tags=kv_cache"],
        ),
    ],
)
async def test_what_vllm_is_asked_at_each_level(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spare: int, level: SleepLevel, woken: list[str]
) -> None:
    monkeypatch.setattr("firstpass.hardware.spare_bytes", lambda: spare)
    async with played(tmp_path) as (engine, calls):
        endpoint = await engine.ensure_ready()
        await engine.unload()
        assert engine.asleep == Asleep(level, int(70.25 * GIB), 1000 if level == 1 else 0)
        assert await engine.ensure_ready() == endpoint, "it is the same process"
        assert calls() == [f"/sleep?level={level}&mode=abort", *woken, "/v1/chat/completions"]
        await engine.unload()
        assert engine.state == "sleeping"


@pytest.mark.parametrize(
    ("refuses", "sleeps"), [("sleep", False), ("collective", True), ("kv_cache", True), ("otherwise", True)]
)
async def test_where_vllm_refuses_a_call_or_says_something_else_after_it_there_is_another_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refuses: str, sleeps: bool
) -> None:
    monkeypatch.setattr("firstpass.hardware.spare_bytes", lambda: 0)
    async with played(tmp_path, refuses) as (engine, calls):
        endpoint = await engine.ensure_ready()
        await engine.unload()
        assert (engine.state == "sleeping") is sleeps
        assert await engine.ensure_ready() != endpoint
        assert calls()[-1] == "/v1/chat/completions"


def test_a_model_is_the_same_where_its_likeliest_tokens_are_about_as_likely_as_before() -> None:
    before = Warmed(True, likeliest={"a": -0.5, "b": -1.5, "c": -3.0, "d": -9.0})
    for likeliest, same in (
        ({"b": -0.7, "a": -0.9, "c": -3.1}, False),
        ({"b": -1.3, "a": -0.9, "c": -3.1, "e": -5.0}, True),
        ({"a": -0.5, "b": -1.5}, False),
        ({}, False),
    ):
        assert Warmed(True, likeliest=likeliest).says_the_same(before) is same
    assert Warmed(True).says_the_same(Warmed(True)), "what said no log-probabilities shows nothing"


def test_the_first_level_where_the_weights_have_room_and_else_the_second() -> None:
    assert [level_for(10, spare, reloads=True) for spare in (11, 10, 9, 0)] == [1, 1, 2, 2]
    assert level_for(10, 10, reloads=False) == 1
    with pytest.raises(TierFailed, match="no room in the main memory"):
        level_for(10, 9, reloads=False)


async def test_weights_of_a_model_that_drafts_inside_are_never_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """vLLM reads only the others again, and would go on with what it finds in the memory."""
    monkeypatch.setattr("firstpass.hardware.spare_bytes", lambda: 0)
    (tmp_path / "model.safetensors").write_bytes(b"x")
    spec = EngineSpec("m", "vllm", tmp_path, tmp_path, extra_args=("--speculative_config", '{"method": "mtp"}'))
    sleeper = sleeping.Sleeper(spec, Endpoint("http://engine/v1", tmp_path / "none.sock", "m"), tmp_path / "log")
    with pytest.raises(TierFailed, match="not all can be read again"):
        await sleeper.sleep(1.0)


@pytest.mark.parametrize("log", ["", "Sleep mode freed 0.0 GiB memory, 70.0 GiB memory is still in use."])
def test_what_does_not_say_that_it_freed_memory_has_not(log: str) -> None:
    with pytest.raises(TierFailed, match="did not say that it freed"):
        freed_bytes(log)


def test_what_can_not_sleep_is_refused_by_the_name_of_the_setting(tmp_path: Path) -> None:
    spec = EngineSpec("m", "vllm", tmp_path, sleeps=True)
    check(spec, on_gpu=True)
    for wrong, on_gpu, told in (
        (replace(spec, kind="transformers"), True, "only vLLM sleeps"),
        (spec, False, "only on a GPU"),
        (replace(spec, extra_args=("--no-enable_sleep-mode",)), True, "says the opposite"),
    ):
        with pytest.raises(BadSettings, match=rf"engine\.sleeps: .*{told}"):
            check(wrong, on_gpu=on_gpu)


def test_the_routes_for_sleep_are_opened_on_a_private_socket_alone(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    check_private(Endpoint("http://engine/v1", tmp_path / "api.sock", "m"), tmp_path)
    for uds in (None, tmp_path.parent / "api.sock"):
        with pytest.raises(TierFailed, match="private socket"):
            check_private(Endpoint("http://127.0.0.1:8000/v1", uds, "m"), tmp_path)
    tmp_path.chmod(0o750)
    with pytest.raises(TierFailed, match="private socket"):
        check_private(Endpoint("http://engine/v1", tmp_path / "api.sock", "m"), tmp_path)


async def test_an_engine_that_would_listen_elsewhere_with_them_is_not_started(tmp_path: Path) -> None:
    class Elsewhere(PlayedRecipe):
        def command(self, scratch: Path) -> Command:
            return replace(super().command(scratch), endpoint=Endpoint("http://127.0.0.1:9/v1", None, "m"))

    spec = EngineSpec("m", "vllm", tmp_path, sleeps=True, isolate="off")
    with pytest.raises(TierFailed, match="private socket"):
        await GuardedLauncher(spec, Elsewhere(tmp_path / "calls")).launch()
    assert not (tmp_path / "calls").exists()


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ({"content": [{"token": "a", "top_logprobs": [{"token": "a", "logprob": -1}]}]}, {"a": -1.0}),
        ({"tokens": ["a"], "top_logprobs": [{"a": -1, "b": -2.5}]}, {"a": -1.0, "b": -2.5}),
        ({"content": [{"token": "a"}]}, {}),
        ({"content": [{"token": "a", "top_logprobs": [{"token": "a", "logprob": "?"}]}]}, {}),
        ({"tokens": ["a"], "top_logprobs": [["a", -1]]}, {}),
        ({"tokens": ["a"], "top_logprobs": None}, {}),
    ],
)
async def test_the_likeliest_tokens_of_a_warm_up_are_those_that_it_says(said: Any, shown: dict[str, float]) -> None:
    """A server that says them otherwise is as good a server as any."""

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        body = json.dumps({"choices": [{"message": {"content": "a"}, "logprobs": said}]}).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
        await send({"type": "http.response.body", "body": body})

    with serving(answer, lifespan="off") as url:
        warmed = await probe.warm_up(Endpoint(f"{url}/v1", None, "m"), 10.0)
    assert warmed == Warmed(logprobs=True) and warmed.likeliest == shown
