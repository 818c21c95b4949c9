"""Settings that are read again while a server runs: all of them or none, and nothing that has begun is disturbed."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from firstpass import app
from firstpass.assembly import described
from firstpass.contract import Shelf
from firstpass.contract.files import SHIPPED
from firstpass.settings import Settings, load
from firstpass.store.sqlite import SqliteStore
from tests.conftest import serving, wait_until_ready
from tests.doubles import openai_app, says
from tests.keyed import bearer, new_key
from tests.vllm.conftest import free_port
from tests.web.test_cli import firstpass
from tests.web.test_engines import said

CHAT = {"model": "firstpass", "messages": [{"role": "user", "content": "hi"}]}
PATIENCE_SECONDS = 30.0


class Written:
    """A settings file that is changed while it is in use. engines: URLs by name."""

    def __init__(self, folder: Path, engines: dict[str, str]) -> None:
        self.path, self._data_dir, self._engines = folder / "settings.toml", folder / "data", engines

    def says(self, *names: str, server: str = "", further: str = "") -> None:
        tables = [f'[engines.{name}]\nkind = "external"\nurl = "{self._engines[name]}/v1"\n' for name in names]
        server = f'[server]\ndata_dir = "{self._data_dir}"\n{server}\n'
        self.path.write_text("\n".join([further, server, *tables]))


@contextmanager
def written(folder: Path, answers: dict[str, Any]) -> Iterator[Written]:
    """answers: the engines' applications, by name."""
    with ExitStack() as stack:
        yield Written(folder, {name: stack.enter_context(serving(one)) for name, one in answers.items()})


@contextmanager
def reloading(file: Written) -> Iterator[httpx.Client]:
    def again() -> Any:
        return load(file.path, {})

    with serving(app.build(again(), again)) as url, httpx.Client(base_url=url, timeout=PATIENCE_SECONDS) as client:
        wait_until_ready(client)
        yield client


def two() -> dict[str, Any]:
    return {name: openai_app(says(f"I am {name}.")) for name in ("small", "large")}


def test_another_engine_answers_from_then_on_and_the_record_says_which_settings_there_were(tmp_path: Path) -> None:
    with written(tmp_path, two()) as file:
        file.says("small")
        with reloading(file) as client:
            before = said(client, "firstpass")
            same = client.post("/v1/settings/reload", json={}).json()
            file.says("large", "small")
            changed = client.post("/v1/settings/reload", json={}).json()
            after, names = said(client, "firstpass"), [card["id"] for card in client.get("/v1/models").json()["data"]]
            file.says("large")
            metrics = [
                client.get("/metrics").text,
                client.post("/v1/settings/reload", json={}).text,
                client.get("/metrics").text,
            ]
    assert (before, after) == ("I am small.", "I am large.") and "large" in names
    assert not same["changed"] and changed["changed"] and same["digest"] != changed["digest"]
    gauges = ['firstpass_engine_ready{engine="small"}', 'firstpass_waiting{tier="small"}']
    assert all(gauge in metrics[0] and gauge not in metrics[2] for gauge in gauges), "it is no engine any more"
    store = SqliteStore(tmp_path / "data/firstpass.sqlite")
    asked = [exchange.ask.settings for exchange in reversed(store.latest(9))]  # type: ignore[union-attr]
    store.close()
    assert asked == [same["digest"], changed["digest"]]
    home = {"FIRSTPASS_SERVER__DATA_DIR": str(tmp_path / "data")}
    listed = json.loads(firstpass("history", "--settings", "--json", **home).stdout)
    assert [one["digest"] for one in listed][1:] == [changed["digest"], same["digest"]]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"further": "nonsense = 1"}, "nonsense"),
        ({"server": "port = 9999"}, "server.port: a change of it takes a restart"),
        ({"further": '[[policy.rules]]\nname = "r"\nthen = "local"\nengine = "huge"\n'}, "no engine 'huge'"),
        (
            {"further": '[engines.x]\nkind = "external"\nurl = "http://me:pw@10.0.0.9/v1"\n'},
            "'http://***@10.0.0.9/v1' is",
        ),
        ({"further": '[policy]\ngates = ["nowhere.json"]\n'}, "nowhere.json"),
    ],
)
def test_a_fault_changes_nothing_and_says_what_it_is(tmp_path: Path, change: dict[str, str], told: str) -> None:
    with written(tmp_path, two()) as file:
        file.says("small")
        with reloading(file) as client:
            file.says("large", **change)
            refused = client.post("/v1/settings/reload", json={})
            still = said(client, "firstpass")
    assert refused.status_code == httpx.codes.BAD_REQUEST and told in refused.json()["error"]["message"]
    assert still == "I am small."
    store = SqliteStore(tmp_path / "data/firstpass.sqlite")
    assert len(store.settings()) == 1, "those that were refused were never in use"
    store.close()


def test_the_words_of_a_contract_may_be_mended_after_settings_were_refused_that_had_it(tmp_path: Path) -> None:
    """The record took them for what that version means, although nobody had ever been asked with them."""
    folder = shutil.copytree(SHIPPED / "commit-message/2", tmp_path / "contracts/own/1")
    own = f'contracts_dir = "{tmp_path / "contracts"}"'
    with written(tmp_path, two()) as file:
        file.says("small")
        with reloading(file) as client:
            file.says("small", server=own, further='[[policy.rules]]\nname = "r"\nthen = "local"\nengine = "huge"\n')
            refused = client.post("/v1/settings/reload", json={})
            (folder / "prompt.txt").write_text(f"Mended. {(folder / 'prompt.txt').read_text()}")
            file.says("small", server=own)
            taken = client.post("/v1/settings/reload", json={})
    assert (refused.status_code, taken.status_code) == (400, 200), taken.text


def test_another_key_of_the_verifier_is_taken_although_the_record_says_no_secret(tmp_path: Path) -> None:
    """Settings that differed in a secret alone had one digest, and were taken to be the same."""
    sent: list[str] = []
    strong = openai_app(says("I am strong."))

    async def listening(scope: Scope, receive: Receive, send: Send) -> None:
        sent.extend(value.decode() for name, value in scope.get("headers", ()) if name == b"authorization")
        await strong(scope, receive, send)

    with serving(listening) as url, written(tmp_path, two()) as file:
        known, verifier = tmp_path / "known", f'[verifier]\nurl = "{url}/v1"\nmodel = "m"\nhosted = false\n'
        verifier = f'[redaction]\nfiles = ["{known}"]\n{verifier}'
        known.write_text("first-secret\n")
        file.says("small", further=f'{verifier}api_key = "the-old-one"\n')
        with reloading(file) as client:
            said(client, "strong")
            file.says("small", further=f'{verifier}api_key = "the-new-one"\n')
            assert client.post("/v1/settings/reload", json={}).json()["changed"]
            said(client, "strong")
            assert not client.post("/v1/settings/reload", json={}).json()["changed"]
            known.write_text("second-secret\n")
            assert client.post("/v1/settings/reload", json={}).json()["changed"]
    assert list(dict.fromkeys(sent)) == ["Bearer the-old-one", "Bearer the-new-one"]
    store = SqliteStore(tmp_path / "data/firstpass.sqlite")
    assert not any("the-" in one.told or "-secret" in one.told for one in store.settings())
    store.close()


def test_the_record_of_settings_has_no_password_no_key_of_an_engine_and_no_word_that_does_not_leave(
    tmp_path: Path,
) -> None:
    said = {"url": "http://me:hunter2@127.0.0.1:9/v1", "kind": "external"}
    flags = ["--api-key", "hunter2", "--hf-token=hunter2", "--max-num-batched-tokens", "4096"]
    engines = {"a": said, "b": {"kind": "vllm", "extra_args": flags}}
    words = {"words": ["hunter2-project"]}
    told = described(Settings.model_validate({"engines": engines, "redaction": words}), Shelf.of(None))
    assert "hunter2" not in told
    kept = json.loads(told)["settings"]["engines"]
    assert kept["a"]["url"] == "http://***@127.0.0.1:9/v1"
    assert kept["b"]["extra_args"] == ["--api-key", "***", "--hf-token=***", *flags[3:]]


def test_no_engine_is_exchanged_because_more_may_ask_it_at_once(tmp_path: Path) -> None:
    with written(tmp_path, two()) as file:
        file.says("small", "large")
        with reloading(file) as client:
            until(client, lambda: all(line.endswith(" 1.0") for line in readiness(client)))
            before = readiness(client)
            file.says("small", "large", server="in_flight_limit = 7")
            assert client.post("/v1/settings/reload", json={}).json()["changed"]
            assert readiness(client) == before, "it is the same, and was ready all the time"


def readiness(client: httpx.Client) -> list[str]:
    lines = client.get("/metrics").text.splitlines()
    return [line for line in lines if line.startswith("firstpass_engine_ready")]


def test_what_has_begun_ends_under_the_settings_that_it_began_with(tmp_path: Path) -> None:
    goes_on = threading.Event()

    def slow(body: dict[str, Any]) -> str:
        if body["messages"][0]["content"] == "wait":
            goes_on.wait(PATIENCE_SECONDS)
        return "I am small."

    answers = {"small": openai_app(slow), "large": openai_app(says("I am large."))}
    with written(tmp_path, answers) as file:
        file.says("small")
        with reloading(file) as client:
            heard: list[str] = []
            with httpx.Client(base_url=client.base_url, timeout=PATIENCE_SECONDS) as other:
                begun = threading.Thread(target=lambda: heard.append(said(other, "firstpass", "wait")))
                begun.start()
                while not client.get("/v1/models").json()["data"][1]["firstpass"]["in_flight"]:
                    time.sleep(0.02)
                file.says("large")
                client.post("/v1/settings/reload", json={}).raise_for_status()
                assert said(client, "firstpass") == "I am large."
                goes_on.set()
                begun.join()
    assert heard == ["I am small."]


def test_no_request_is_lost_while_settings_change_again_and_again(tmp_path: Path) -> None:
    with written(tmp_path, two()) as file:
        file.says("small")
        with reloading(file) as client:
            failed: list[str] = []
            ends = threading.Event()

            def ask() -> None:
                with httpx.Client(base_url=client.base_url, timeout=PATIENCE_SECONDS) as other:
                    while not ends.is_set():
                        answer = other.post("/v1/chat/completions", json=CHAT)
                        failed.extend([answer.text] if not answer.is_success else [])

            callers = [threading.Thread(target=ask) for _ in range(4)]
            for caller in callers:
                caller.start()
            for number in range(6):
                file.says(*(("small", "large") if number % 2 else ("large",)))
                assert client.post("/v1/settings/reload", json={}).json()["changed"]
            ends.set()
            for caller in callers:
                caller.join()
    assert failed == []


def test_a_key_needs_the_route_for_it(tmp_path: Path) -> None:
    with written(tmp_path, two()) as file:
        file.says("small", server='keys = "required"')
        with reloading(file) as client:
            keys = {route: new_key(tmp_path / "data", routes=(route,))[0] for route in ("settings", "models")}
            headers = {route: bearer(key) for route, key in keys.items()}
            asked = {route: client.post("/v1/settings/reload", json={}, headers=one) for route, one in headers.items()}
    assert {route: answer.status_code for route, answer in asked.items()} == {"settings": 200, "models": 403}


def test_a_hangup_means_the_same_and_the_command_does(tmp_path: Path) -> None:
    with written(tmp_path, two()) as file:
        port = free_port()
        file.says("small", server=f"port = {port}")
        command = [sys.executable, "-m", "firstpass", "serve", "--config", str(file.path)]
        started = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ)
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE_SECONDS) as client:
                until(client, lambda: client.get("/readyz").is_success)
                file.says("large", server=f"port = {port}")
                started.send_signal(signal.SIGHUP)
                until(client, lambda: said(client, "firstpass") == "I am large.")
                file.says("small", server=f"port = {port}")
                told = firstpass("reload", "--url", str(client.base_url))
                assert told.returncode == 0 and b"are in use" in told.stderr
                assert said(client, "firstpass") == "I am small."
        finally:
            started.terminate()
            started.wait(PATIENCE_SECONDS)


def until(client: httpx.Client, holds: Any) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        try:
            if holds():
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise AssertionError("it does not become true")
