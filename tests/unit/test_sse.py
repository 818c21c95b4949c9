"""Events of a tier's stream, wherever its bytes are cut and whatever else stands among them."""

import json
import time
from collections.abc import AsyncIterator

import pytest

from firstpass.client import TooMuch
from firstpass.tier.sse import EVENT_BYTES, Event, events
from tests.machine import stretched

ODD = '\ufeffevent: message\r\nid: 7\r\ndata:{"a": "é\u2028🙂"}\r\n\r\n: keepalive\n\nretry: 3\n\ndata: [DONE]'
READ = [b'{"a": "\xc3\xa9\xe2\x80\xa8\xf0\x9f\x99\x82"}', b"[DONE]"]


async def read(*parts: bytes) -> list[Event]:
    async def stream() -> AsyncIterator[bytes]:
        for part in parts:
            yield part

    return [event async for event in events(stream())]


async def test_wherever_the_bytes_are_cut_the_same_is_read() -> None:
    raw = ODD.encode()
    for cut in range(len(raw) + 1):
        assert [event.data for event in await read(raw[:cut], raw[cut:])] == READ, cut
    assert [event.data for event in await read(*(bytes([byte]) for byte in raw))] == READ


@pytest.mark.parametrize(
    "nothing",
    [
        *("data: : keepalive", "data:: keepalive", "data:", "data", "data: ", "data:   ", ": ping", ":", "event: ping"),
        *("id: 1", "retry: 3000", "data: : OPENROUTER PROCESSING\ndata: : again", "other: x", "data:\ndata:"),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
async def test_what_says_nothing_is_no_event(nothing: str, end: str) -> None:
    text = f"{nothing}\n\ndata: 1\n\n{nothing}\n\n{nothing}".replace("\n", end)
    assert await read(text.encode()) == [Event(b"data: 1\n\n", b"1")]


@pytest.mark.parametrize(
    ("wire", "data"),
    [
        ('data: {"a":\ndata: 1}\n\n', '{"a": 1}'),
        ('data: : keepalive\ndata: {"a":1}\n\n', '{"a":1}'),
        ('data: {"a":1}\ndata: : keepalive\n\n', '{"a":1}'),
        ('data: {"a":\ndata: : keepalive\ndata: 1}\n\n', '{"a": 1}'),
        ('data: {"a"\ndata: :1}\n\n', '{"a" :1}'),
        (': c\ndata: {"a":1}\n: d\n\n', '{"a":1}'),
        ("data:  [DONE] \n\n", "[DONE]"),
        ("data:[DONE]\n\n", "[DONE]"),
    ],
)
async def test_data_of_several_lines_is_one_and_comments_in_it_are_none(wire: str, data: str) -> None:
    assert await read(wire.encode()) == [Event(f"data: {data}\n\n".encode(), data.encode())]


async def test_other_fields_stay_as_they_were() -> None:
    (event,) = await read(b'event: message_start\nid: 3\ndata: {"a":1}\n\n')
    assert event.raw == b'event: message_start\nid: 3\ndata: {"a":1}\n\n'


@pytest.mark.parametrize(("end", "whole"), [("", False), ("\n", True), ("\r", True), ("\n\n", True)])
async def test_an_event_that_no_line_end_closed_is_not_whole(end: str, whole: bool) -> None:
    (event,) = await read(f"data: 1{end}".encode())
    assert event.whole is whole


async def test_a_line_of_four_megabytes_that_comes_in_pieces_is_read_in_linear_time() -> None:
    started, most = time.monotonic(), stretched(20)
    (event,) = await read(b"data: ", *[b"a" * 1024] * 4096, b"\n\n")
    assert len(event.data) == 4 * 2**20
    for odd in (b"\r", b":", b": x\n", b"data:\n", b"data: :\n"):
        assert await read(*[odd * 64] * 1024) == []
    assert time.monotonic() - started < most


@pytest.mark.parametrize(
    "endless", [b"data: ", b"x", b":", b"\n", b"\r", b": x\n", b"data:\n", b"data: :\n", b"id: 1\n\n"]
)
async def test_what_has_no_end_and_says_nothing_is_refused(endless: bytes) -> None:
    taken = 0

    async def stream() -> AsyncIterator[bytes]:
        nonlocal taken
        while True:
            taken += 1
            yield endless * 8192

    with pytest.raises(TooMuch):
        async for _ in events(stream()):
            pytest.fail("it says nothing")
    assert taken * len(endless) * 8192 <= EVENT_BYTES + 2**20


async def test_keep_alives_between_events_may_go_on_for_ever() -> None:
    assert len(await read(*[b": ping\n\n" * 1000 + b"data: 1\n\n"] * 200)) == 200


async def test_json_with_a_comment_too_deep_to_read_is_left_to_its_reader() -> None:
    (event,) = await read(b"data: : x\ndata: " + b"[" * 100_000 + b"\n\n")
    with pytest.raises((ValueError, RecursionError)):
        json.loads(event.data)
