"""`firstpass replay` against whole fronts whose models change their answers: every API, the ceilings, what is shown."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import Result
from fastapi import FastAPI, Request
from typer.testing import CliRunner

from firstpass.cli import main
from firstpass.errors import FirstpassError
from firstpass.exchange import Exchange
from firstpass.store.sqlite import SqliteStore
from tests.conftest import Front, fronted, serving
from tests.doubles import DIFF, NAMES, OMITS, STRAYS, messages_app, openai_app, says
from tests.unit.test_replay_asking import PIXEL
from tests.web import test_cli

PINNED = {"firstpass": {"contract": "pr-summary@3", "session": "s1"}}
PROBE = "ready?"
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
LOOK: Any = [
    {"type": "text", "text": "What is it?"},
    {"type": "image_url", "image_url": {"url": PIXEL.url}},
]


class Model:
    """A scripted engine that says what it is told to say from now on."""

    def __init__(self) -> None:
        self.text = NAMES
        self.app = openai_app(lambda body: self.text)
        self.completed: list[dict[str, Any]] = []

        @self.app.post("/v1/completions")
        async def complete(request: Request) -> dict[str, Any]:
            self.completed.append(await request.json())
            choice = {"index": 0, "text": self.text, "finish_reason": "length"}
            usage = {"prompt_tokens": 3, "completion_tokens": 2}
            return {"id": "c", "model": "scripted", "choices": [choice], "usage": usage}

    @property
    def seen(self) -> list[dict[str, Any]]:
        """What it was asked, but for the engine's own question whether it is there."""
        found: list[dict[str, Any]] = self.app.state.seen
        return [body for body in found if body["messages"][-1]["content"] != PROBE]


@pytest.fixture
def model() -> Model:
    return Model()


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    return {"FIRSTPASS_SERVER__DATA_DIR": str(tmp_path / "data")}


@pytest.fixture
def server(model: Model, tmp_path: Path) -> Iterator[httpx.Client]:
    with serving(model.app) as url, fronted(url, tmp_path / "data", engine={"images": True}) as client:
        yield client


def asked(client: httpx.Client, content: Any = "hello", path: str = "/v1/chat/completions", **more: Any) -> str:
    """The id of the exchange that it made."""
    body = {"model": "local", "messages": [{"role": "user", "content": content}]} | more
    response = client.post(path, json={name: value for name, value in body.items() if value is not None})
    assert response.is_success, response.text
    return response.headers["x-request-id"]


def firstpass(*arguments: str, **variables: str) -> Result:
    """In this process, where a command need not load all of it first; `main` prints what ends it."""
    with pytest.MonkeyPatch.context() as here:
        for name, value in {"COLUMNS": "200", **variables}.items():
            here.setenv(name, value)
        return CliRunner().invoke(main.app, arguments)


def why(done: Result) -> str:
    """The line that ends it."""
    assert done.exit_code == 1 and isinstance(done.exception, FirstpassError | OSError | SystemExit), done.exception
    return done.stderr if isinstance(done.exception, SystemExit) else str(done.exception)


def replayed(client: httpx.Client, *arguments: str, status: int = 0, **variables: str) -> dict[str, Any]:
    done = firstpass("replay", "--url", str(client.base_url), "--json", *arguments, **variables)
    assert done.exit_code == status, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_same_model_gives_the_same_answers_and_another_text_is_shown(
    server: httpx.Client, model: Model, home: dict[str, str]
) -> None:
    summary = asked(server, DIFF, model="firstpass", **PINNED)
    chat = asked(server)
    same = replayed(server, "--limit", "5", **home)
    assert [one["result"] for one in same["outcomes"]] == ["same", "same"]
    assert [one["exchange"] for one in same["outcomes"]] == [summary, chat]
    model.text = NAMES.replace("a session", "two sessions")
    changed = replayed(server, "--limit", "5", **home)
    first, second = changed["outcomes"]
    assert first["change"]["edits"][0]["where"] == "Summary" and second["change"]["edits"][0]["where"] == "text"
    shown = firstpass("replay", "--url", str(server.base_url), summary, **home).stdout
    assert "Summary: Create [-a session-]{+two sessions+} at login." in shown and "changed" in shown


def test_findings_come_with_a_worse_answer_and_the_status_says_so(
    server: httpx.Client, model: Model, home: dict[str, str]
) -> None:
    exchange = asked(server, DIFF, model="firstpass", **PINNED)
    model.text = STRAYS
    found = replayed(server, exchange, "--fail-on", "worse", status=1, **home)
    outcome = found["outcomes"][0]
    assert outcome["result"] == "worse" and outcome["change"]["went"] == []
    assert "launchRocket" in outcome["change"]["came"][0]["message"]
    assert (outcome["before"]["route"], outcome["after"]["route"]) == ("draft", "unverified")
    assert found["totals"]["again"]["worse"] == 1 and "1 worse of 1 pairs" in found["sentences"][0]
    model.text = NAMES
    assert replayed(server, exchange, "--fail-on", "changed", **home)["totals"]["again"]["same"] == 1


def test_an_arm_without_any_answer_is_no_proof(server: httpx.Client, model: Model, home: dict[str, str]) -> None:
    """Of the two, one is asked nothing, as the exchange has no contract: that nothing of it is worse says nothing."""
    exchange = asked(server)
    arms = ("--url", str(server.base_url), "--arm", "a=local", "--arm", "b=pr-summary@4", "--fail-on", "worse")
    assert "nothing was answered in b" in why(firstpass("replay", exchange, *arms, **home))


def test_two_arms_that_are_both_silent_are_no_proof(server: httpx.Client, tmp_path: Path) -> None:
    (file := tmp_path / "firstpass.cases.toml").write_text('[[case]]\nname = "a"\nprompt = "b"\ncontract = "gone@1"\n')
    arms = ("--url", str(server.base_url), "--arm", "a=firstpass", "--arm", "b=local", "--fail-on", "changed")
    assert "nothing was answered in b" in why(firstpass("replay", "--cases", str(file), *arms))


def test_an_api_key_is_told_to_one_server(server: httpx.Client, tmp_path: Path) -> None:
    """The one at --url; each other would learn what opens it."""
    (file := tmp_path / "firstpass.cases.toml").write_text('[[case]]\nname = "a"\nprompt = "b"\n')
    (thief := FastAPI()).state.keys = []

    @thief.get("/v1/contracts")
    async def contracts(request: Request) -> dict[str, Any]:
        thief.state.keys.append(request.headers.get("authorization"))
        return {"data": []}

    with serving(thief) as url:
        arms = ("--cases", str(file), "--arm", "a=local", "--arm", f"b={url}")
        key = {"FIRSTPASS_API_KEY": "fp_secret"}
        assert "is no Firstpass" in why(firstpass("replay", "--url", str(server.base_url), *arms, **key))
        both = ("--cases", str(file), "--arm", f"a={server.base_url}", "--arm", f"b={url}")
        assert "is for one server" in why(firstpass("replay", *both, **key))
        assert "is no Firstpass" in why(firstpass("replay", "--url", url, *both, **key))
    assert thief.state.keys == [None, "Bearer fp_secret"]


def test_every_api_is_asked_again_as_it_was_asked(server: httpx.Client, model: Model, home: dict[str, str]) -> None:
    """What the engine is sent is the same, but for what steadies it."""
    model.text = "plain words"
    claude = {"max_tokens": 9, "system": "Be brief.", "stop_sequences": ["END"]}
    ids = [
        asked(server, LOOK, tools=[TOOL], temperature=0.5, seed=7, stop=["\n\n"], response_format={"type": "text"}),
        asked(server, "hello", "/v1/messages", **claude),
        asked(server, "hello", "/v1/responses", messages=None, input="hello", instructions="Be kind."),
        asked(server, "hello", "/infer", messages=None, prompt="hello", max_tokens=3),
        asked(server, DIFF, "/v1/messages", model="firstpass", max_tokens=200, **PINNED),
        asked(server, "stream", stream=True, stream_options={"include_usage": True}),
    ]
    sent = len(model.seen)
    found = replayed(server, *ids, "--as-asked", **home)
    assert [one["result"] for one in found["outcomes"]] == ["same"] * len(ids), found["not_asked"]
    first = [_steady(body) for body in model.seen[:sent]]
    again = [_steady(body) for body in model.seen[sent:]]
    assert first == again


def test_a_completion_is_asked_again(server: httpx.Client, model: Model, home: dict[str, str]) -> None:
    exchange = asked(server, path="/v1/completions", messages=None, prompt="Once", max_tokens=2, stop=["."], seed=4)
    assert replayed(server, exchange, "--as-asked", **home)["outcomes"][0]["result"] == "same"
    assert model.completed[0] == model.completed[1]
    model.text = "Twice"
    other = replayed(server, exchange, **home)["outcomes"][0]
    assert other["change"]["edits"][0]["after"] == "Twice" and model.completed[2]["temperature"] == 0


def _steady(body: dict[str, Any]) -> dict[str, Any]:
    """Without what says how the answer comes."""
    return {name: value for name, value in body.items() if name not in ("stream", "stream_options")}


def test_what_the_caller_left_open_is_steadied_and_that_is_said(
    server: httpx.Client, model: Model, home: dict[str, str]
) -> None:
    model.text = "a"
    exchange = asked(server, temperature=0.7)
    sent = len(model.seen)
    model.text = "b"
    outcome = replayed(server, exchange, **home)["outcomes"][0]
    assert (model.seen[sent]["temperature"], model.seen[sent]["seed"]) == (0, 1)
    assert outcome["sent"] == ["then it was asked with temperature 0.7, now with 0: that alone may change an answer"]
    drawn = replayed(server, exchange, "--as-asked", **home)["outcomes"][0]
    assert "temperature 0.7, without a seed" in drawn["doubts"][0] and drawn["sent"] == []


def test_repeats_count_how_many_answers_are_alike(server: httpx.Client, model: Model, home: dict[str, str]) -> None:
    exchange = asked(server)
    answers = ["one", "two", "two", "one", "two"]
    changing = openai_app(lambda body: "-" if body["messages"][-1]["content"] == PROBE else answers.pop())
    with serving(changing) as url, fronted(url, Path(home["FIRSTPASS_SERVER__DATA_DIR"]).parent / "own") as client:
        found = replayed(client, exchange, "--repeat", "5", **home)
    outcome = found["outcomes"][0]
    assert (outcome["after"]["text"], outcome["alike"], outcome["repeats"]) == ("two", 3, 5)
    assert found["totals"]["again"]["steady"] == 0


def test_calls_of_tools_are_compared_by_their_arguments(front: Front, home: dict[str, str]) -> None:
    given = ['{"city": "Oslo"}']

    def calls(body: dict[str, Any]) -> dict[str, Any]:
        function = {"name": "weather", "arguments": given[-1]}
        return {"tool_calls": [{"id": "c1", "type": "function", "function": function}]}

    app = messages_app(calls, "tool_calls")
    with serving(app) as url, front(says("-"), engine={"kind": "external", "url": f"{url}/v1"}) as client:
        exchange = asked(client, tools=[TOOL])
        given.append('{ "city":"Oslo" }')
        same = replayed(client, exchange, **home)["outcomes"][0]
        given.append('{"city": "Rome"}')
        other = replayed(client, exchange, **home)["outcomes"][0]
    assert same["result"] == "same" and other["result"] == "changed"
    edit = other["change"]["edits"][0]
    assert (edit["where"], edit["after"]) == ("tool call", 'weather({"city": "Rome"})')


def test_nothing_makes_a_ceiling_higher(front: Front, model: Model, home: dict[str, str]) -> None:
    """A local exchange is refused by the server where it is asked of the verifier; one that may go anywhere is not."""
    with serving(openai_app(says("from afar"))) as url:
        verifier = {"url": f"{url}/v1", "model": "strong-1", "hosted": True, "api_key": "k"}
        with front(says("from here"), verifier=verifier, policy={"egress": "any"}) as client:
            near = asked(client, firstpass={"egress": "local-only"})
            far = asked(client)
            found = replayed(client, near, far, "--model", "strong", "--price-in", "1", "--price-out", "10", **home)
    first, second = found["outcomes"]
    assert first["after"]["error"].startswith("403 ") and first["result"] == "no answer"
    assert second["after"]["text"] == "from afar" and second["after"]["receipts"] == 1
    assert second["usd_after"] == pytest.approx((11 + 130) / 1e6) and second["usd_before"] == 0
    assert any("hosted models promise" in said for said in second["doubts"])
    assert any(said.startswith("1 of 2: something left the machine") for said in found["sentences"])


def test_another_machine_is_sent_nothing_that_may_not_go_there(
    server: httpx.Client, model: Model, home: dict[str, str]
) -> None:
    asked(server)
    sent = len(model.seen)
    done = firstpass("replay", "--url", "http://machine.invalid", "--limit", "1", **home)
    assert "no answer from" in why(done) and len(model.seen) == sent


def test_what_is_no_firstpass_is_not_asked(server: httpx.Client, model: Model, home: dict[str, str]) -> None:
    asked(server)
    other = openai_app(says("-"))
    with serving(other) as url:
        done = firstpass("replay", "--url", url, "--limit", "1", **home)
    assert "is no Firstpass" in why(done) and other.state.seen == []


def test_words_are_kept_only_where_that_is_wanted(
    server: httpx.Client, model: Model, home: dict[str, str], tmp_path: Path
) -> None:
    exchange = asked(server, metadata={"a": "b"}, **PINNED | {"firstpass": {"session": "s1"}})
    first = replayed(server, exchange, **home)["outcomes"][0]["after"]["exchange"]
    kept = replayed(server, exchange, "--keep", **home)["outcomes"][0]["after"]["exchange"]
    store = SqliteStore(tmp_path / "data/firstpass.sqlite")
    wordless, whole = store.read(first), store.read(kept)
    store.close()
    assert wordless is not None and not wordless.ask.store and wordless.ask.messages[0].content == ""
    assert whole is not None and whole.ask.metadata == {"a": "b", "replay_of": exchange}
    assert whole.ask.messages[0].content == "hello" and whole.ask.session is None
    found = replayed(server, first, "--json", **home)
    assert found["outcomes"] == [] and found["not_asked"][0]["why"] == "its words are not in the record"


def test_arms_stand_side_by_side_and_a_file_of_settings_is_a_server(
    server: httpx.Client, model: Model, home: dict[str, str], tmp_path: Path
) -> None:
    """The server that is started has its own record, and another contract's version has its own sections."""
    exchange = asked(server, DIFF, model="firstpass", **PINNED)
    other = openai_app(says(STRAYS))
    (scratch := tmp_path / "scratch").mkdir()
    with serving(other) as url:
        settings = tmp_path / "other.toml"
        settings.write_text(f'[engine]\nkind = "external"\nurl = "{url}/v1"\n')
        arms = ("--arm", "local", "--arm", f"worse={settings}", "--arm", "newer=pr-summary@4")
        command = ("replay", "--url", str(server.base_url), "--json", exchange, *arms)
        found = json.loads(test_cli.firstpass(*command, **home, TMPDIR=str(scratch)).stdout)
    results = {one["arm"]: one["result"] for one in found["outcomes"]}
    assert results["local"] == "same" and results["worse"] == "worse", found
    newer = found["outcomes"][2]
    assert newer["after"]["contract"] == "pr-summary@4" and newer["after"]["error"] is None
    assert other.state.seen and list(scratch.iterdir()) == []
    store = SqliteStore(tmp_path / "data/firstpass.sqlite")
    ids = {one.ask.id for one in store.latest(9) if isinstance(one, Exchange)}
    store.close()
    theirs = {one["arm"]: one["after"]["exchange"] in ids for one in found["outcomes"]}
    assert theirs == {"local": True, "worse": False, "newer": True}


def test_exchanges_are_chosen_from_the_record_or_from_a_file(
    server: httpx.Client, model: Model, home: dict[str, str], tmp_path: Path
) -> None:
    one = asked(server, DIFF, model="firstpass", **PINNED)
    two = asked(server, "a pineapple")
    assert [each["exchange"] for each in replayed(server, "--session", "s1", **home)["outcomes"]] == [one]
    assert [each["exchange"] for each in replayed(server, "--search", "PINEapple", **home)["outcomes"]] == [two]
    assert [each["exchange"] for each in replayed(server, "--of-contract", "pr-summary", **home)["outcomes"]] == [one]
    assert len(replayed(server, "--since", "1h", **home)["outcomes"]) > 1
    file = tmp_path / "some.json"
    file.write_text(firstpass("history", "--json", "--limit", "50", **home).stdout)
    nowhere = {"FIRSTPASS_SERVER__DATA_DIR": str(tmp_path / "empty")}
    assert [each["exchange"] for each in replayed(server, "--file", str(file), two, **nowhere)["outcomes"]] == [two]
    lines = tmp_path / "some.jsonl"
    lines.write_text(firstpass("history", two, "--json", **home).stdout + '\n{"ask": 1}\n')
    bad = firstpass("replay", "--url", str(server.base_url), "--file", str(lines), **nowhere)
    assert "some.jsonl:3 is no exchange" in why(bad)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("ex_none",), "no exchange ex_none"),
        (("--search", "nobody says that"), "nothing to ask again"),
        (("ex_1", "--session", "s"), "ids say which are meant"),
        (("--arm", "a=b", "--arm", "a=c"), "given twice"),
        (("--arm", "cloud"), "must be NAME=MODEL"),
        (("--since", "tomorrow"), "no time"),
        (("--price-in", "1"), "belong together"),
        (("--url", "ftp://127.0.0.1"), "must be http"),
        (("--url", "http://me@127.0.0.1"), "without a name"),
    ],
)
def test_bad_words_are_a_line_and_a_status(
    server: httpx.Client, home: dict[str, str], arguments: tuple[str, ...], said: str
) -> None:
    asked(server)
    url = () if "--url" in arguments else ("--url", str(server.base_url))
    done = firstpass("replay", *url, *arguments, **home)
    assert said in why(done)


def test_cases_are_held_against_the_first_arm(server: httpx.Client, model: Model, tmp_path: Path) -> None:
    file = tmp_path / "firstpass.cases.toml"
    file.write_text(f'[[case]]\nname = "login"\ncontract = "pr-summary@3"\ndiff = """\n{DIFF}"""\n')
    with serving(openai_app(says(STRAYS))) as url, fronted(url, tmp_path / "other") as other:
        arms = ("--arm", "old=firstpass", "--arm", f"new={other.base_url!s}")
        found = replayed(server, "--cases", str(file), *arms)
        alone = firstpass("replay", "--cases", str(file), "--url", str(server.base_url))
    assert [(one["exchange"], one["arm"], one["result"]) for one in found["outcomes"]] == [("login", "new", "worse")]
    assert found["against"] == "old"
    assert "two arms are needed" in why(alone)


def test_files_are_written_for_their_owner_alone(
    server: httpx.Client, model: Model, home: dict[str, str], tmp_path: Path
) -> None:
    exchange = asked(server, DIFF, model="firstpass", **PINNED)
    asked(server, store=False)
    model.text = OMITS
    (folder := tmp_path / "out").mkdir()
    (folder / "report.md").write_text("of an earlier run, for everybody")
    (folder / "outcomes.jsonl").symlink_to(tmp_path / "elsewhere")
    replayed(server, "--limit", "2", "--out", str(folder), **home)
    lines = [json.loads(line) for line in (folder / "outcomes.jsonl").read_text().splitlines()]
    assert [one["result"] for one in lines][1:] == ["not asked"] and lines[0]["exchange"] == exchange
    told = (folder / "report.md").read_text()
    assert told.startswith("# Replay against the record") and "| again |" in told
    assert not (tmp_path / "elsewhere").exists()
    assert {(path.stat().st_mode & 0o777) for path in folder.iterdir()} == {0o600}


def test_ctrl_c_keeps_what_is_done(server: httpx.Client, model: Model, home: dict[str, str]) -> None:
    first = asked(server, "quick")
    second = asked(server, "slow")

    begun, ended = threading.Event(), threading.Event()

    def slowly(body: dict[str, Any]) -> str:
        if body["messages"][-1]["content"] == "slow":
            begun.set()
            ended.wait(20)
        return NAMES

    with serving(openai_app(slowly)) as url, fronted(url, Path(home["FIRSTPASS_SERVER__DATA_DIR"]) / "x") as client:
        command = [sys.executable, "-m", "firstpass", "replay", "--json", "--url", str(client.base_url), first, second]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ | home,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )  # fmt: skip
        try:
            assert begun.wait(60)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=30)
        finally:
            process.kill()
            ended.set()
    assert process.returncode == 130, err.decode()
    found = json.loads(out)
    assert [one["exchange"] for one in found["outcomes"]] == [first] and found["cut_short"]
