"""The order of a stream's events: each is made when it is sent, whatever the event loop does first."""

import asyncio
import json

import pytest
from starlette.types import Message as Sent

from firstpass.chat import Chunk, Delta, Message
from firstpass.dialect.responses.stream import RESPONSES
from firstpass.exchange import Answer, Ask, Consult, Exchange, Reply, Step, Terms
from firstpass.listening import Sink
from firstpass.web.answer import KEEPALIVE_SECONDS, AnswerResponse, _Stream
from firstpass.web.leaving import EXTENSION, Leave

ASK = Ask("ex_1", 0.0, "chat", "m", "local", (Message("user", "x"),), stream=True, dialect="responses", terms=Terms())
REPLY = Reply("hi there", "m", "stop", None, 0.1)
STEP = Step(Consult("draft", "answer", binding=True), reply=REPLY)


def said(text: str, last: bool = False) -> Chunk:
    return Chunk(b"", "openai", "m", (Delta(0, text=text),), last=last)


async def numbers(*chunks: Chunk) -> list[int]:
    """Of the events as they come, where a keep-alive is due in the turn that brings a chunk, and after each."""
    sent = b""

    async def send(message: Sent) -> None:
        nonlocal sent
        sent += message.get("body", b"")

    stream = _Stream(ASK, RESPONSES, send, None)
    for chunk in chunks:
        stream._sent -= 2 * KEEPALIVE_SECONDS
        stream._alarm.cancel()
        stream._wake()
        await stream.forward(STEP, chunk)
        if chunk.last:
            assert stream._waiting is not None
            await stream._waiting
    await stream.finish(Exchange(ASK, (STEP,), Answer(0, "draft"), 0.2))
    lines = [line for line in sent.decode().splitlines() if line.startswith("data: ")]
    return [json.loads(line.removeprefix("data: "))["sequence_number"] for line in lines]


async def test_a_keep_alive_overtakes_no_chunk_that_was_made_before_it() -> None:
    found = await numbers(said("hi"), said(" there"))
    assert found == list(range(len(found))) and len(found) > 6


async def test_a_keep_alive_overtakes_no_last_chunk_that_waits_for_the_record() -> None:
    found = await numbers(said("hi"), said(" there", last=True))
    assert found == list(range(len(found))) and len(found) > 6


@pytest.mark.parametrize("stopped", [False, True])
async def test_a_caller_that_left_leaves_no_cancellation_behind_and_hides_none_of_the_server(stopped: bool) -> None:
    """Whatever went on in the task was taken to be cancelled, as by a timeout around it."""
    watchers: list[Leave] = []

    async def run(ask: Ask, sink: Sink | None) -> Exchange:
        watchers[0]()
        if stopped:
            task.cancel()
        await asyncio.sleep(60)
        raise AssertionError("it is cancelled")

    async def answered() -> int:
        await AnswerResponse(ASK, run, RESPONSES)(scope, asyncio.Queue[Sent]().get, asyncio.Queue[Sent]().put)
        return task.cancelling()

    scope = {"type": "http", "extensions": {EXTENSION: {"watch": lambda leave: watchers.append(leave) or watchers.pop}}}
    task = asyncio.create_task(answered())
    await asyncio.wait([task])
    assert task.cancelled() if stopped else task.result() == 0
