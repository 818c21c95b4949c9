"""A verifier, or an engine, that is broken or hostile: what it costs is bounded, and every answer ends."""

import asyncio
import gzip
import json
import threading
import time
import zlib
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import httpx
import pytest

from firstpass.errors import FirstpassError, TierFailed
from firstpass.tier.http import ReplyBounds
from firstpass.tier.openai_http import OpenAITier
from tests.conftest import fronted, serving
from tests.dialects import PATHS, USER, dialects
from tests.doubles import DIFF, STRAYS, openai_app, says
from tests.web.test_tiers import ASK, Heard, door

BOUNDS = ReplyBounds(whole_seconds=2.0, stream_seconds=2.0, bytes=2**18)
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
UNENDING = HEAD + b"connection: close\r\n\r\n"
EVENT = b"data: " + json.dumps({"model": "m", "choices": [{"index": 0, "delta": {"content": "hi"}}]}).encode() + b"\n\n"

Hostile = Callable[[asyncio.StreamWriter], Awaitable[None]]


@contextmanager
def hostile(says: Hostile) -> Iterator[str]:
    """A server that reads a request's headers and then does as `says` does; gives its URL."""
    ready, loop = threading.Event(), asyncio.new_event_loop()
    ports: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            await says(writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def run() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        ports.append(server.sockets[0].getsockname()[1])
        ready.set()
        await stopped.wait()
        server.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await asyncio.sleep(0)

    stopped = asyncio.Event()
    thread = threading.Thread(target=loop.run_until_complete, args=[run()])
    thread.start()
    ready.wait()
    try:
        yield f"http://127.0.0.1:{ports[0]}"
    finally:
        loop.call_soon_threadsafe(stopped.set)
        thread.join()
        loop.close()


def for_ever(head: bytes, piece: bytes, seconds: float = 0.0) -> Hostile:
    async def say(writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        while True:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(seconds)

    return say


def once(said: bytes) -> Hostile:
    async def say(writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        await writer.drain()

    return say


def bomb(encoding: str) -> bytes:
    """64 MB of nothing in few bytes; the limits here are as much smaller than those of a server."""
    packed = {"gzip": gzip.compress, "deflate": zlib.compress}.get(encoding, lambda data: b"\x00" * 4096)(bytes(2**26))
    return HEAD + f"content-encoding: {encoding}\r\ncontent-length: {len(packed)}\r\n\r\n".encode() + packed


SCENES: dict[str, Hostile] = {
    **{f"a {encoding} bomb": once(bomb(encoding)) for encoding in ("gzip", "deflate", "br", "zstd")},
    "an endless body": for_ever(UNENDING, b"x" * 65536),
    "endless headers": for_ever(HEAD, b"x-more: y\r\n" * 1000),
    "an endless header": for_ever(HEAD + b"x-more: ", b"y" * 65536),
    "an endless interim answer": for_ever(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100, 0.01),
    "events without a line's end": for_ever(UNENDING + b"data: ", b"x" * 65536),
    "endless comments": for_ever(UNENDING, b": x\n\n" * 1000),
    "endless empty events": for_ever(UNENDING, b"data:\n\n" * 1000),
    "endless events that say nothing": for_ever(UNENDING, b'data: {"model": "m", "choices": []}\n\n' * 100),
    "an endless answer": for_ever(UNENDING, EVENT * 100),
    "a byte now and then": for_ever(UNENDING, b"x", 0.05),
    "a comment now and then": for_ever(UNENDING, b": x\n\n", 0.05),
    "an endless chunk's head": for_ever(HEAD + b"transfer-encoding: chunked\r\n\r\n", b"0" * 65536),
    "garbage": once(b"\x16\x03\x01garbage\r\n\r\n" * 10),
    "nothing": once(b""),
    "a page": once(b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 6\r\n\r\n<html>"),
    "a redirect": once(b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:9/\r\ncontent-length: 0\r\n\r\n"),
    "an endless error": for_ever(b"HTTP/1.1 500 No\r\nconnection: close\r\n\r\n", b"x" * 65536),
    "truncated JSON": once(b'HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{"model": "m", "choices": [{'),
    "a stream that is cut": once(HEAD + b"transfer-encoding: chunked\r\n\r\nff\r\n" + EVENT[:40]),
    "an event too many": once(UNENDING + b"data: " + b"[" * 2**19 + b"\n\n"),
}


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("scene", SCENES)
async def test_it_fails_in_time_and_in_few_bytes(scene: str, streams: bool) -> None:
    heard, began = Heard(streaming=streams), time.monotonic()
    with hostile(SCENES[scene]) as url:
        way = door(url, reply_seconds=1.0)
        with pytest.raises(FirstpassError) as caught:
            await OpenAITier("verifier", way, BOUNDS).reply(ASK, heard)
        await way.aclose()
    assert isinstance(caught.value, TierFailed) and caught.value.failure.part == "verifier"
    assert time.monotonic() - began < 10 * (BOUNDS.stream_seconds or 0)
    assert len(heard.events) <= 20 * BOUNDS.bytes / len(b'data: {"model": "m", "choices": []}\n\n')


@pytest.mark.parametrize("later", [b"zz\r\n", b"0\r\nno trailer\0\x01\r\n\r\n", b"\x00\xff\xfe" * 10])
async def test_a_chunk_that_is_malformed_is_not_waited_for_until_the_last_deadline(later: bytes) -> None:
    async def say(writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + b"transfer-encoding: chunked\r\n\r\n5\r\n: hey\r\n")
        await writer.drain()
        await asyncio.sleep(0.2)
        writer.write(later)
        await asyncio.sleep(60)

    bounds = replace(BOUNDS, stream_seconds=300.0, whole_seconds=300.0)
    with hostile(say) as url:
        way = door(url, reply_seconds=1.0)
        with pytest.raises(TierFailed):
            await asyncio.wait_for(OpenAITier("verifier", way, bounds).reply(ASK, Heard(streaming=True)), 60)
        await way.aclose()


async def test_the_words_of_a_stream_are_bounded_as_those_of_a_whole_reply_are() -> None:
    heard = Heard(streaming=True)
    bounds = replace(BOUNDS, stream_seconds=300.0)
    with hostile(for_ever(UNENDING, EVENT.replace(b"hi", b"hi" * 4_000))) as url:
        way = door(url, reply_seconds=10.0)
        with pytest.raises(TierFailed, match="words are over the limit"):
            await OpenAITier("verifier", way, bounds).reply(ASK, heard)
        await way.aclose()


async def test_a_server_s_other_requests_go_on_while_one_is_flooded() -> None:
    """What is buffered is read without a wait: others have a turn all the same."""
    beats, flooded = 0, SCENES["endless events that say nothing"]
    with hostile(flooded) as url:
        way = door(url)
        bounds = ReplyBounds(stream_seconds=60.0, bytes=2**16)
        asking = asyncio.ensure_future(OpenAITier("verifier", way, bounds).reply(ASK, Heard(streaming=True)))
        while not asking.done():
            await asyncio.sleep(0)
            beats += 1
        with pytest.raises(TierFailed, match="limit"):
            await asking
        await way.aclose()
    events = 16 * bounds.bytes // len(b'data: {"model": "m", "choices": []}\n\n')
    assert beats > events / 200


Aimed = tuple[httpx.Client, Callable[[str], None]]


@pytest.fixture(scope="module")
def aimed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aimed]:
    """A front whose verifier plays the scene that was chosen last, and how to choose."""
    chosen = [""]
    bounds = {"stream_seconds": 1.0, "whole_seconds": 1.0, "reply_limit_bytes": 2**16, "reply_seconds": 1.0}
    bounds |= {"retries": 0, "breaker_failures": 1000}
    with hostile(lambda writer: SCENES[chosen[0]](writer)) as url, serving(openai_app(says(STRAYS))) as engine:
        verifier = {"url": f"{url}/v1", "model": "m", "hosted": False} | bounds
        with fronted(engine, tmp_path_factory.mktemp("data"), verifier=verifier) as client:
            yield client, lambda scene: chosen.__setitem__(0, scene)


@dialects
@pytest.mark.parametrize("scene", ["an endless answer", "a stream that is cut", "a byte now and then", "a gzip bomb"])
def test_a_caller_s_stream_ends_properly(aimed: Aimed, dialect: str, scene: str) -> None:
    client, choose = aimed
    choose(scene)
    said: dict[str, Any] = {"input": "x"} if dialect == "responses" else {"messages": USER, "max_tokens": 9}
    response = client.post(PATHS[dialect], json={"model": "strong", "stream": True} | said)
    if response.status_code == 200:
        assert scene == "an endless answer"
        assert "the verifier model" in response.text.rstrip().split("\n\n")[-1], "the last event says why"
    else:
        assert response.status_code in (502, 504) and response.json()["error"]


@pytest.mark.parametrize("scene", SCENES)
def test_nobody_fails_where_the_local_model_may_answer(aimed: Aimed, scene: str) -> None:
    client, choose = aimed
    choose(scene)
    turns = [{"role": "user", "content": DIFF}]
    asked = {"model": "firstpass", "messages": turns, "firstpass": {"contract": "pr-summary@3"}}
    response = client.post("/v1/chat/completions", json=asked, timeout=60)
    assert response.status_code == 200, response.text
    assert response.headers["x-firstpass-route"] == "unverified"
