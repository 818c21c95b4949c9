"""How servers are asked again, over a scripted transport: what is withheld, what is tried again, what is bounded."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest

from firstpass.chat import Message, Sampling, Usage
from firstpass.cli import replaying
from firstpass.cli.replaying import How, Ran, Server, found, run
from firstpass.errors import TierFailed
from firstpass.exchange import Answer, Ask, Ceiling, Consult, Exchange, Reply, Step
from firstpass.replay.report import headline, lines
from firstpass.replay.subject import Subject, of_exchange
from firstpass.replay.totals import Arm, fails
from firstpass.replay.wording import bracketed

AFAR, NEAR = "http://machine.example", "http://127.0.0.1:1"
CHOICE = {"message": {"content": "hi"}, "finish_reason": "stop"}
BODY = {"model": "m", "choices": [CHOICE], "usage": {"prompt_tokens": 4, "completion_tokens": 2}}
HEADERS = {"x-firstpass-route": "draft", "x-request-id": "ex_2"}
FREE = {"object": "contract", "id": "free@1", "form": "free", "sections": []}

Answers = Callable[[dict[str, Any]], httpx.Response]


def subject(ceiling: Ceiling = "local-only", **sampling: Any) -> Subject:
    ask = Ask("ex_1", 1.0, "chat", "local", "local", (Message("user", "hello"),), Sampling(**sampling), ceiling=ceiling)
    step = Step(Consult("draft", "answer", binding=True), Reply("hi", "m", "stop", Usage(4, 2), 0.1))
    made = of_exchange(Exchange(ask, (step,), Answer(0, "draft"), 0.1))
    assert isinstance(made, Subject)
    return made


def gives(body: dict[str, Any]) -> httpx.Response:
    return httpx.Response(200, json=BODY, headers=HEADERS)


async def ran(answers: Answers, one: Subject, url: str = NEAR, **how: Any) -> tuple[Ran, list[dict[str, Any]]]:
    """What came of it, and the bodies that were sent."""
    sent: list[dict[str, Any]] = []

    def handle(request: httpx.Request) -> httpx.Response:
        sent.append(json.loads(request.content))
        return answers(sent[-1])

    async with httpx.AsyncClient(base_url=url, transport=httpx.MockTransport(handle)) as client:
        done = await run([one], [Arm("again", url)], {url: Server(url, client, {})}, How(**how), lambda: None)
    return done, sent


@pytest.mark.parametrize("ceiling", ["local-only", "redacted", "any"])
@pytest.mark.parametrize("explicit", [True, False])
async def test_another_machine_gets_only_what_may_go_anywhere(ceiling: Ceiling, explicit: bool) -> None:
    named = frozenset([AFAR] if explicit else [])
    done, sent = await ran(gives, subject(ceiling), AFAR, explicit=named)
    if ceiling == "any" and explicit:
        assert [one["firstpass"]["egress"] for one in sent] == ["any"] and done.outcomes[0].change.same
    else:
        assert sent == [] and done.outcomes == [] and "another machine" in done.skipped[0].why


async def test_a_seed_that_a_model_does_not_take_is_left_out_and_that_is_said() -> None:
    def seedless(body: dict[str, Any]) -> httpx.Response:
        if "seed" in body:
            error = {"message": "seed: no such thing", "code": "invalid_value", "param": "seed"}
            return httpx.Response(400, json={"error": error})
        return gives(body)

    done, sent = await ran(seedless, subject(), repeats=2)
    assert [(one.get("temperature"), one.get("seed")) for one in sent] == [(0, 1), (0, None), (0, None)]
    assert "local takes no seed, which would have steadied the answer" in done.outcomes[0].doubts
    own, sent = await ran(seedless, subject(seed=9))
    assert own.outcomes[0].after.error == "400 invalid_value" and len(sent) == 1, "the caller's own seed stays"


async def test_a_server_that_is_busy_is_asked_again_when_it_says_and_not_for_ever() -> None:
    busy = httpx.Response(429, json={"error": {"message": "busy", "code": "rate"}}, headers={"retry-after": "0"})
    answers = [gives({}), busy, busy]
    done, sent = await ran(lambda body: answers.pop(), subject())
    assert done.outcomes[0].change.same and len(sent) == 3
    done, sent = await ran(lambda body: busy, subject())
    assert done.outcomes[0].after.error == "429 rate" and len(sent) == replaying.TRIES
    late = httpx.Response(503, json={"error": {"message": "later", "code": "off"}}, headers={"retry-after": "3600"})
    done, sent = await ran(lambda body: late, subject())
    assert done.outcomes[0].after.error == "503 off" and len(sent) == 1


@pytest.mark.parametrize("said", ["\u00b2", "nan", "-1", "9" * 5000, "Wed, 21 Oct 2026 07:28:00 GMT"])
async def test_a_wait_that_is_no_number_of_seconds_is_not_waited(said: str) -> None:
    busy = httpx.Response(
        503, json={"error": {"message": "m", "code": "off"}}, headers=[(b"retry-after", said.encode("latin-1"))]
    )
    done, sent = await ran(lambda body: busy, subject())
    assert done.outcomes[0].after.error == "503 off" and len(sent) == 1


async def test_headers_are_sent_as_they_came() -> None:
    """Latin-1, which is what HTTP has, and not what the client would make of it."""
    one = subject()
    done, _ = await ran(gives, replace(one, asked=replace(one.asked, headers={"anthropic-beta": "\xe9"})))
    assert done.outcomes[0].change.same


async def test_an_answer_without_end_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replaying, "MOST_BYTES", 10)
    done, _ = await ran(gives, subject())
    assert done.outcomes[0].after.error == "no answer" and "more than 10 bytes" in done.outcomes[0].after.said


async def test_a_connection_that_breaks_is_no_answer() -> None:
    def breaks(body: dict[str, Any]) -> httpx.Response:
        raise httpx.ReadError("gone")

    done, _ = await ran(breaks, subject())
    outcome = done.outcomes[0]
    assert (outcome.after.error, outcome.change.verdict) == ("no connection", "worse")


async def test_a_case_is_held_against_the_first_arm_and_is_no_outcome_there() -> None:
    texts = ["c", "a"]

    def handle(request: httpx.Request) -> httpx.Response:
        choice = {"message": {"content": texts.pop()}, "finish_reason": "stop"}
        return httpx.Response(200, json=BODY | {"choices": [choice]}, headers=HEADERS)

    async with httpx.AsyncClient(base_url=NEAR, transport=httpx.MockTransport(handle)) as client:
        arms, servers = [Arm("old", NEAR), Arm("new", NEAR, "strong")], {NEAR: Server(NEAR, client, {})}
        done = await run([replace(subject(), before=None)], arms, servers, How(), lambda: None)
    assert [(one.arm, one.before.text, one.after.text) for one in done.outcomes] == [("new", "a", "c")]


OTHER = httpx.Response(200, json=BODY | {"choices": [CHOICE | {"message": {"content": "other"}}]}, headers=HEADERS)
BROKEN = httpx.Response(502, json={"error": {"message": "no", "code": "engine_failed"}})
DETOUR = httpx.Response(200, json=BODY, headers=HEADERS | {"x-firstpass-route": "strong"})


@pytest.mark.parametrize(("odd", "worse"), [(OTHER, 0), (BROKEN, 1), (DETOUR, 0)])
async def test_one_other_answer_among_repeats_is_seen(odd: httpx.Response, worse: int) -> None:
    """The commonest answer is the one that is shown; one that changed, or broke, counts nevertheless."""
    answers = [gives({}), odd, gives({})]
    done, _ = await ran(lambda body: answers.pop(), subject(), repeats=3)
    one = done.outcomes[0]
    assert (one.change.same, one.alike, one.worse, headline(one)) == (True, 2, worse, "unsteady")
    assert (fails([one], "changed"), fails([one], "worse")) == (True, worse == 1)
    said = [bracketed(line.pieces) for line in lines(one, None)]
    assert said[0] == "2 of 3 answers are this one" + worse * "; worse than before: 1"


async def test_a_contract_is_asked_only_of_what_had_one_of_that_name() -> None:
    async with httpx.AsyncClient(base_url=NEAR, transport=httpx.MockTransport(lambda request: gives({}))) as client:
        arms = [Arm("again", NEAR, None, "pr-summary@3")]
        done = await run([subject()], arms, {NEAR: Server(NEAR, client, {})}, How(), lambda: None)
    assert done.outcomes == [] and "no contract" in done.skipped[0].why


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (httpx.Response(200, json={"data": []}), "no Firstpass"),
        (httpx.Response(200, text="<html>"), "no Firstpass"),
        (httpx.Response(302, headers={"location": "http://b.example"}), "no Firstpass"),
        (httpx.Response(401, json={}), "API key"),
        (httpx.Response(404, json={"data": [FREE]}), "no Firstpass"),
    ],
)
async def test_only_a_firstpass_is_sent_anything(answer: httpx.Response, said: str) -> None:
    async with httpx.AsyncClient(base_url=NEAR, transport=httpx.MockTransport(lambda request: answer)) as client:
        with pytest.raises(TierFailed, match=said):
            await found(NEAR, client)


async def test_a_firstpass_says_the_forms_of_its_contracts() -> None:
    answer = httpx.Response(200, json={"data": [FREE]})
    async with httpx.AsyncClient(base_url=NEAR, transport=httpx.MockTransport(lambda request: answer)) as client:
        assert list((await found(NEAR, client)).forms) == ["free@1"]
