"""An answer that may be longer than its model has room for: asked for as long as it can be, and said so."""

from pathlib import Path
from typing import Any

import pytest

from firstpass.store.sqlite import SqliteStore
from tests.conftest import fronted, serving
from tests.dialects import ask, both, read
from tests.replayed import STREAM, Replayed, before, sse

LIMITS = [
    ("chat", "max_tokens"),
    ("chat", "max_completion_tokens"),
    ("messages", "max_tokens"),
    ("responses", "max_output_tokens"),
]
HEADER = "x-firstpass-max-tokens"


class Window:
    """Engines of a window: each says in its words that prompt and answer do not fit. asked: the limits that it saw."""

    def __init__(self, words: str, window: int = 4096, prompt: int = 1000, cap: int | None = None) -> None:
        self.words, self.window, self.prompt, self.cap = words, window, prompt, cap
        self.asked: list[int] = []

    def error(self, body: dict[str, Any]) -> tuple[int, Any] | None:
        if (limit := body.get("max_tokens")) is None:
            return None
        self.asked.append(limit)
        if limit <= (self.cap or self.window - self.prompt):
            return None
        said = self.words.format(limit=limit, window=self.window, prompt=self.prompt, cap=self.cap)
        return 400, {"error": {"message": said, "type": "invalid_request_error", "code": 400}}


SUM = "maximum context length is {window} tokens: {prompt} in the messages, {limit} in the completion"
WORDS = [
    (SUM, None),
    ("input length and `max_tokens` exceed context limit: {prompt} + {limit} > {window}, decrease it", None),
    ("maximum context length is {window} tokens. You requested a total: {prompt} tokens from the input messages", None),
    (
        "`inputs` tokens + `max_new_tokens` must be <= {window}. Given: {prompt} `inputs`, {limit} `max_new_tokens`",
        None,
    ),
    ("max_tokens: {limit} > {cap}, which is the maximum allowed number of output tokens for this model", 2048),
    ("max_tokens is too large: {limit}. This model supports at most {cap} completion tokens", 2048),
    ("`max_tokens` must be less than or equal to `{cap}`, the maximum value for this model", 2048),
    ("Invalid max_tokens value, the valid range of max_tokens is [1, {cap}]", 2048),
    ("a maxOutputTokens value of {limit}, but the supported range is from 1 (inclusive) to 2049 (exclusive)", 2048),
]


@both
@pytest.mark.parametrize(("words", "cap"), WORDS)
def test_an_answer_is_as_long_as_there_is_room_for(tmp_path: Path, stream: bool, words: str, cap: int | None) -> None:
    window = Window(words, cap=cap)
    with before(Replayed(STREAM, error=window.error), tmp_path) as client:
        for dialect, field in LIMITS:
            response = ask(client, dialect, stream=stream, **{field: 32_000})
            assert read(response, dialect, stream=stream)["text"] == "hi"
            assert response.headers[HEADER] == str(cap or 3096)
            assert window.asked == [32_000, cap or 3096]
            window.asked.clear()


LONGEST = "maximum context length is"
PASSED = "You passed 1000 input tokens and requested 7500 output tokens. However, the model's"


@pytest.mark.parametrize(
    ("words", "room"),
    [
        (f"{LONGEST} 8192 tokens (1234 in the messages, 220 in the functions, and 7500 in the completion)", 6738),
        (f"{LONGEST} 40960 tokens (122 of text input, 10444 of tool input, 32000 in the output)", 30394),
        (f"{PASSED} context length is only 4096 tokens, resulting in a maximum input length of 96 tokens.", 3096),
        ("Range of max_tokens should be [1, 4096]", 4096),
    ],
)  # fmt: skip
def test_whatever_is_counted_as_the_prompt_is_no_room(tmp_path: Path, words: str, room: int) -> None:
    engine = Replayed(error=lambda body: (400, {"error": {"message": words}}) if body["max_tokens"] > room else None)
    with before(engine, tmp_path) as client:
        response = ask(client, "chat", stream=False, max_tokens=40_000)
    assert response.headers[HEADER] == str(room)


def test_where_the_prompt_was_not_counted_to_its_end_the_limit_is_left_away(tmp_path: Path) -> None:
    """vLLM stops to count where the answer has no room; its "at least" says nothing of the prompt."""
    words = "maximum context length is 131072 tokens. However, you requested {} output tokens and your prompt contains "
    words += "at least 3073 input tokens, for a total of at least 131073 tokens."
    told = (400, {"error": words.format(128_000)})
    engine = Replayed(error=lambda body: told if "max_tokens" in body else None)
    with before(engine, tmp_path) as client:
        response = ask(client, "chat", stream=False, max_tokens=128_000)
    assert response.headers[HEADER] == "unset" and len(engine.seen) == 2


@pytest.mark.parametrize(("status", "answered"), [(429, 503), (503, 503), (500, 502)])
def test_a_second_try_that_fails_for_another_reason_says_that_one(tmp_path: Path, status: int, answered: int) -> None:
    window = Window(SUM)
    engine = Replayed(error=lambda body: window.error(body) or (status, {"error": "busy"}))
    with before(engine, tmp_path) as client:
        response = ask(client, "messages", stream=False, max_tokens=32_000)
    assert response.status_code == answered and "retry-after" in response.headers and window.asked == [32_000, 3096]


@pytest.mark.parametrize("first", [{"choices": []}, {"choices": [], "usage": {"prompt_tokens": 5}}])
def test_what_has_begun_is_not_asked_again(tmp_path: Path, first: dict[str, Any]) -> None:
    fault = {"error": {"message": SUM.format(window=4096, prompt=1000, limit=32_000)}}
    engine = Replayed(sse({"model": "m"} | first, fault))
    with before(engine, tmp_path) as client:
        ask(client, "messages", stream=True, max_tokens=32_000)
    assert len(engine.seen) == 1


@both
def test_one_that_fits_is_left_as_it_is(tmp_path: Path, stream: bool) -> None:
    window = Window(SUM)
    with before(Replayed(STREAM, error=window.error), tmp_path) as client:
        response = ask(client, "messages", stream=stream, max_tokens=3096)
    assert response.status_code == 200 and HEADER not in response.headers and window.asked == [3096]


def test_first_the_model_s_own_limit_then_what_the_prompt_leaves_of_it(tmp_path: Path) -> None:
    """vLLM looks at the limit before it reads the prompt."""
    window, told = Window(SUM), "max_tokens=32000 cannot be greater than max_model_len=max_total_tokens=4096."
    engine = Replayed(error=lambda body: (400, {"error": told}) if body["max_tokens"] == 32_000 else window.error(body))
    with before(engine, tmp_path) as client:
        response = ask(client, "messages", stream=False, max_tokens=32_000)
    assert response.headers[HEADER] == "3096" and window.asked == [4096, 3096]


def test_where_no_number_is_said_the_limit_is_left_away(tmp_path: Path) -> None:
    told = (400, {"error": "max_tokens=32000 cannot be greater than max_model_len"})
    engine = Replayed(error=lambda body: told if "max_tokens" in body else None)
    with before(engine, tmp_path) as client:
        response = ask(client, "messages", stream=False, max_tokens=32_000)
    assert response.headers[HEADER] == "unset" and len(engine.seen) == 2


@pytest.mark.parametrize(("prompt", "words"), [(4096, "4096 + 32000 > 4096"), (5000, "prompt is too long: 5000")])
def test_a_prompt_that_leaves_no_room_is_an_error_at_once(tmp_path: Path, prompt: int, words: str) -> None:
    window = Window(SUM, prompt=prompt)
    with before(Replayed(error=window.error), tmp_path) as client:
        response = ask(client, "messages", stream=False, max_tokens=32_000)
    assert response.status_code == 400 and len(window.asked) == 1
    assert words in response.json()["error"]["message"]


def test_a_prompt_that_is_too_long_for_any_answer_says_so_at_last(tmp_path: Path) -> None:
    """The first refusal was only of the limit."""
    too_long = (400, {"error": {"message": "The prompt (length 5000) exceeds the model's context length of 4096"}})
    told = (400, {"error": "max_tokens=32000 cannot be greater than max_model_len=4096"})
    engine = Replayed(error=lambda body: told if body["max_tokens"] == 32_000 else too_long)
    with before(engine, tmp_path) as client:
        response = ask(client, "messages", stream=False, max_tokens=32_000)
    assert response.json()["error"]["message"] == "prompt is too long: 5000 tokens > 4096 maximum"


def test_an_endpoint_that_always_finds_it_too_long_is_asked_four_times_at_most(tmp_path: Path) -> None:
    def less(body: dict[str, Any]) -> tuple[int, Any]:
        return 400, {"error": f"max_tokens is too large. This model supports at most {body['max_tokens'] - 1} tokens"}

    engine = Replayed(error=less)
    with before(engine, tmp_path) as client:
        response = ask(client, "chat", stream=False, max_tokens=100)
    assert (response.status_code, response.json()["error"]["param"]) == (400, "max_tokens")
    assert "at most 99" in response.json()["error"]["message"], "the first refusal stands"
    assert [body["max_tokens"] for body in engine.seen] == [100, 99, 98, 97]


def test_one_that_nobody_limited_is_never_asked_again(tmp_path: Path) -> None:
    engine = Replayed(error=lambda _: (400, {"error": SUM.format(window=4096, prompt=1000, limit=4000)}))
    with before(engine, tmp_path) as client:
        assert ask(client, "chat", stream=False).status_code == 400 and len(engine.seen) == 1


def test_a_place_and_a_limit_that_are_refused_are_both_mended(tmp_path: Path) -> None:
    window = Window(SUM)

    def error(body: dict[str, Any]) -> tuple[int, Any] | None:
        strewn = any(turn["role"] == "system" for turn in body["messages"][1:])
        return (400, {"error": "System message must be at the beginning."}) if strewn else window.error(body)

    turns = [{"role": "user", "content": "a"}, {"role": "system", "content": "b"}, {"role": "user", "content": "c"}]
    with before(Replayed(error=error), tmp_path) as client:
        response = ask(client, "messages", stream=False, messages=turns, max_tokens=32_000)
    assert response.headers[HEADER] == "3096" and window.asked == [32_000, 3096]


@both
def test_all_that_left_the_machine_on_the_way_has_a_receipt(tmp_path: Path, stream: bool) -> None:
    """A verifier that refuses is sent the text again."""
    window = Window(SUM)
    stronger = Replayed(STREAM, error=window.error)
    with serving(Replayed().app) as draft, serving(stronger.app) as url:
        sections = {"verifier": {"url": f"{url}/v1", "model": "stronger"}, "policy": {"egress": "any"}}
        with fronted(draft, tmp_path, **sections) as client:
            response = ask(client, "chat", stream=stream, model="strong", max_tokens=32_000)
    receipts = response.headers["x-firstpass-receipt"].split(",")
    (kept,) = SqliteStore(tmp_path / "firstpass.sqlite").latest(1)
    assert response.headers[HEADER] == "3096" and len(set(receipts)) == len(window.asked) == 2
    assert [f"{one.host};{one.sha256};{one.number};{one.leaf}" for one in kept.receipts] == receipts
