"""The OpenAI tier and the egress door against a real HTTP server that answers with exactly the given bytes."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import pytest

from firstpass.chat import Abilities, Chunk, Message, Sampling, TokenLogprob, Usage
from firstpass.dialect.openai.write_request import body_of
from firstpass.egress import EgressDoor
from firstpass.errors import (
    BadAsk,
    ContextTooLong,
    FirstpassError,
    Forbidden,
    StoreFailed,
    TierFailed,
    TierTimedOut,
    TierUnavailable,
)
from firstpass.exchange import Ask, Receipt
from firstpass.redaction import Redactor
from firstpass.tier.openai_http import OpenAITier
from tests.conftest import serving

ASK = Ask("ex_1", 0.0, "chat", "strong", "strong", (Message("user", "hello"),), ceiling="any")
WHOLE = {
    "model": "m",
    "choices": [{"message": {"content": "hi"}, "finish_reason": "stop", "logprobs": None}],
    "usage": {"prompt_tokens": 2, "completion_tokens": 1},
}


@dataclass
class Heard:
    """A listener that remembers."""

    streaming: bool = False
    stops_at: str | None = None
    receipts: list[Receipt] = field(default_factory=list)
    chunks: list[bytes] = field(default_factory=list)
    events: list[Chunk] = field(default_factory=list)
    changed: dict[str, str] = field(default_factory=dict)

    def sent(self, receipt: Receipt) -> None:
        self.receipts.append(receipt)

    def instead(self, field: str, value: str) -> None:
        self.changed[field] = value

    async def chunk(self, chunk: Chunk) -> None:
        self.events.append(chunk)
        if chunk.for_caller:
            self.chunks.append(chunk.raw)

    @property
    def watching(self) -> bool:
        return self.stops_at is not None

    async def goes_on(self, text: str) -> bool:
        return self.stops_at is None or self.stops_at not in text


@dataclass
class Ledger:
    broken: bool = False
    written: list[tuple[str, Receipt]] = field(default_factory=list)

    async def record(self, exchange_id: str, receipt: Receipt) -> Receipt:
        if self.broken:
            raise StoreFailed("disk full", part="store")
        self.written.append((exchange_id, receipt))
        return receipt


@contextmanager
def answering(
    body: bytes, status: int = 200, seconds: float = 0.0, headers: tuple[tuple[str, str], ...] = ()
) -> Iterator[tuple[str, list[bytes]]]:
    """A server whose every answer is `body`; gives its URL and the bodies that it was sent."""
    import asyncio

    seen: list[bytes] = []

    async def application(scope, receive, send):  # type: ignore[no-untyped-def]
        if scope["type"] != "http":
            return
        parts, more = b"", True
        while more:
            message = await receive()
            parts += message.get("body", b"")
            more = message.get("more_body", False)
        seen.append(parts)
        await asyncio.sleep(seconds)
        raw = [(name.encode(), value.encode()) for name, value in headers]
        await send({"type": "http.response.start", "status": status, "headers": raw})
        await send({"type": "http.response.body", "body": body})

    with serving(application) as url:
        yield url, seen


def door(url: str, ledger: Ledger | None = None, *, hosted: bool = True, reply_seconds: float = 5.0) -> EgressDoor:
    record = (ledger or Ledger()).record
    return EgressDoor(
        f"{url}/v1",
        "m",
        {"authorization": "Bearer hush"},
        hosted=hosted,
        reply_seconds=reply_seconds,
        record=record,
        redactor=Redactor(),
    )


async def asked(url: str, ask: Ask = ASK, heard: Heard | None = None, reply_seconds: float = 5.0):  # type: ignore[no-untyped-def]
    way = door(url, reply_seconds=reply_seconds)
    try:
        return await OpenAITier("verifier", way).reply(ask, heard or Heard())
    finally:
        await way.aclose()


async def test_a_whole_reply_is_read_with_its_usage() -> None:
    with answering(json.dumps(WHOLE).encode()) as (url, _):
        reply = await asked(url)
    assert (reply.text, reply.model, reply.usage) == ("hi", "m", Usage(2, 1))


async def test_nothing_is_sent_without_a_record_and_the_record_is_of_the_very_bytes() -> None:
    ledger, heard = Ledger(), Heard()
    with answering(json.dumps(WHOLE).encode()) as (url, seen):
        way = door(url, ledger)
        await OpenAITier("verifier", way).reply(ASK, heard)
        (exchange_id, receipt), body = ledger.written[0], seen[0]
        assert exchange_id == "ex_1" and heard.receipts == [receipt]
        assert (receipt.bytes, receipt.sha256) == (len(body), hashlib.sha256(body).hexdigest())
        ledger.broken = True
        with pytest.raises(StoreFailed, match="nothing was sent"):
            await OpenAITier("verifier", way).reply(ASK, Heard())
        assert len(seen) == 1
        await way.aclose()


async def test_the_door_checks_the_ceiling_again() -> None:
    with answering(json.dumps(WHOLE).encode()) as (url, seen), pytest.raises(Forbidden):
        await asked(url, replace(ASK, ceiling="local-only"))
    assert seen == []


async def test_a_redirect_is_not_followed() -> None:
    with answering(b"", 307, headers=(("location", "http://127.0.0.1:9/elsewhere"),)) as (url, seen):
        with pytest.raises(TierFailed, match="307"):
            await asked(url)
        assert len(seen) == 1


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, {"error": {"message": "seed must be an integer", "param": "seed"}}, BadAsk),
        (400, {"error": {"message": "This model's maximum context length is 4096 tokens."}}, ContextTooLong),
        (422, {"detail": "bad"}, BadAsk),
        (401, {"error": {"message": "bad key"}}, TierFailed),
        (404, {"error": "no such model"}, TierFailed),
        (429, {"error": {"message": "slow down"}}, TierUnavailable),
        (500, "oops", TierFailed),
        (503, {}, TierUnavailable),
    ],
)
async def test_an_error_of_the_endpoint_is_one_of_ours(status: int, body: object, kind: type[FirstpassError]) -> None:
    raw = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    with answering(raw, status) as (url, _), pytest.raises(FirstpassError) as caught:
        await asked(url)
    assert type(caught.value) is kind and caught.value.failure.part == "verifier"


async def test_a_silent_endpoint_times_out() -> None:
    with answering(b"", seconds=1.0) as (url, _), pytest.raises(TierTimedOut):
        await asked(url, reply_seconds=0.2)


async def test_a_retry_after_that_is_no_number_is_not_believed() -> None:
    answer = answering(b"{}", 503, headers=(("retry-after", "9" * 40),))
    with answer as (url, _), pytest.raises(TierUnavailable) as caught:
        await asked(url)
    assert caught.value.failure.retry_after_seconds == 5


@pytest.mark.parametrize(
    "odd",
    [
        {"usage": {"prompt_tokens": None}},
        {"usage": {"prompt_tokens": -1, "completion_tokens": 2**70}},
        {"model": ["m"]},
        {"choices": [{"message": None}]},
        {"choices": [{"message": {"content": ["a"]}}]},
        {"choices": [{"message": {"content": "a"}, "finish_reason": 7}]},
        {"choices": [{"message": {"content": "a"}, "logprobs": {"content": [{"token": 1, "logprob": 0}]}}]},
    ],
)
async def test_a_field_of_the_wrong_type_is_a_failure_not_a_broken_record(odd: dict[str, object]) -> None:
    with answering(json.dumps(WHOLE | odd).encode()) as (url, _), pytest.raises(TierFailed):
        await asked(url)


async def test_half_a_surrogate_pair_does_not_reach_the_record() -> None:
    with answering(json.dumps(WHOLE | {"choices": [{"message": {"content": "a\ud83d"}}]}).encode()) as (url, _):
        assert (await asked(url)).text == "a?"


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"<html>", b'{"choices": [], "model": "m"}', b'{"choices": 3}'])
async def test_a_200_that_is_no_completion_is_a_failure_not_a_crash(body: bytes) -> None:
    with answering(body) as (url, _), pytest.raises(TierFailed, match="no chat completion"):
        await asked(url)


SCORED = replace(ASK, messages=(*ASK.messages, Message("assistant", "Calls: é")), continues=True, scored=True)


def prompt(*tokens: str) -> list[object]:
    return [None, *({"7": {"logprob": -0.5, "rank": 1, "decoded_token": token}} for token in tokens)]


@pytest.mark.parametrize("tokens", [("<a>", "Calls", ": ", "", "é"), ("<a>", "\nCalls", ": é")])
async def test_a_draft_is_scored_token_by_token_and_asks_for_one_token_only(tokens: tuple[str, ...]) -> None:
    scored = WHOLE | {"prompt_logprobs": prompt(*tokens)}
    with answering(json.dumps(scored).encode()) as (url, seen):
        reply = await asked(url, SCORED)
    assert reply.text == "Calls: é" and [token.token for token in reply.logprobs] == list(tokens[1:])
    assert {token.logprob for token in reply.logprobs} == {-0.5}
    body = json.loads(seen[0])
    assert (body["prompt_logprobs"], body["continue_final_message"], body["add_generation_prompt"]) == (0, True, False)


@pytest.mark.parametrize(
    "scores",
    [
        None,
        [],
        prompt("<a>", "Calls", ": e"),
        prompt(": é"),
        3,
        [None, {}],
        [None, {"7": {"logprob": "high", "decoded_token": "Calls: é"}}],
    ],
)
async def test_a_score_that_is_none_is_a_failure(scores: object) -> None:
    with (
        answering(json.dumps(WHOLE | {"prompt_logprobs": scores}).encode()) as (url, _),
        pytest.raises(TierFailed, match="no chat completion with prompt_logprobs"),
    ):
        await asked(url, SCORED)


def sse(*events: object) -> bytes:
    return b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)


def chunk(text: str, **more: object) -> dict[str, object]:
    return {"model": "m", "choices": [{"index": 0, "delta": {"content": text}} | more]}


COUNTED = {"model": "m", "choices": [], "usage": {"prompt_tokens": 2, "completion_tokens": 2}}
DONE = b"data: [DONE]\n\n"


async def test_a_stream_passes_byte_for_byte_and_is_accounted_for() -> None:
    logprobs = {"content": [{"token": "h", "logprob": -0.5}]}
    said = sse(chunk("h", logprobs=logprobs), chunk("i", finish_reason="stop"))
    heard = Heard(streaming=True)
    with answering(b": comment\n\n" + said + sse(COUNTED) + DONE) as (url, seen):
        reply = await asked(url, heard=heard)
    assert b"".join(heard.chunks) == said + DONE, "the usage chunk was not asked for"
    assert (reply.text, reply.usage, reply.finish_reason) == ("hi", Usage(2, 2), "stop")
    assert reply.logprobs == (TokenLogprob("h", -0.5),) and reply.first_token_seconds is not None
    assert json.loads(seen[0])["stream_options"] == {"include_usage": True}


async def test_of_a_reply_that_is_not_wanted_to_its_end_what_came_is_kept_with_its_usage() -> None:
    heard = Heard(streaming=True, stops_at="b")
    said = [chunk(text) | {"usage": {"prompt_tokens": 2, "completion_tokens": n}} for n, text in enumerate("abc", 1)]
    with answering(sse(*said) + DONE) as (url, seen):
        reply = await asked(url, heard=heard)
    assert (reply.text, reply.usage, reply.finish_reason) == ("ab", Usage(2, 2), None)
    assert json.loads(seen[0])["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize(
    ("vllm", "watched", "counted"), [(True, True, True), (True, False, False), (False, True, False)]
)
def test_only_vllm_is_asked_to_count_as_it_goes_where_a_reply_may_be_cut_off(
    vllm: bool, watched: bool, counted: bool
) -> None:
    able = Abilities(vllm=vllm)
    body = json.loads(body_of(ASK, "m", able, stream=True, watched=watched, max_tokens_name="max_tokens"))
    assert ("continuous_usage_stats" in body["stream_options"]) == counted


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
async def test_only_the_line_ends_of_the_standard_end_a_line(end: str) -> None:
    event = json.dumps(chunk("a\u2028b\x85c"), ensure_ascii=False)
    body = f"\ufeffdata: {event}{end}{end}data: [DONE]{end}".encode()
    heard = Heard(streaming=True)
    with answering(body) as (url, _):
        assert (await asked(url, heard=heard)).text == "a\u2028b\x85c"
    assert b"".join(heard.chunks) == f"data: {event}\n\ndata: [DONE]\n\n".encode()


async def test_the_usage_chunk_reaches_those_who_asked_for_it() -> None:
    heard = Heard(streaming=True)
    with answering(sse(chunk("h"), COUNTED) + DONE) as (url, _):
        await asked(url, replace(ASK, stream=True, include_usage=True), heard)
    assert heard.chunks == [sse(chunk("h")), sse(COUNTED), DONE]


@pytest.mark.parametrize(
    "body",
    [sse(chunk("h")), sse(chunk("h"), {"error": {"message": "out of memory"}}), b"data: {\n\n", b"data: 3\n\n"],
)
async def test_a_stream_that_breaks_or_fails_is_a_failure(body: bytes) -> None:
    with answering(body) as (url, _), pytest.raises(TierFailed):
        await asked(url, heard=Heard(streaming=True))


async def test_plain_completions_have_their_own_shape_of_logprobs() -> None:
    choice = {
        "text": "hi",
        "logprobs": {"tokens": ["x", "hi"], "token_logprobs": [None, -0.1]},
        "finish_reason": "stop",
    }
    ask = replace(ASK, kind="completion", sampling=Sampling(echo=True, logprobs=1))
    with answering(json.dumps({"model": "m", "choices": [choice]}).encode()) as (url, seen):
        reply = await asked(url, ask)
    assert reply.logprobs == (TokenLogprob("hi", -0.1),) and reply.usage is None
    assert json.loads(seen[0])["prompt"] == "hello"


@pytest.mark.parametrize(("vllm", "key", "salt"), [(True, "k1", "k1"), (True, None, None), (False, "k1", None)])
def test_what_vllm_keeps_of_prompts_is_told_apart_by_key(vllm: bool, key: str | None, salt: str | None) -> None:
    able = Abilities(vllm=vllm)
    body = body_of(replace(ASK, key=key), "m", able, stream=False, watched=False, max_tokens_name="max_tokens")
    assert json.loads(body).get("cache_salt") == salt
