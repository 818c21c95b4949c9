"""The scripted server of `firstpass mock`: real clients read it, and its faults are those of its seed, on the wire."""

import asyncio
import json
import signal
import ssl
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anthropic
import httpx
import openai
import pytest

from firstpass.errors import BadSettings
from firstpass.mock.faults import FAULTS, Plan, read_plan
from firstpass.mock.script import Script
from firstpass.mock.server import MockServer
from tests.processes import heeding
from tests.scenes import until

ASKED: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "say these few words again"}]}
SILENCE_SECONDS = 0.5
"""So long a client waits here for what never comes; for everything else much longer."""

SILENT = ("hang", "stall")

TLS = ssl.create_default_context()
"""One for all: a client that makes its own takes longer to make than to use."""


@asynccontextmanager
async def mocked(script: Script | None = None, faults: str = "") -> AsyncIterator[tuple[MockServer, str]]:
    server = MockServer(script or Script(), read_plan(1, faults), drip_seconds=0)
    port = await server.start()
    try:
        yield server, f"http://127.0.0.1:{port}"
    finally:
        await server.close()


async def chat(url: str, seconds: float = 30, **more: Any) -> httpx.Response:
    patience = httpx.Timeout(30, read=seconds)
    async with httpx.AsyncClient(base_url=url, timeout=patience, trust_env=False, verify=TLS) as client:
        return await client.post("/v1/chat/completions", json=ASKED | more)


async def coming(true: Callable[[], bool]) -> None:
    """Who leaves early may have left before the server, in the same event loop, has read what was asked."""
    await asyncio.to_thread(until, true)


async def test_the_official_clients_read_it_whole_and_streamed() -> None:
    async with (
        mocked(Script(model="scripted", text="one two three four", tokens=3)) as (_, url),
        openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as sdk,
        anthropic.AsyncAnthropic(base_url=url, api_key="none", max_retries=0) as claude,
    ):
        whole = await sdk.chat.completions.create(**ASKED)
        assert (whole.choices[0].message.content, whole.choices[0].finish_reason) == ("one two three", "length")
        assert whole.usage is not None and whole.usage.completion_tokens == 3 and whole.model == "scripted"
        stream = await sdk.chat.completions.create(**ASKED, stream=True, stream_options={"include_usage": True})
        chunks = [chunk async for chunk in stream]
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "one two three"
        assert chunks[-1].usage is not None and chunks[-1].usage.completion_tokens == 3
        text = await sdk.completions.create(model="m", prompt="hi", max_tokens=2)
        assert text.choices[0].text == "one two"
        embedded = await sdk.embeddings.create(model="m", input=["a", "b"], encoding_format="float")
        assert [one.index for one in embedded.data] == [0, 1]
        message = await claude.messages.create(**ASKED, max_tokens=9)
        assert message.content[0].type == "text" and message.content[0].text == "one two three"
        async with claude.messages.stream(**ASKED, max_tokens=9) as streamed:
            assert await streamed.get_final_text() == "one two three"
        assert [model.id for model in (await sdk.models.list()).data] == ["scripted"]


async def test_without_a_text_it_says_again_what_was_asked() -> None:
    async with mocked() as (_, url):
        said = (await chat(url)).json()["choices"][0]["message"]["content"]
    assert said == ASKED["messages"][0]["content"]


def test_a_plan_gives_a_request_the_same_fate_each_time_and_its_shares_in_the_long_run() -> None:
    plan, again, other = (read_plan(seed, "reset:0.1,429:0.3") for seed in (7, 7, 8))
    fates = [plan.of(number) for number in range(2000)]
    assert fates == [again.of(number) for number in range(2000)] != [other.of(number) for number in range(2000)]
    counts = Counter(fates)
    assert 150 < counts["reset"] < 250 and 500 < counts["429"] < 700 and fates[0] is None


@pytest.mark.parametrize(
    "said", ["reset", "reset:2", "reset:-1", "reset:nan", "boom:0.1", "429:0.6,500:0.6", "500:0.1,500:0.1"]
)
def test_faults_that_can_not_be_meant_are_named(said: str) -> None:
    with pytest.raises(BadSettings, match="--faults"):
        read_plan(1, said)


async def seen(fault: str, *, stream: bool) -> str:
    """What a client makes of the second request, which has the fault."""
    async with mocked(faults=f"{fault}:1") as (server, url):
        assert (await chat(url)).status_code == 200
        try:
            response = await chat(url, SILENCE_SECONDS if fault in SILENT else 30, stream=stream)
        except httpx.HTTPError as error:
            return type(error).__name__
        finally:
            await coming(lambda: server.failed == Counter([fault]))
        kind = response.headers["content-type"]
        try:
            whole = response.text.endswith("[DONE]\n\n") if stream else bool(response.json()["choices"])
        except (ValueError, KeyError):
            whole = False
        return f"{response.status_code} {kind} {'whole' if whole else 'broken'}"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("fault", FAULTS)
async def test_each_fault_is_on_the_wire(fault: str, stream: bool) -> None:
    kind = "text/event-stream" if stream else "application/json"
    expected = {
        "refuse": {"ReadError", "RemoteProtocolError"},
        "reset": {"ReadError", "RemoteProtocolError"},
        "hang": {"ReadTimeout"},
        "stall": {"ReadTimeout"},
        "drip": {f"200 {kind} whole"},
        "type": {"200 text/html broken"},
        "truncated": {f"200 {kind} broken"},
        "garbage": {f"200 {kind} broken"},
        "redirect": {"307 application/json broken"},
    }
    said = await seen(fault, stream=stream)
    assert said in expected.get(fault, {f"{fault} application/json broken"})


async def test_callers_who_leave_leave_nothing_behind() -> None:
    async with mocked(faults="hang:0.5,stall:0.5") as (server, url):
        for _ in range(5):
            try:
                await chat(url, SILENCE_SECONDS, stream=True)
            except httpx.ReadTimeout:
                continue
        await coming(lambda: (server.requests, server.working, server.open) == (5, 0, 0))
        async with httpx.AsyncClient(base_url=url, trust_env=False, verify=TLS) as client:
            counts = (await client.get("/mock")).json()
    assert counts["requests"] == 5 and counts["working"] == 0 and counts["open"] == 1


@pytest.mark.parametrize(
    "raw", [b"nonsense\r\n\r\n", b"GET /v1/models HTTP/1.1\r\ncontent-length: x\r\n\r\n", b"\xff" * 99]
)
async def test_what_is_no_request_ends_its_connection_and_nothing_else(raw: bytes) -> None:
    async with mocked() as (_, url):
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        writer.write(raw)
        writer.write_eof()
        assert await reader.read() == b""
        writer.close()
        assert (await chat(url)).status_code == 200


def test_the_command_serves_until_it_is_interrupted_and_counts() -> None:
    command = [sys.executable, "-m", "firstpass", "mock", "--port", "0", "--seed", "3", "--faults", "500:0.5"]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=heeding)
    assert child.stdout is not None and child.stderr is not None
    url = child.stderr.readline().split()[-1].removesuffix("/v1")
    with httpx.Client(base_url=url, trust_env=False, verify=TLS) as client:
        fates = [client.post("/v1/chat/completions", json=ASKED).status_code for _ in range(20)]
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=60)
    plan = Plan(3, {"500": 0.5})
    assert fates == [500 if plan.of(number) else 200 for number in range(20)] and 500 in fates
    assert child.returncode == 0 and err == ""
    assert json.loads(out)["requests"] == 20 and json.loads(out)["failed"] == {"500": fates.count(500)}
