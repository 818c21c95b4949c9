"""Engines that hang, die and are asked again: a real process behind a real guard plays one, over a real socket."""

import asyncio
import json
import os
import resource
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import ClassVar

import psutil
import pytest

from firstpass.chat import Message
from firstpass.engine import Engine, EngineSpec, HangAfter
from firstpass.engine.child import GuardedLauncher
from firstpass.engine.recipe import Command
from firstpass.engine.restarts import RestartLimit
from firstpass.engine.spec import Endpoint
from firstpass.engine.supervised import SupervisedEngine
from firstpass.errors import BadAsk, FirstpassError, KillsEngine, TierUnavailable
from firstpass.exchange import Ask
from firstpass.tier.failures import broken_wire
from firstpass.tier.local import LocalDoor
from firstpass.tier.openai_http import OpenAITier
from tests.web.test_tiers import Heard

PLAYED = """
import json, os, signal, sys, time
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingMixIn, UnixStreamServer

class Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    silent = 0
    spoke = mute = False
    def log_message(self, *_): pass
    def handle(self):
        super().handle()
        Answers.silent += not self.spoke
    def do_GET(self): self.answer({"data": [{"id": "m"}]})
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        said = asked["messages"][-1]["content"]
        if asked.get("logprobs"):
            time.sleep(0.2)
        if said == "die":
            os.kill(os.getpid(), signal.SIGSEGV)
            time.sleep(3600)
        if said == "hang":
            os.kill(os.getpid(), signal.SIGSTOP)
            time.sleep(3600)
        if said == "break":
            self.close_connection = True
            return
        while said == "mute" or Answers.mute:
            Answers.mute = True
            time.sleep(1)
        if said == "wait":
            time.sleep(3600)
        if said in ("think", "toil"):
            sys.setswitchinterval(3600)
            until = time.monotonic() + (3.0 if said == "think" else 3600.0)
            while time.monotonic() < until: pass
            sys.setswitchinterval(0.005)
        if said == "silent":
            said = str(Answers.silent)
        while said.startswith("/") and not os.path.exists(said):
            time.sleep(0.02)
        if said == "refuse":
            return self.answer({"error": {"message": "too hot"}}, 400)
        self.answer({"choices": [{"message": {"content": said}}]})
    def answer(self, fields, status=200):
        self.spoke = True
        raw = json.dumps(fields).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

class Server(ThreadingMixIn, UnixStreamServer):
    daemon_threads = True
Server(sys.argv[1], Answers).serve_forever()
"""
"""`die`, `hang`, `think` (for three seconds, hard), `toil` (so for ever) and `wait` (for ever, with no work) do so.

`break` is answered by a connection's end. From `mute` on no chat is answered, while the models are still named.

A warm-up, which wants log-probabilities, takes a fifth of a second. Who thinks or toils lets nobody else say a word.
`refuse` is refused, `silent` answered with the number of connections that said nothing; a path is said when there is a
file; the rest is said.
"""

PATIENCE = HangAfter(seconds=1.5, busy_seconds=60.0, idle_seconds=0.4)
LONG = HangAfter(seconds=60.0, busy_seconds=600.0, idle_seconds=600.0)
"""Where nothing hangs."""

LONGEST_SECONDS = 60.0


class PlayedRecipe:
    ready_path = "/health"
    stages: ClassVar = {}
    expects_logprobs = False

    def command(self, scratch: Path) -> Command:
        endpoint = Endpoint("http://engine/v1", scratch / "api.sock", "m")
        return Command((sys.executable, "-I", "-S", "-c", PLAYED, str(endpoint.uds)), dict(os.environ), endpoint)


class Said:
    """An engine and the way to it."""

    engine: Engine
    door: LocalDoor

    async def say(self, text: str, key: str | None = None) -> str:
        body = json.dumps({"messages": [{"role": "user", "content": text}]}).encode()
        ask = Ask("a", 0.0, "chat", "m", "local", (), key=key)
        with broken_wire("draft"):
            async with self.door.post(ask, "chat/completions", body, lambda *_: None) as response:
                return str(json.loads(await response.read(2**20))["choices"][0]["message"]["content"])

    async def until(self, state: str) -> None:
        async with asyncio.timeout(LONGEST_SECONDS):
            while self.engine.state != state:  # noqa: ASYNC110
                await asyncio.sleep(0.01)


class Stage(Said):
    """One that is started here."""

    engine: SupervisedEngine

    def __init__(self, data_dir: Path, patience: HangAfter) -> None:
        spec = EngineSpec("played", "vllm", data_dir, isolate="off", patience=patience, start_deadline_seconds=60)
        limit = RestartLimit(asyncio.get_running_loop().time, rest_seconds=0.01)
        launcher = GuardedLauncher(spec, PlayedRecipe())
        clock = asyncio.get_running_loop().time
        self.engine = SupervisedEngine(
            spec, launcher, clock=clock, poll_seconds=0.02, canary_poll_seconds=0.05, limit=limit
        )
        self.door = LocalDoor(self.engine, 600.0)

    def processes(self) -> list[psutil.Process]:
        assert self.engine._child is not None
        root = psutil.Process(self.engine._child.pid)  # type: ignore[attr-defined]
        return [root, *root.children(recursive=True)]


@asynccontextmanager
async def staged(data_dir: Path, patience: HangAfter = PATIENCE) -> AsyncIterator[Stage]:
    stage = Stage(data_dir, patience)
    try:
        await stage.engine.ensure_ready()
        yield stage
    finally:
        await stage.door.aclose()
        await stage.engine.close()


async def test_an_idle_engine_that_is_stopped_is_noticed_and_started_again_with_nobody_asking(tmp_path: Path) -> None:
    async with staged(tmp_path, HangAfter(seconds=1.0, busy_seconds=3.0, idle_seconds=0.4)) as stage:
        before = stage.processes()
        before[2].send_signal(signal.SIGSTOP)
        await stage.until("failed")
        assert "canary" in stage.engine.trouble
        await stage.until("ready")
        assert await stage.say("hello") == "hello"
        _, left = await asyncio.to_thread(psutil.wait_procs, before, 30)
        assert left == []


async def test_who_asks_an_engine_that_hangs_is_told_so_and_when_to_come_back(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        async with asyncio.timeout(LONGEST_SECONDS):
            with pytest.raises(TierUnavailable, match=r"ended while it worked .* said nothing") as caught:
                await stage.say("hang")
        assert caught.value.failure.retry_after_seconds and caught.value.failure.part == "draft"
        await stage.until("ready")


async def test_an_engine_that_works_hard_or_says_something_to_others_is_left_alone(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        child = stage.engine._child
        waiting = asyncio.create_task(stage.say("wait"))
        assert await stage.say("think") == "think"
        await asyncio.sleep(2 * PATIENCE.seconds)
        assert stage.engine._child is child and stage.engine.state == "ready"
        waiting.cancel()


async def test_hard_work_without_a_word_is_no_excuse_for_ever(tmp_path: Path) -> None:
    async with staged(tmp_path, HangAfter(seconds=1.5, busy_seconds=4.0, idle_seconds=600.0)) as stage:
        async with asyncio.timeout(LONGEST_SECONDS):
            with pytest.raises(TierUnavailable, match="said nothing"):
                await stage.say("toil")
        await stage.until("ready")


@pytest.mark.parametrize("streaming", [False, True])
async def test_a_request_that_the_engine_refuses_is_told_so_with_no_look_for_its_end(
    tmp_path: Path, streaming: bool
) -> None:
    async with staged(tmp_path, LONG) as stage:
        ask = Ask("a", 0.0, "chat", "m", "local", (Message("user", "refuse"),))
        for _ in range(2):
            with pytest.raises(BadAsk, match="too hot"):
                await OpenAITier("draft", stage.door).reply(ask, Heard(streaming))
        assert not stage.engine._working.suspects._left
        assert await stage.say("silent") == "0"


async def test_only_an_engine_that_takes_no_connection_is_taken_not_to_listen(tmp_path: Path) -> None:
    async with staged(tmp_path, LONG) as stage:
        child = stage.engine._child
        assert child is not None and child.endpoint.uds is not None
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        os.close(free := os.open("/dev/null", os.O_RDONLY))
        resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
        try:
            assert await child.listens(), "this process has no files left, which says nothing about the engine"
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        child.endpoint.uds.unlink()
        assert not await child.listens()


async def test_a_request_that_kills_the_engine_does_so_twice_and_the_third_time_it_is_refused_at_once(
    tmp_path: Path,
) -> None:
    async with staged(tmp_path, LONG) as stage:
        for _ in range(2):
            with pytest.raises(TierUnavailable, match="ended while it worked"):
                await stage.say("die")
            await stage.until("ready")
        child = stage.engine._child
        with pytest.raises(KillsEngine) as caught:
            await stage.say("die")
        assert caught.value.failure.status == 400 and caught.value.failure.code == "request_kills_engine"
        assert await stage.say("hello") == "hello" and stage.engine._child is child


async def test_who_waited_beside_a_killer_is_cleared_by_an_answer(tmp_path: Path) -> None:
    file = tmp_path / "said"
    async with staged(tmp_path, LONG) as stage:
        for _ in range(2):
            beside = asyncio.create_task(stage.say(str(file)))
            await asyncio.sleep(0.3)
            with pytest.raises(TierUnavailable):
                await stage.say("die")
            with pytest.raises(TierUnavailable):
                await beside
            await stage.until("ready")
            file.touch()
            assert await stage.say(str(file)) == str(file)
            file.unlink()


async def test_ten_poisons_of_one_key_leave_the_engine_to_the_others(tmp_path: Path) -> None:
    async with staged(tmp_path, LONG) as stage:
        for _ in range(10):
            with pytest.raises(FirstpassError):
                await stage.say("die", key="hostile")
            await stage.until("ready")
        assert await stage.say("hello", key="other") == "hello" and not stage.engine._limit.given_up
