"""`firstpass sessions` and the searches of `firstpass history`, on the record of a front that ran."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from firstpass.chat import Message, ToolCall, Usage
from firstpass.exchange import Answer, Ask, Consult, Exchange, Reply, Step
from firstpass.store.codec import decode
from firstpass.store.sqlite import SqliteStore
from tests.web.test_cli import firstpass


def exchange(number: int, asked: str, said: str, session: str | None = None, key: str | None = None) -> Exchange:
    ask = Ask(f"ex_{number}", 1e9 + number, "chat", "local", "local", (Message("user", asked),))
    ask = replace(ask, session=session, key=key)
    reply = Reply(said, "m", "stop", Usage(3, 4), 0.1, tool_calls=(ToolCall("c", "weather", '{"city":"Oslo"}'),))
    return Exchange(ask, (Step(Consult("draft", "answer"), reply),), Answer(0, "draft"), 0.5)


Run = Callable[..., CompletedProcess[bytes]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    store = SqliteStore(tmp_path / "firstpass.sqlite")
    for made in (
        exchange(1, "name a prime", "seven", "primes"),
        exchange(2, "a larger one", "eleven\x1b[31m", "primes"),
        exchange(3, "name a river", "Rhine", "rivers"),
        exchange(4, "mine", "yours", "shared", key="aa"),
        exchange(5, "yours", "mine", "shared"),
    ):
        store.append(made)
    store.close()
    return lambda *arguments: firstpass(*arguments, FIRSTPASS_SERVER__DATA_DIR=str(tmp_path))


def test_the_history_is_searched(run: Run) -> None:
    def found(*options: str) -> list[str]:
        return [one["ask"]["id"] for one in json.loads(run("history", "--json", *options).stdout)]

    assert found("--search", "name") == ["ex_3", "ex_1"] and found("--search", '"a larger"') == ["ex_2"]
    assert found("--session", "primes") == ["ex_2", "ex_1"] and found("--session", "primes", "--limit", "1") == ["ex_2"]
    assert found("--before", "ex_2") == ["ex_1"] and found("--route", "strong") == [] and found("--status", "200")
    bad = run("history", "--search", "?")
    assert bad.returncode == 1 and b"no word" in bad.stderr


def test_sessions_are_listed_and_shown_as_conversations(run: Run) -> None:
    listed = json.loads(run("sessions", "list", "--json").stdout)
    assert [(one["session"], one["exchanges"]) for one in listed] == [
        ("shared", 1),
        ("shared", 1),
        ("rivers", 1),
        ("primes", 2),
    ]
    assert [one["session"] for one in json.loads(run("sessions", "list", "--json", "--search", "rhine").stdout)] == [
        "rivers"
    ]
    assert b"name a prime" in run("sessions", "list").stdout
    shown = run("sessions", "show", "primes").stdout.decode()
    assert shown.index("name a prime") < shown.index("seven") < shown.index("a larger one") < shown.index("eleven")
    assert "ex_1" in shown and 'weather({"city":"Oslo"})' in shown and "\x1b" not in shown


def test_a_session_is_exported_whole_for_programs_and_people(run: Run, tmp_path: Path) -> None:
    lines = run("sessions", "export", "primes").stdout.decode().splitlines()
    assert [decode(line).ask.id for line in lines] == ["ex_1", "ex_2"]
    done = run("sessions", "export", "primes", "--format", "markdown", "--out", str(tmp_path / "primes.md"))
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "primes.md").read_text()
    assert page.startswith("# primes\n") and "## assistant, local, draft, `ex_1`\n\nseven" in page


def test_a_session_is_forgotten_once_that_is_confirmed(run: Run, tmp_path: Path) -> None:
    assert run("sessions", "forget", "primes").returncode != 0, "nobody says yes"
    assert run("sessions", "forget", "primes", "--yes").returncode == 0
    assert run("sessions", "show", "primes").returncode == 1
    assert b"eleven" not in b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())


def test_of_two_owners_sessions_of_one_name_one_is_chosen(run: Run) -> None:
    unclear = run("sessions", "show", "shared")
    assert unclear.returncode == 1 and b"--key" in unclear.stderr
    assert b"mine" in run("sessions", "show", "shared", "--key", "aa").stdout
    assert b"ex_5" in run("sessions", "show", "shared", "--key", "-").stdout
