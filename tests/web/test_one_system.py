"""Engines whose templates take one system turn, at the beginning, through the whole front."""

import time
from pathlib import Path
from typing import Any

import pytest
from fastapi import Response

from firstpass.chat import Message
from firstpass.exchange import Ask
from firstpass.tier import template
from firstpass.tier.local import LocalDoor
from tests.conftest import fronted, serving
from tests.dialects import USER, ask, both, case, read
from tests.doubles import counts_words, messages_app
from tests.replayed import STREAM, Replayed, before, message
from tests.unit.test_tokens import At, tokenizer

# system-in-middle

TURNS = [
    {"role": "user", "content": "one"},
    {"role": "assistant", "content": "two"},
    {"role": "system", "content": "later"},
    {"role": "user", "content": "three"},
]
STRICT = [
    (400, {"error": {"message": "System message must be at the beginning."}}),
    (500, {"error": {"code": 500, "message": "Jinja Exception: Conversation roles must alternate user/assistant"}}),
    (500, {"error": "system message must be at the beginning"}),
    (400, {"message": "Unexpected role 'system' after role 'assistant'", "type": "invalid_request_error"}),
]


def _strewn(body: dict[str, Any]) -> bool:
    return any(turn["role"] in ("system", "developer") for turn in body["messages"][1:])


@both
@pytest.mark.parametrize("fault", STRICT)
def test_an_engine_that_takes_one_system_turn_gets_one(tmp_path: Path, stream: bool, fault: Any) -> None:
    assert case("system-in-middle")["upstream"] == ["received: system, user, assistant, system, user"]
    engine = Replayed(STREAM, error=lambda body: fault if _strewn(body) else None, tokenizes=False)
    with before(engine, tmp_path) as client:
        for _ in range(2):
            response = ask(client, "messages", stream=stream, system="first", messages=TURNS)
            assert read(response, "messages", stream=stream)["text"] == "hi"
        chat = [{"role": "system", "content": "first"}, *TURNS, {"role": "developer", "content": "last"}]
        assert ask(client, "chat", stream=stream, messages=chat).status_code == 200
    first, second, third, fourth = (
        [(turn["role"], turn["content"]) for turn in body["messages"]] for body in engine.seen
    )
    assert first[3] == ("system", "later"), "as it was asked, till the engine refused it"
    expected = [("system", "first\n\nlater"), ("user", "one"), ("assistant", "two"), ("user", "three")]
    assert second == third == expected, "and from then on at once"
    assert fourth == [("system", "first\n\nlater\n\nlast"), *expected[1:]]


@both
@pytest.mark.parametrize("fault", [*STRICT, None])
def test_an_engine_that_counts_tokens_shows_before_what_its_template_takes(
    tmp_path: Path, stream: bool, fault: Any
) -> None:
    """It refuses such turns; or it leaves them out, so the prompt is as long whatever they say."""
    engine = Replayed(
        STREAM, whole=message(content="hi") | {"count": 9}, error=lambda body: fault if _strewn(body) else None
    )
    with before(engine, tmp_path) as client:
        for _ in range(2):
            response = ask(client, "messages", stream=stream, system="first", messages=TURNS)
            assert read(response, "messages", stream=stream)["text"] == "hi"
    assert [[turn["role"] for turn in body["messages"]] for body in engine.seen] == [
        ["system", "user", "assistant", "user"]
    ] * 2, "none was refused"
    probes = [body for body in engine.counted if _strewn(body)]
    assert len(probes) == (2 if fault is None else 1), "it is found out once"


@pytest.mark.parametrize("breaks", [1, 0])
def test_what_could_not_be_found_out_is_tried_again(
    tmp_path: Path, breaks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first question about the template gets no answer."""
    monkeypatch.setattr(template, "QUIET_SECONDS", 0.0)
    left = [breaks]

    def error(body: dict[str, Any]) -> tuple[int, Any] | None:
        if not left[0] or not _strewn(body):
            return None
        left[0] -= 1
        return 503, {"error": "busy"}

    engine = Replayed(whole=message(content="hi") | {"count": 9}, error=error)
    with before(engine, tmp_path) as client:
        for _ in range(2):
            assert ask(client, "messages", stream=False, messages=TURNS).status_code == 200
    assert [_strewn(body) for body in engine.seen] == [bool(breaks), False]


async def test_an_engine_that_does_not_answer_is_not_waited_for_by_every_chat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(template, "PROBE_SECONDS", 0.5)
    asked = Ask("ex_1", 0.0, "chat", "local", "local", (Message("user", "a"), Message("system", "b")))
    with serving(tokenizer(Response("{}"), slow_seconds=6)) as url:
        door = LocalDoor(At(url), 10.0)
        known, started = template.Template(door), time.monotonic()
        for _ in range(20):
            assert await known.fitted(asked, "double") == asked
        assert time.monotonic() - started < 20 * template.PROBE_SECONDS / 2, "not twenty waits, one after the other"
        await door.aclose()


def test_an_engine_whose_template_takes_any_is_asked_in_their_order(tmp_path: Path) -> None:
    app = counts_words(messages_app(lambda body: {"content": "hi"}))
    with serving(app) as url, fronted(url, tmp_path / "data") as client:
        assert ask(client, "messages", stream=False, system="first", messages=TURNS).status_code == 200
    assert [turn["role"] for turn in app.state.seen[-1]["messages"]] == [
        "system",
        "user",
        "assistant",
        "system",
        "user",
    ]


def test_an_engine_that_takes_any_gets_them_as_they_are(tmp_path: Path) -> None:
    engine = Replayed()
    with before(engine, tmp_path) as client:
        assert ask(client, "messages", stream=False, system="first", messages=TURNS).status_code == 200
    assert [turn["role"] for turn in engine.seen[0]["messages"]] == ["system", "user", "assistant", "system", "user"]


def test_neighbours_that_a_system_turn_parted_become_one_turn(tmp_path: Path) -> None:
    engine = Replayed(error=lambda body: STRICT[0] if _strewn(body) else None)
    turns = [TURNS[0], TURNS[2], TURNS[3]]
    with before(engine, tmp_path) as client:
        assert ask(client, "chat", stream=False, messages=turns).status_code == 200
    assert [turn["content"] for turn in engine.seen[0]["messages"]] == ["later", "one\n\nthree"]


@pytest.mark.parametrize(
    "fault", [(400, {"error": {"message": "seed must be an integer"}}), STRICT[0], (503, {"error": "busy"})]
)
def test_what_is_refused_either_way_keeps_its_first_error(tmp_path: Path, fault: Any) -> None:
    engine = Replayed(error=lambda body: fault, tokenizes=False)
    with before(engine, tmp_path) as client:
        response = ask(client, "messages", stream=False, messages=TURNS)
        assert response.status_code == fault[0] and len(engine.seen) == (2 if fault is STRICT[0] else 1)
        ask(client, "messages", stream=False, messages=TURNS)
    assert _strewn(engine.seen[-2 if fault is STRICT[0] else -1]), "nothing was learned"


def test_a_chat_with_one_system_turn_is_asked_once(tmp_path: Path) -> None:
    engine = Replayed(error=lambda body: STRICT[0])
    with before(engine, tmp_path) as client:
        turns = [{"role": "system", "content": "s"}, *USER]
        assert ask(client, "chat", stream=False, messages=turns).status_code == 400 and len(engine.seen) == 1


def test_tokens_are_counted_of_what_such_an_engine_is_asked(tmp_path: Path) -> None:
    engine = Replayed(whole={"count": 9}, error=lambda body: STRICT[0] if _strewn(body) else None)
    with before(engine, tmp_path) as client:
        response = client.post("/v1/messages/count_tokens", json={"model": "local", "system": "s", "messages": TURNS})
    assert response.json() == {"input_tokens": 9}


async def test_what_a_chat_was_refused_for_holds_for_all_who_ask_the_same_template() -> None:
    """A count of tokens was of the turns as they came, after a chat had shown that the model takes no such turns."""
    asked = Ask("ex_1", 0.0, "chat", "local", "local", (Message("user", "a"), Message("system", "b")))
    known = template.Template()
    assert await known.fitted(asked, "one") == asked
    known.refused("one")
    assert [turn.role for turn in (await known.fitted(asked, "one")).messages] == ["system", "user"]
    assert await known.fitted(asked, "another") == asked
