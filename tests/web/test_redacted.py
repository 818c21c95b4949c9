"""The ceiling `redacted`: secrets have placeholders in their place when a text leaves, and are back in the answer."""

import asyncio
import json
import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from firstpass.chat import Message, Sampling
from firstpass.cli.terminal import WordlessFormatter
from firstpass.dialect.openai.restore import OpenAIRestoring
from firstpass.egress import EgressDoor, hiding
from firstpass.egress.hiding import Hiding
from firstpass.egress.known import known_secrets
from firstpass.errors import Forbidden
from firstpass.exchange import Ask
from firstpass.redaction import Placeholders, Redactor
from firstpass.store.keys import mint
from firstpass.tier import Tier
from firstpass.tier.anthropic_http import AnthropicTier
from firstpass.tier.openai_http import OpenAITier
from tests.conftest import Front, serving
from tests.doubles import CALLS, DIFF, FLAT_TOOL, amends, anthropic_app, messages_app, says
from tests.web.test_tiers import Heard, Ledger

KEY = "AKIA" + "Q3EXQMPLE7ZKRTWY"
PEM = "-----BEGIN RSA " + "PRIVATE KEY-----\nMIIEowIBAAKCAQEAx3Tq0w\n9fYb+Q==\n-----END RSA " + "PRIVATE KEY-----"
ASK = Ask("ex_1", 0.0, "chat", "strong", "strong", (Message("user", f"Use {KEY} here."),), ceiling="redacted")


def last(body: dict[str, Any]) -> str:
    content = body["messages"][-1]["content"]
    return content if isinstance(content, str) else "".join(block.get("text", "") for block in content)


def repeats(body: dict[str, Any]) -> dict[str, Any]:
    return {"content": f"You said: {last(body)}"}


def opened(url: str, ledger: Ledger | None = None) -> EgressDoor:
    record = (ledger or Ledger()).record
    return EgressDoor(f"{url}/v1", "m", {}, hosted=True, reply_seconds=30.0, record=record, redactor=Redactor())


Verifier = tuple[Any, Callable[[EgressDoor], Tier]]


def verifiers() -> dict[str, Verifier]:
    claude = anthropic_app(lambda body: [{"type": "text", "text": f"You said: {last(body)}"}])
    return {
        "openai": (messages_app(repeats), lambda door: OpenAITier("verifier", door)),
        "anthropic": (claude, AnthropicTier),
    }


@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("secret", [KEY, PEM])
async def test_a_secret_does_not_leave_and_is_back_in_the_answer(dialect: str, streaming: bool, secret: str) -> None:
    server, tier = verifiers()[dialect]
    heard, ledger = Heard(streaming), Ledger()
    with serving(server) as url:
        door = opened(url, ledger)
        ask = replace(ASK, messages=(Message("user", f"Use {secret} here."),))
        reply = await tier(door).reply(ask, heard)
        await door.aclose()
    assert reply.text == f"You said: Use {secret} here."
    (sent,) = map(json.dumps, server.state.seen)
    assert not any(line in sent for line in secret.splitlines()[1:] or [secret])
    shown = "".join(delta.text for event in heard.events for delta in event.deltas)
    assert shown == (reply.text if streaming else "")
    ((_, receipt),) = ledger.written
    assert sum(receipt.redacted.values()) == 1 and heard.receipts == [receipt]


@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
async def test_no_event_of_a_stream_shows_a_part_of_a_placeholder(dialect: str, size: int) -> None:
    """Whatever pieces the model's words come in."""
    server, tier = verifiers()[dialect]
    heard = Heard(streaming=True)

    def cut(said: str) -> list[str]:
        return [said[at : at + size] for at in range(0, len(said), size)]

    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        body = json.loads((await receive())["body"])
        said = f"a {last(body)} b {last(body)}"
        server.state.seen.append(body)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for event in (openai_stream if dialect == "openai" else claude_stream)(cut(said)):
            await send({"type": "http.response.body", "body": event, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    with serving(application) as url:
        door = opened(url)
        reply = await tier(door).reply(ASK, heard)
        await door.aclose()
    (place,) = set(re.findall(r"Use (\S+) here", last(server.state.seen[0])))
    whole = f"a Use {KEY} here. b Use {KEY} here."
    assert reply.text == whole and place != KEY
    shown = ""
    for event in heard.events:
        shown += "".join(delta.text for delta in event.deltas)
        assert whole.startswith(shown)
        assert place[: min(6, len(place))] not in event.raw.decode()
    assert shown == whole


def openai_stream(pieces: list[str]) -> Iterator[bytes]:
    for piece in pieces:
        yield event({"model": "m", "choices": [{"index": 0, "delta": {"content": piece}}]})
    yield event({"model": "m", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    yield b"data: [DONE]\n\n"


def claude_stream(pieces: list[str]) -> Iterator[bytes]:
    usage = {"input_tokens": 1, "output_tokens": 1}
    yield event({"type": "message_start", "message": {"model": "m", "usage": usage}})
    yield event({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})
    for piece in pieces:
        yield event({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": piece}})
    yield event({"type": "content_block_stop", "index": 0})
    yield event({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}})
    yield event({"type": "message_stop"})


def event(fields: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(fields).encode() + b"\n\n"


async def test_calls_of_tools_and_thoughts_keep_their_placeholders() -> None:
    def call(body: dict[str, Any]) -> dict[str, Any]:
        function = {"name": "weather", "arguments": json.dumps({"city": last(body)})}
        return {"reasoning": last(body), "tool_calls": [{"id": "c1", "type": "function", "function": function}]}

    for streaming in (False, True):
        server = messages_app(call, "tool_calls")
        with serving(server) as url:
            door = opened(url)
            reply = await OpenAITier("verifier", door).reply(ASK, Heard(streaming))
            await door.aclose()
        assert reply.reasoning is not None and KEY not in reply.reasoning.text
        assert (
            json.loads(reply.tool_calls[0].arguments)["city"] == last(server.state.seen[0]) != ASK.messages[0].content
        )


async def test_an_answer_in_json_stays_json_with_a_secret_of_several_lines() -> None:
    server = messages_app(lambda body: {"content": json.dumps({"said": last(body)})})
    sampling = Sampling(response_format={"type": "json_object"})
    with serving(server) as url:
        door = opened(url)
        reply = await OpenAITier("verifier", door).reply(
            replace(ASK, messages=(Message("user", PEM),), sampling=sampling), Heard()
        )
        await door.aclose()
    assert json.loads(reply.text) == {"said": PEM}


BODY = {
    "model": "m",
    "messages": [
        {"role": "system", "content": f"system {KEY}"},
        {"role": "user", "name": "ann", "content": [{"type": "text", "text": f"part {KEY}"}]},
        {"role": "assistant", "content": None, "tool_calls": CALLS[:1]},
        {"role": "tool", "tool_call_id": "call_Oslo", "content": KEY},
        {"role": "assistant", "reasoning": f"thought {KEY}", "content": "ok"},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": [{"text": KEY}]}]},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "n", "input": {"name": KEY}}]},
    ],
    "system": [{"type": "text", "text": KEY}],
    "stop": ["a", KEY],
    "stop_sequences": [KEY],
    "tools": [FLAT_TOOL | {"description": KEY, "parameters": {"properties": {"type": {"const": KEY}}}}],
    "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"enum": [KEY]}}},
    "user": KEY,
    "metadata": {"id": KEY},
    "prompt": KEY,
    "input": [KEY],
    "suffix": KEY,
    "chat_template_kwargs": {"role": KEY},
}


def test_every_field_of_a_body_is_looked_through() -> None:
    places = Placeholders()
    body = Hiding(Redactor(), places).body(json.dumps(BODY).encode())
    assert KEY not in body.decode() and dict(places.kinds) and sum(places.kinds.values()) == 1
    assert json.loads(places.restore(body.decode())) == BODY


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"tools": [{"type": "function", "function": {"name": KEY}}]}, "name"),
        ({"messages": [{"role": "tool", "tool_call_id": f"call-{KEY}", "content": "a"}]}, "tool_call_id"),
        ({"metadata": {KEY: "a"}}, "the name of a field of metadata"),
        ({"messages": [{"role": "assistant", "content": [{"type": "thinking", "signature": KEY}]}]}, "signature"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]}, "image_url"),
        ({"messages": [{"role": "user", "content": [{"type": "image", "source": {"data": "aGk="}}]}]}, "image"),
    ],
)
def test_what_can_not_be_replaced_is_refused_by_name(fields: dict[str, Any], where: str) -> None:
    with pytest.raises(Forbidden, match=where) as caught:
        Hiding(Redactor(), Placeholders()).body(json.dumps(fields).encode())
    assert KEY not in caught.value.failure.message and caught.value.failure.param == "firstpass.egress"


@contextmanager
def strong_front(front: Front, server: Any, draft: str = "-", **sections: Any) -> Iterator[httpx.Client]:
    with serving(server) as url:
        verifier = {"url": f"{url}/v1", "model": "big"} | sections.pop("verifier", {})
        policy = {"egress": "any"} | sections.pop("policy", {})
        with front(says(draft), verifier=verifier, policy=policy, **sections) as client:
            yield client


def test_a_caller_may_ask_for_redaction_and_is_told_what_was_hidden(front: Front) -> None:
    server = messages_app(repeats)
    body = {"model": "strong", "messages": [{"role": "user", "content": f"Use {KEY}."}]}
    with strong_front(front, server) as client:
        asked = body | {"firstpass": {"egress": "redacted"}}
        answer = client.post("/v1/chat/completions", json=asked)
        open_ = client.post("/v1/chat/completions", json=body)
    assert answer.json()["choices"][0]["message"]["content"] == f"You said: Use {KEY}."
    first, second = map(json.dumps, server.state.seen)
    assert KEY not in first and KEY in second and open_.status_code == 200


def test_the_server_s_own_ceiling_redacts_whatever_a_request_says(front: Front) -> None:
    server = messages_app(repeats)
    asked = {
        "model": "strong",
        "messages": [{"role": "user", "content": f"Use {KEY}, ask Initech."}],
        "firstpass": {"egress": "any"},
    }
    redaction = {"words": ("initech",), "patterns": {"TICKET": r"\bOPS-\d+\b"}}
    with strong_front(front, server, policy={"egress": "redacted"}, redaction=redaction) as client:
        answer = client.post("/v1/chat/completions", json=asked | {"user": "see OPS-4711"})
    assert answer.json()["choices"][0]["message"]["content"] == f"You said: Use {KEY}, ask Initech."
    (sent,) = map(json.dumps, server.state.seen)
    assert KEY not in sent and "nitech" not in sent and "4711" not in sent


def test_a_verdict_on_a_redacted_draft_is_read_with_its_secrets(front: Front) -> None:
    """The verifier sees placeholders; its edits are made in the draft as it was."""
    diff = DIFF.replace("createSession(user)", f'createSession(user, "{KEY}")')
    faulty = "Summary: Launch launchRocket() with the key.\nCalls:\n- createSession()\nTODOs:\n- none\nActions:\n- none"
    right = faulty.replace("Launch launchRocket() with the key", "Create a session at login")
    judge = amends(right)
    server = messages_app(lambda body: {"content": judge(last(body))})
    with strong_front(front, server, faulty, policy={"egress": "redacted"}) as client:
        body = {"model": "firstpass", "messages": [{"role": "user", "content": diff}]}
        answer = client.post("/v1/chat/completions", json=body | {"firstpass": {"contract": "pr-summary@3"}})
    assert answer.headers["x-firstpass-route"] == "verified", answer.text
    assert answer.json()["choices"][0]["message"]["content"] == right
    (sent,) = map(json.dumps, server.state.seen)
    assert KEY not in sent and answer.json()["firstpass"]["receipts"][0]["redacted"]


def test_the_machine_s_own_secrets_are_known(tmp_path: Path) -> None:
    (tmp_path / ".netrc").write_text("machine git.example login ann password correct-horse-7\n")
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws/credentials").write_text(
        "[default]\naws_secret_access_key = wJalr/K7MDENGbPx\nregion = eu-west-1\n"
    )
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".docker/config.json").write_text('{"auths": {"r.example": {"auth": "YW5uOnNlY3JldA=="}}}')
    (tmp_path / ".git-credentials").write_text("https://ann:glimmer-99-x@git.example\n")
    (tmp_path / ".cache/huggingface").mkdir(parents=True)
    (tmp_path / ".cache/huggingface/token").write_text("hf-token-of-ann\n")
    more = tmp_path / "more"
    more.write_text("DB_PASSWORD='quiet river 1'\nPIN_TOKEN=tr0mbone-5\nlone-secret-word\n")
    environment = {
        "MAIL_PASSWORD": "opal-lantern",
        "PATH": "/usr/bin:/bin",
        "DB": "postgres://u:urlpass-77@h/db",
        "TOKEN": "short",
    }
    known = known_secrets(environment, tmp_path, [more])
    assert known >= {
        *("correct-horse-7", "wJalr/K7MDENGbPx", "YW5uOnNlY3JldA==", "glimmer-99-x", "hf-token-of-ann"),
        *("opal-lantern", "urlpass-77", "tr0mbone-5", "lone-secret-word"),
    }
    assert not known & {"/usr/bin:/bin", "short", "eu-west-1", "git.example", "default", "[default]"}


SECRET_NAMES = ("PGPASSWORD", "SSHPASS", "OPENAI_KEY", "GITHUB_PAT", "MASTER_KEY", "DB_PASS", "X_TOKEN", "SENTRY_DSN")
OTHER_NAMES = ("SSH_AUTH_SOCK", "GNOME_KEYRING", "SSH_PUBLIC_KEY", "KEYMAP", "TOKEN_FILE", "KEYBOARD_PATH")


@pytest.mark.parametrize("value", ["$ecret-pw-123", "/slash-first/x", "~tilde-first", ".dot-first"])
def test_a_variable_is_known_by_its_name_however_its_value_begins(tmp_path: Path, value: str) -> None:
    for name in SECRET_NAMES:
        assert known_secrets({name: f" {value}{name}"}, tmp_path) == {f"{value}{name}"}
    assert known_secrets(dict.fromkeys(OTHER_NAMES, value), tmp_path) == frozenset()


def test_a_variable_of_a_path_a_number_or_an_address_is_no_secret(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text("")
    values = (str(tmp_path), f"{tmp_path}/key.pem", "8192000000", "-12345.678", "https://login.example.com/token")
    for value in values:
        assert known_secrets({"MASTER_KEY": value, "SERVICE_AUTH": value}, tmp_path) == frozenset()
    long = f"/{'k' * 300}"
    assert known_secrets({"MASTER_KEY": long}, tmp_path) == {long}
    hook = "https://hooks.example.com/T0/B0/x"
    assert known_secrets({"SLACK_WEBHOOK_URL": hook}, tmp_path) == {hook}


def test_a_file_s_value_that_stands_elsewhere_is_no_secret(tmp_path: Path) -> None:
    (tmp_path / ".npmrc").write_text(
        "//r.example/:_authToken=${NPM_TOKEN}\n_password = pa$$w0rd-of-npm\ntoken=$NPM_TOKEN\n"
    )
    assert known_secrets({}, tmp_path) == {"pa$$w0rd-of-npm"}


def test_a_secret_of_the_server_s_environment_does_not_leave(front: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEPLOY_TOKEN", "plain-words-as-token")
    server = messages_app(repeats)
    body = {"model": "strong", "messages": [{"role": "user", "content": "It is plain-words-as-token, ok?"}]}
    with strong_front(
        front, server, policy={"egress": "redacted"}, verifier={"api_key": "verifiers-own-key"}
    ) as client:
        answer = client.post("/v1/chat/completions", json=body)
        client.post("/v1/chat/completions", json=body | {"user": "verifiers-own-key"})
        client.post("/v1/chat/completions", json=body | {"user": f"see {mint('ci', b'p', 0.0)[0]}"})
    assert "plain-words-as-token" in answer.json()["choices"][0]["message"]["content"]
    sent = json.dumps(server.state.seen)
    assert "plain-words" not in sent and "verifiers-own" not in sent and "fp-" not in sent


async def test_the_loop_goes_on_while_a_large_body_is_redacted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hiding, "MOST_SECONDS", 300.0)
    server = messages_app(repeats)
    beats = 0

    async def beat() -> None:
        nonlocal beats
        while True:
            await asyncio.sleep(0.005)
            beats += 1

    with serving(server) as url:
        door = opened(url)
        beating = asyncio.create_task(beat())
        ask = replace(ASK, messages=(Message("user", f"def f(a, b):\n    return a + {KEY!r}\n" * 20_000),))
        await OpenAITier("verifier", door).reply(ask, Heard())
        beating.cancel()
        await door.aclose()
    assert beats > 10


def test_a_body_that_takes_the_detectors_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hiding, "MOST_SECONDS", 0.2)
    with pytest.raises(Forbidden, match=r"not all found in 0\.2 s"):
        Hiding(Redactor(), Placeholders()).body(json.dumps({"prompt": "password=" * 100_000}).encode())


@pytest.mark.parametrize(
    ("fields", "secret"),
    [
        ({"input": {"user": "ann", "password": "hunter2xyz"}}, "hunter2xyz"),
        ({"input": {"login": {"api_key": 'a"b\\cd12efgh99'}}}, "cd12efgh99"),
        ({"input": {"password": 84736251}}, "84736251"),
        ({"parameters": {"properties": {"password": {"type": "string", "default": "hunter2xyz"}}}}, "hunter2xyz"),
        ({"messages": [{"content": "I typed hunter2xyz"}, {"content": "the password is hunter2xyz"}]}, "hunter2xyz"),
    ],
)
def test_a_field_s_name_and_a_later_text_tell_that_something_is_secret(fields: dict[str, Any], secret: str) -> None:
    places = Placeholders()
    assert secret not in Hiding(Redactor(), places).body(json.dumps(fields).encode()).decode() and places


def test_plain_arguments_stay_as_they_are() -> None:
    fields = {"input": {"name": "Ann", "count": 3, "open": True, "city": None, "note": "the key to success", "x": 0.5}}
    assert json.loads(Hiding(Redactor(), Placeholders()).body(json.dumps(fields).encode())) == fields


async def test_what_looks_like_the_beginning_of_a_placeholder_is_not_lost_where_a_stream_just_ends() -> None:
    for dialect in ("openai", "anthropic"):
        _, tier = verifiers()[dialect]

        async def application(scope: Any, receive: Any, send: Any, dialect: str = dialect) -> None:
            if scope["type"] != "http":
                return
            await receive()
            events = [*(openai_stream if dialect == "openai" else claude_stream)(["Vitamin ", "H"])]
            ended = (b"finish_reason", b"content_block_stop")
            await send({"type": "http.response.start", "status": 200, "headers": []})
            for one in events:
                if not any(end in one for end in ended):
                    await send({"type": "http.response.body", "body": one, "more_body": True})
            await send({"type": "http.response.body", "body": b""})

        with serving(application) as url:
            door = opened(url)
            reply = await tier(door).reply(ASK, Heard(streaming=True))
            await door.aclose()
        assert reply.text == "Vitamin H"


def test_a_refusal_is_no_json_where_the_answer_is() -> None:
    places = Placeholders()
    hidden = Redactor().hide(PEM, places)
    raw = json.dumps({"choices": [{"message": {"content": json.dumps(hidden), "refusal": hidden}}]}).encode()
    (choice,) = json.loads(OpenAIRestoring(places, escaped=True).whole(raw))["choices"]
    assert json.loads(choice["message"]["content"]) == choice["message"]["refusal"] == PEM


def test_a_traceback_and_what_asyncio_says_quote_nobody() -> None:
    shown = WordlessFormatter("%(message)s")
    try:
        raise KeyError(KEY) from ValueError(KEY)
    except KeyError as error:
        raised = (type(error), error, error.__traceback__)
    said = shown.format(logging.LogRecord("any", 40, "p", 1, "it broke", None, raised))
    assert "test_redacted.py" in said and "KeyError" in said and "ValueError" in said and KEY not in said
    about = f"Task exception was never retrieved\nfuture: <Task exception=UnicodeEncodeError({KEY!r})>"
    assert shown.format(logging.LogRecord("asyncio", 40, "p", 1, about, None, None)) == about.partition("\n")[0]
