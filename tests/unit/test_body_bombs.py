"""What a body costs is what it holds, wherever it holds it: every list and object of every route, by the document."""

import asyncio
import json
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from starlette.datastructures import Headers

from firstpass.dialect.anthropic import read_request as messages
from firstpass.dialect.body import members
from firstpass.dialect.openai import read_request as openai
from firstpass.dialect.openai.read_request import Caller
from firstpass.dialect.responses import read_request as responses
from firstpass.dialect.size import DEPTH_LIMIT, VALUES_LIMIT
from firstpass.errors import BadAsk, FirstpassError, NotFound
from firstpass.exchange import Exchange
from firstpass.house import House
from firstpass.web.document import document
from tests.bombs import Places
from tests.machine import LINEAR, growth

HOUSE = House({"x": "local"}, {}, "any")
CALLER = Caller(Headers(), None)
NUMBER = 1_000
"""Of items: no more than most lists may have, so that what is right is read to its end."""

WORK_TIMES, MEMORY_TIMES = 40.0, 15.0
"""Of what it takes to read the same body as JSON and no more. Measured: at most 13 for work, and before up to 80."""


async def nobody(exchange_id: str, key: str | None) -> Exchange:
    raise NotFound("there is none")


READERS: dict[str, Callable[[bytes], object]] = {
    "/v1/chat/completions": lambda raw: responses.chat(raw, CALLER, HOUSE),
    "/v1/explain": lambda raw: openai.chat(raw, CALLER, HOUSE),
    "/v1/completions": lambda raw: openai.completion(raw, CALLER, HOUSE),
    "/v1/embeddings": lambda raw: openai.embeddings(raw, CALLER, HOUSE),
    "/infer": lambda raw: openai.infer(raw, CALLER, HOUSE),
    "/v1/messages": lambda raw: messages.messages(raw, CALLER, HOUSE),
    "/v1/messages/count_tokens": lambda raw: messages.prompt(raw, CALLER, HOUSE),
    "/v1/responses": lambda raw: asyncio.run(responses.responses(raw, CALLER, HOUSE, nobody, 10**7)),
    "/v1/evidence": lambda raw: openai.evidence(raw, CALLER, HOUSE),
    "/v1/exchanges/{exchange_id}/label": lambda raw: openai.label(raw, "ex_1", None, 0.0),
}
DOCUMENT = document(HOUSE)
SCHEMAS = {
    path: operation["requestBody"]["content"]["application/json"]["schema"]
    for path, item in DOCUMENT["paths"].items()
    for operation in item.values()
    if "requestBody" in operation
}


def bombs(path: str) -> Iterator[tuple[str, bytes]]:
    places, schema = Places(DOCUMENT), SCHEMAS[path]
    for where, wrap, item in places.lists(schema):
        for what in ({}, 0, [], item):
            yield f"{where} of {what}", encoded(wrap([what] * NUMBER))
    for where, wrap in places.objects(schema):
        for what in ({}, 0):
            yield f"{where} with names", encoded(wrap({f"n{at}": what for at in range(NUMBER)}))


def encoded(body: Any) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode()


def cost(work: Callable[[bytes], object], raw: bytes) -> float:
    started = time.thread_time()
    with suppress(FirstpassError):
        work(raw)
    return time.thread_time() - started


def peak(work: Callable[[bytes], object], raw: bytes) -> int:
    tracemalloc.start()
    try:
        cost(work, raw)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_every_body_of_the_document_is_tried() -> None:
    assert READERS.keys() == SCHEMAS.keys()
    assert all(sum(1 for _ in bombs(path)) >= 2 for path in SCHEMAS)


@pytest.mark.parametrize("path", READERS)
def test_no_place_of_a_body_multiplies_the_work(path: str) -> None:
    """4 MB of `{}` took up to 35 s, and 6 GB."""
    dear = {}
    for where, raw in bombs(path):
        times = cost(READERS[path], raw) / cost(members, raw)
        if times > WORK_TIMES:  # A busy machine, perhaps.
            times = min(cost(READERS[path], raw) for _ in range(5)) / min(cost(members, raw) for _ in range(5))
        if times > WORK_TIMES:
            dear[where] = times
    assert not dear


@pytest.mark.parametrize("path", READERS)
def test_no_place_of_a_body_multiplies_the_memory(path: str) -> None:
    whole = {where: peak(READERS[path], raw) / peak(members, raw) for where, raw in bombs(path) if where.endswith("{}")}
    assert not {where: times for where, times in whole.items() if times > MEMORY_TIMES}


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_what_is_nested_too_deeply_is_refused(opening: bytes) -> None:
    with pytest.raises(BadAsk, match=f"deeper than {DEPTH_LIMIT} levels"):
        members(b'{"x":' + opening * DEPTH_LIMIT + b"1")


def test_too_many_values_are_refused_before_they_are_made() -> None:
    raw = b'{"x":[' + b"{}," * VALUES_LIMIT + b"0]}"
    with pytest.raises(BadAsk, match=f"more than {VALUES_LIMIT} values"):
        members(raw)
    assert peak(members, raw) < len(raw)


def test_what_looks_like_values_in_a_text_is_none() -> None:
    text = '{"[,:' * VALUES_LIMIT + "\\" * 3
    assert members(encoded({"x": text, "y": ["["] * 9})) == {"x": text, "y": ["["] * 9}


@pytest.mark.parametrize(
    "body",
    [
        lambda size: b'{"x":{' + b",".join(b'"%d":0' % at for at in range(size)) + b',"0":1}}',
        lambda size: b'{"x":"' + b'\\"' * size,
        lambda size: b'{"x":[' + b"[[" * 200 + b'"' * size,
        lambda size: b'{"x":' + b"9" * size + b"}",
        lambda size: b'{"x":"' + b"\\ud800" * size + b'"}',
    ],
)
def test_a_fault_is_found_in_linear_time(body: Callable[[int], bytes]) -> None:
    """One name of 20,000 that stood twice took 5 s."""
    made = {size: body(size) for step in range(5) for size in (4_000 + step, 16_000 + step)}
    assert growth(lambda size: cost(members, made.get(size) or body(size)), 4_000) < LINEAR


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b'{"x":1e999}', "larger than any number"),
        (b'{"x":' + b"9" * 301 + b"}", "larger than any number"),
        (b'{"x":-Infinity}', "is no number"),
        (b'{"x":"\xff"}', "utf-8"),
        (b'{"x":1,"x":2}', "x stands twice"),
        (b'{"x":1}{', "Extra data"),
    ],
)
def test_what_is_no_json_is_told_so(raw: bytes, words: str) -> None:
    with pytest.raises(BadAsk, match=words):
        members(raw)


def test_an_error_repeats_little_of_a_body() -> None:
    raw = encoded({"model": "x", "messages": [], "y" * 100_000: 1})
    with pytest.raises(BadAsk) as caught:
        openai.chat(raw, CALLER, HOUSE)
    assert len(caught.value.failure.message) < 1_000
